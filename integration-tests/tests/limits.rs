//! Frames that are too large, broken or too many, and agents that vanish: the
//! right code each, bounded memory, nobody else disturbed.

#![allow(clippy::unwrap_used, reason = "in a test a failure is best seen where it happens")]

use futures_util::{SinkExt as _, StreamExt as _};
use integration_tests::{Agent, Raw, Server, client_frame, delivery_of};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// More than any of these agents may make the sidecar hold, with much room.
const ROOM: u64 = 96 << 20;

async fn server(dir: &tempfile::TempDir, settings: &[&str]) -> Server {
    let sets: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    Server::start(dir.path(), &sets).await.unwrap()
}

/// An agent in good order, which works before, during and after.
struct Good {
    agent: Agent,
    seq: u64,
}

impl Good {
    async fn new(url: &str) -> Self {
        let mut agent = Agent::named(url, "/good").await.unwrap();
        let subscribe = json!({"op":"subscribe","sub":"s","topics":["good"],"group":"good"});
        agent.ask(&subscribe, "subscribed").await.unwrap();
        let mut good = Self { agent, seq: 0 };
        good.works().await;
        good
    }

    async fn works(&mut self) {
        self.seq += 1;
        self.agent.ask(&publish(self.seq, "good", &json!(self.seq)), "published").await.unwrap();
        let deliver = self.agent.expect("deliver").await.unwrap();
        assert_eq!(deliver["payload"], json!(self.seq));
        let ack = json!({"op":"ack","deliveries":[delivery_of(&deliver)],"confirm":true});
        self.agent.ask(&ack, "settled").await.unwrap();
    }
}

