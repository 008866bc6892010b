//! What stops the start: settings that aren't kept, another number of
//! partitions, wrong credentials, a connection that isn't encrypted.

use handbell_backend::{Backend, PartitionCount};
use handbell_backend_nats::{Credentials, OpenError, open};
use handbell_test_support::NatsServer;
use serde_json::{Value, json};

use crate::common::{connect, event, options};

async fn api(url: &str, operation: &str, body: Value) -> Value {
    let client = async_nats::connect(url).await.unwrap();
    let answer = client.request(format!("$JS.API.{operation}"), body.to_string().into()).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

#[tokio::test]
async fn another_number_of_partitions_is_refused() {
    let server = NatsServer::start().unwrap();
    connect(&server.url()).await;
    let mut changed = options(&server.url());
    changed.partitions = PartitionCount::new(8).unwrap();
    let error = open(changed).await.unwrap_err();
    assert!(matches!(&error, OpenError::PartitionsChanged { stored, asked: 8 } if stored == "32"), "{error}");
}

#[tokio::test]
async fn a_stream_that_is_otherwise_than_asked_for_is_named_with_the_setting_and_the_version() {
    let server = NatsServer::start().unwrap();
    connect(&server.url()).await;
    let info = api(&server.url(), "STREAM.INFO.hb-test-ev-regular", json!({})).await;
    let mut config = info["config"].clone();
    config["max_age"] = json!(3_600_000_000_000_u64);
    let updated = api(&server.url(), "STREAM.UPDATE.hb-test-ev-regular", config).await;
    assert!(updated.get("error").is_none(), "{updated}");
    let error = open(options(&server.url())).await.unwrap_err().to_string();
    for part in ["hb-test-ev-regular", "max_age", "3600000000000", "server 2."] {
        assert!(error.contains(part), "{part} is missing in: {error}");
    }
}

#[tokio::test]
async fn a_server_without_jetstream_says_so() {
    let mut options = options("");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let program = std::env::var("HANDBELL_TEST_NATS_SERVER").unwrap_or_else(|_| "nats-server".into());
    let mut plain = std::process::Command::new(program)
        .args(["-a", "127.0.0.1", "-p", &port.to_string()])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    options.urls = vec![format!("nats://127.0.0.1:{port}")];
    let error = open(options).await.unwrap_err();
    plain.kill().unwrap();
    plain.wait().unwrap();
    assert!(matches!(error, OpenError::NoJetStream { .. }), "{error}");
}

#[tokio::test]
async fn a_token_comes_out_of_its_file_and_a_wrong_one_ends_the_start() {
    let server = NatsServer::start_with("authorization { token: \"s3cret\" }").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let with = |credentials| {
        let mut options = options(&server.url());
        options.credentials = credentials;
        options
    };
    let backend = open(with(Credentials::Token(file("right", "s3cret\n")))).await.unwrap();
    backend.publish(vec![event(0)]).await.unwrap().await[0].as_ref().unwrap();
    for wrong in [Credentials::Token(file("wrong", "guess")), Credentials::None] {
        let error = open(with(wrong)).await.unwrap_err();
        assert!(matches!(error, OpenError::Unauthorized { .. }), "{error}");
        assert!(!error.to_string().contains("guess"), "a secret is told: {error}");
    }
    for missing in [dir.path().join("nowhere"), file("empty", "\n")] {
        let error = open(with(Credentials::Token(missing.clone()))).await.unwrap_err();
        assert!(error.to_string().contains(missing.to_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn an_unencrypted_server_is_refused_where_encryption_is_asked_for() {
    let server = NatsServer::start().unwrap();
    let mut by_url = options(&server.url().replace("nats://", "tls://"));
    by_url.patience = Some(std::time::Duration::from_secs(2));
    let mut by_setting = options(&server.url());
    by_setting.tls.required = true;
    by_setting.patience = Some(std::time::Duration::from_secs(2));
    for refused in [by_url, by_setting] {
        let error = open(refused).await.unwrap_err();
        assert!(matches!(error, OpenError::Tls { .. } | OpenError::Unreachable { .. }), "{error}");
    }
}

#[tokio::test]
async fn several_processes_may_make_the_streams_at_once() {
    let server = NatsServer::start().unwrap();
    let url = server.url();
    let opening: Vec<_> = (0..8)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { open(options(&url)).await.map(drop) })
        })
        .collect();
    for opened in opening {
        opened.await.unwrap().unwrap();
    }
}
