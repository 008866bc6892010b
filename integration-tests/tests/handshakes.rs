//! Connections that never become a session: each ends, they keep nobody out,
//! and there is a ceiling on all of them.

#![allow(clippy::unwrap_used, reason = "in a test a failure is best seen where it happens")]

use std::time::Duration;

use integration_tests::{Agent, Raw, Server, client_frame};
use serde_json::json;

async fn server(dir: &tempfile::TempDir, settings: &[&str]) -> Server {
    let sets: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    Server::start(dir.path(), &sets).await.unwrap()
}

/// Publishes and gets its answer.
async fn works(agent: &mut Agent, seq: u64) {
    let frame = json!({"op":"publish","seq":seq,"event":{"type":"X"},"routing":{"topic":"t"}});
    agent.ask(&frame, "published").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_stops_anywhere_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir, &["sidecar.hello_timeout=500ms"]).await;
    let url = &server.agents[0];
    let mut good = Agent::named(url, "/good").await.unwrap();

    let mut silent = Raw::connect(url).await.unwrap();
    let mut half = Raw::connect(url).await.unwrap();
    let request = half.request();
    half.send(&request.as_bytes()[..60]).await.unwrap();
    // Asked something else first, it must not stay open for more.
    let mut polite = Raw::connect(url).await.unwrap();
    let get = request.replace("/v1/ws", "/").replace("Connection: Upgrade\r\nUpgrade: websocket\r\n", "");
    polite.send(get.as_bytes()).await.unwrap();
    assert!(polite.head().await.unwrap().starts_with("HTTP/1.1 200"));
    let mut upgraded = Raw::upgraded(url).await.unwrap();
    let mut begun = Raw::upgraded(url).await.unwrap();
    let hello = client_frame(0x81, br#"{"op":"hello","agent":"/slow"}"#);
    begun.send(&hello[..20]).await.unwrap();

    works(&mut good, 1).await;
    assert_eq!(silent.rest().await.unwrap(), b"");
    assert_eq!(half.rest().await.unwrap(), b"");
    polite.rest().await.unwrap();
    assert_eq!(upgraded.close_code().await.unwrap(), Some(1008));
    assert_eq!(begun.close_code().await.unwrap(), Some(1008));
    works(&mut good, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_one_by_one_are_no_sign_of_progress() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir, &["sidecar.hello_timeout=500ms"]).await;
    let url = &server.agents[0];
    for upgraded in [false, true] {
        let mut raw = if upgraded { Raw::upgraded(url).await.unwrap() } else { Raw::connect(url).await.unwrap() };
        // A request, or a hello, that would be complete after an hour.
        let bytes = if upgraded { client_frame(0x81, &[b' '; 60_000]) } else { vec![b'G'; 60_000] };
        let mut sent = 0;
        for byte in bytes {
            if raw.is_closed().await || raw.send(&[byte]).await.is_err() {
                break;
            }
            sent += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!((2..60_000).contains(&sent), "{sent} bytes were taken");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_are_bounded_and_keep_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir, &["sidecar.hello_timeout=5m", "sidecar.max_handshakes=4"]).await;
    let url = &server.agents[0];
    let mut good = Agent::named(url, "/good").await.unwrap();
    let mut silent = Vec::new();
    for n in 0..12 {
        let raw = if n % 2 == 0 { Raw::connect(url).await } else { Raw::upgraded(url).await };
        silent.push(raw.unwrap());
    }
    // A newcomer gets in although all places are taken for five minutes.
    let mut late = Agent::named(url, "/late").await.unwrap();
    works(&mut late, 1).await;
    works(&mut good, 1).await;
    let few_are_open = async {
        loop {
            let mut open = 0;
            for raw in &mut silent {
                open += usize::from(!raw.is_closed().await);
            }
            if open <= 4 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(integration_tests::PATIENCE, few_are_open).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_bounded_and_the_place_of_one_that_leaves_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir, &["sidecar.max_connections=2"]).await;
    let url = &server.agents[0];
    let mut first = Agent::named(url, "/a").await.unwrap();
    let mut second = Agent::named(url, "/b").await.unwrap();
    let mut third = Raw::connect(url).await.unwrap();
    let request = third.request();
    third.send(request.as_bytes()).await.unwrap();
    assert!(third.head().await.unwrap().starts_with("HTTP/1.1 503"));
    first.send(&json!({"op":"bye"})).await.unwrap();
    assert_eq!(first.close_code().await.unwrap(), Some(1000));
    drop(first);
    let again = async {
        loop {
            match Agent::named(url, "/c").await {
                Ok(agent) => return agent,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let mut third = tokio::time::timeout(integration_tests::PATIENCE, again).await.unwrap();
    works(&mut third, 1).await;
    works(&mut second, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_too_many_lost_sessions_the_oldest_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir, &["sidecar.max_waiting=2", "sidecar.resume_window=1h"]).await;
    let url = &server.agents[0];
    let mut tokens = Vec::new();
    for n in 0..4 {
        let mut agent = Agent::named(url, &format!("/a{n}")).await.unwrap();
        tokens.push(agent.resume());
        // A binary frame loses the socket, not the session.
        agent.send_raw(tokio_tungstenite::tungstenite::Message::Binary(vec![1].into())).await.unwrap();
        assert_eq!(agent.close_code().await.unwrap(), Some(1003));
    }
    let mut resumed = Vec::new();
    for (n, token) in tokens.iter().enumerate() {
        let hello = json!({"agent": format!("/a{n}"), "resume": token});
        resumed.push(Agent::hello(url, hello).await.unwrap());
    }
    let told: Vec<_> = resumed.iter().map(|agent| agent.welcome["resumed"].clone()).collect();
    assert_eq!(told, [false, false, true, true]);
}