fn publish(seq: u64, topic: &str, payload: &Value) -> Value {
    json!({"op":"publish","seq":seq,"event":{"type":"X"},"payload":payload,"routing":{"topic":topic}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_frames_have_their_close_codes() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir, &[]).await;
    let url = &server.agents[0];
    let mut good = Good::new(url).await;
    let hello = client_frame(0x81, br#"{"op":"hello","agent":"/bad"}"#);
    let unmasked = [0x81, 0x02, b'{', b'}'].to_vec();
    let huge_length = [&[0x81, 0xff][..], &(1_u64 << 62).to_be_bytes(), &[0; 4]].concat();
    let fragments = [client_frame(0x01, &[b' '; 600_000]), client_frame(0x80, &[b' '; 600_000])].concat();
    let close_of_one_byte = client_frame(0x88, &[3]);
    for (frame, code, what) in [
        (client_frame(0x81, &[0xff]), 1007, "no UTF-8"),
        (client_frame(0x82, b"{}"), 1003, "binary"),
        (client_frame(0x81, &[b' '; (1 << 20) + 1]), 1009, "a byte too much"),
        (fragments, 1009, "too much in two fragments"),
        (huge_length, 1009, "a length that nobody has room for"),
        (client_frame(0xc1, b"{}"), 1002, "a reserved bit"),
        (client_frame(0x83, b"{}"), 1002, "a reserved opcode"),
        (client_frame(0x80, b"{}"), 1002, "a continuation of nothing"),
        (client_frame(0x09, b""), 1002, "a ping in fragments"),
        (client_frame(0x89, &[0; 126]), 1002, "a ping that is too long"),
        (close_of_one_byte, 1002, "half a close code"),
        (unmasked, 1002, "no mask"),
    ] {
        for after_hello in [true, false] {
            let mut raw = Raw::upgraded(url).await.unwrap();
            if after_hello {
                raw.send(&hello).await.unwrap();
            }
            // It may be closed before all of it was taken.
            let _taken = raw.send(&frame).await;
            assert_eq!(raw.close_code().await.unwrap(), Some(code), "{what}, after hello: {after_hello}");
        }
        good.works().await;
    }
    let mut raw = Raw::connect(url).await.unwrap();
    let _taken = raw.send(format!("GET / HTTP/1.1\r\nX: {}\r\n", "x".repeat(64 << 10)).as_bytes()).await;
    assert!(raw.head().await.unwrap().starts_with("HTTP/1.1 431"));
    good.works().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_json_is_told_and_the_session_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir, &[]).await;
    let mut agent = Agent::named(&server.agents[0], "/a").await.unwrap();
    let deep = format!(r#"{{"op":"publish","seq":1,"payload":{}{}}}"#, "[".repeat(128), "]".repeat(128));
    let texts = [
        "",
        "no JSON",
        "[]",
        "5",
        r#"{"op":"bye""#,
        r#"{"op":"bye","op":"bye"}"#,
        r#"{"op":"fly"}"#,
        r#"{"op":7}"#,
        r#"{"agent":"/a"}"#,
        r#"{"op":"hello","agent":"/a"}"#,
        r#"{"op":"ack","deliveries":"d1"}"#,
        r#"{"op":"subscribe","sub":"s","topics":["t"],"ack_wait":"soon"}"#,
        &deep,
    ];
    for text in texts {
        agent.send_raw(Message::Text(text.into())).await.unwrap();
        let answer = agent.next().await.unwrap().unwrap_or_else(|| panic!("{text} closed the socket"));
        let told = (answer["op"].as_str(), answer["code"].as_str());
        assert_eq!(told, (Some("error"), Some("protocol")), "{text}: {answer}");
    }
    agent.ask(&publish(1, "t", &json!(1)), "published").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_answers_no_ping_is_closed_and_its_work_goes_to_another() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir, &["sidecar.heartbeat=200ms", "sidecar.resume_window=0s"]).await;
    let url = &server.agents[0];
    // It reads all that comes, and answers nothing.
    let mut gone = Raw::upgraded(url).await.unwrap();
    gone.send(&client_frame(0x81, br#"{"op":"hello","agent":"/gone","pools":["p"]}"#)).await.unwrap();
    let mut giver = Agent::named(url, "/giver").await.unwrap();
    let work = json!({"op":"publish","seq":1,"event":{"type":"DoCommand"},"routing":{"to":"pool:p"}});
    giver.ask(&work, "published").await.unwrap();
    assert_eq!(gone.close_code().await.unwrap(), Some(1011));
    let mut next = Agent::hello(url, json!({"agent":"/next","pools":["p"]})).await.unwrap();
    let deliver = next.expect("deliver").await.unwrap();
    assert_eq!((deliver["event"]["type"].as_str(), deliver["sub"].as_str()), (Some("DoCommand"), Some("")));
    Good::new(url).await.works().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_from_an_agent_that_reads_nothing_is_held_back_and_answered_later() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir, &["sidecar.stall=5m", "sidecar.heartbeat=5m", "sidecar.max_outbox=64KiB"]).await;
    let url = &server.agents[0];
    let mut good = Good::new(url).await;
    let before = server.rss().unwrap();
    let flooding = Agent::named(url, "/flood").await.unwrap();
    let (mut says, mut hears) = flooding.split();
    // Every one of them is answered with more bytes than it has.
    let flood = tokio::spawn(async move {
        for _ in 0..400_000 {
            says.send(Message::Text(r#"{"op":"fly"}"#.into())).await.unwrap();
        }
        says
    });
    while !flood.is_finished() && server.rss().unwrap() < before + ROOM {
        let sent = flood.is_finished();
        good.works().await;
        if !sent && good.seq > 200 {
            break;
        }
    }
    assert!(!flood.is_finished(), "all of it was taken although no answer was read");
    let more = server.rss().unwrap().saturating_sub(before);
    assert!(more < ROOM, "{more} bytes more are held");
    let mut answers = 0;
    while answers < 400_000 {
        let message = hears.next().await.unwrap().unwrap();
        answers += usize::from(message.is_text());
    }
    let mut says = flood.await.unwrap();
    says.send(Message::Text(publish(1, "t", &json!(1)).to_string().into())).await.unwrap();
    let last = hears.next().await.unwrap().unwrap();
    assert!(last.to_text().unwrap().contains(r#""op":"published""#), "{last}");
    good.works().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_the_window_is_busy_never_a_close_and_all_of_it_comes_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir, &["sidecar.publish_window=4", "sidecar.max_subscriptions=3"]).await;
    let url = &server.agents[0];
    let mut good = Good::new(url).await;
    let mut agent = Agent::named(url, "/many").await.unwrap();
    let (mut due, mut busy) = (1, 0);
    while due <= 500 {
        // Always from the lowest that is due on, as the protocol asks for.
        let first = due;
        for seq in first..=500 {
            agent.send(&publish(seq, "t", &json!(seq))).await.unwrap();
        }
        for _ in first..=500 {
            let answer = agent.next().await.unwrap().expect("never a close");
            match answer["op"].as_str() {
                Some("published") => due = due.max(answer["seq"].as_u64().unwrap() + 1),
                _ => {
                    assert_eq!(answer["code"], "busy", "{answer}");
                    assert!(answer["retry_after_ms"].is_u64(), "{answer}");
                    busy += 1;
                }
            }
        }
    }
    assert!(busy > 0, "a window of 4 held 500");
    for n in 0..3 {
        let subscribe = json!({"op":"subscribe","sub":format!("s{n}"),"topics":["t"]});
        agent.ask(&subscribe, "subscribed").await.unwrap();
    }
    agent.send(&json!({"op":"subscribe","sub":"s3","topics":["t"]})).await.unwrap();
    let answer = agent.next().await.unwrap().unwrap();
    assert_eq!((answer["op"].as_str(), answer["code"].as_str()), (Some("error"), Some("busy")), "{answer}");
    good.works().await;
}

/// What lies between an agent's reading and the sidecar's writing is large: an
/// agent that handles one large event after the other makes room there seldom.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_slowly_and_acks_keeps_its_connection() {
    const EVENTS: u64 = 40;
    let dir = tempfile::tempdir().unwrap();
    let settings = ["sidecar.stall=1s", "sidecar.stall_cut=1s", "sidecar.resume_window=1s"];
    let server = server(&dir, &settings).await;
    let mut publisher = Agent::named(&server.agents[0], "/publisher").await.unwrap();
    let mut slow = Agent::named(&server.agents[0], "/slow").await.unwrap();
    let subscribe = json!({"op":"subscribe","sub":"s","topics":["large"],"group":"slow","credit":64});
    slow.ask(&subscribe, "subscribed").await.unwrap();
    let payload = json!("x".repeat(300_000));
    for seq in 1..=EVENTS {
        publisher.ask(&publish(seq, "large", &payload), "published").await.unwrap();
    }
    let mut settled = 0;
    while settled < EVENTS {
        let frame = slow.next().await.unwrap().expect("the connection stays");
        if frame["op"] == "deliver" {
            assert_eq!(frame["attempt"], 1);
            tokio::time::sleep(std::time::Duration::from_millis(400)).await;
            slow.send(&json!({"op":"ack","deliveries":[delivery_of(&frame)],"confirm":true})).await.unwrap();
        } else if frame["op"] == "settled" {
            settled += frame["deliveries"].as_array().map_or(0, Vec::len) as u64;
        }
    }
}
