//! A plain client of another make reads what Handbell wrote, and is read.

use std::process::Command;

use handbell_backend::Backend;
use handbell_test_support::NatsServer;

use crate::common::{connect, event, read};

/// Reads the newest message and prints it; then writes a CloudEvent of its own.
const CLIENT: &str = r#"
import asyncio, json, sys, nats

async def main():
    nc = await nats.connect(sys.argv[1])
    js = nc.jetstream()
    message = await js.get_last_msg("hb-test-ev-regular", "test.ev.regular.*.count.up")
    print(json.dumps({"subject": message.subject, "headers": dict(message.headers), "data": message.data.decode()}))
    headers = {"ce-specversion": "1.0", "ce-id": "o-1", "ce-type": "Gr%C3%B6%C3%9Fe", "ce-source": "/outside",
               "ce-datacontenttype": "application/json"}
    await js.publish("test.ev.regular.3.count.up", b'{"b" : 1,  "a":[]}', headers=headers)
    await js.publish("test.ev.regular.3.count.up", b"no JSON at all")
    await nc.close()

asyncio.run(main())
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outside_client_reads_and_is_read_with_headers_and_payload_as_they_were() {
    let server = NatsServer::start().unwrap();
    let backend = connect(&server.url()).await;
    backend.publish(vec![event(4)]).await.unwrap().await[0].as_ref().unwrap();

    let python = std::env::var("HANDBELL_TEST_NATS_PYTHON").unwrap_or_else(|_| "python3".into());
    let output = Command::new(&python).args(["-c", CLIENT, &server.url()]).output().unwrap();
    assert!(output.status.success(), "{python}: {}", String::from_utf8_lossy(&output.stderr));
    let seen: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(seen["data"], "4");
    for (name, value) in [
        ("ce-id", "evt-4"),
        ("ce-type", "Counted"),
        ("ce-source", "/a"),
        ("ce-time", "2026-01-01T00:00:00Z"),
        ("ce-partitionkey", "k4"),
        ("ce-correlationid", "c"),
        ("Nats-Msg-Id", "/a#n/4"),
    ] {
        assert_eq!(seen["headers"][name], value, "{name} in {seen}");
    }

    let records = read(&backend, 3).await;
    let outside: Vec<_> = records.iter().filter(|record| record.envelope.event.source != "/a").collect();
    assert_eq!(outside.len(), 2);
    assert_eq!(outside[0].envelope.event.id, "o-1");
    assert_eq!(outside[0].envelope.event.event_type, "Größe");
    assert_eq!(outside[0].envelope.payload.as_str(), r#"{"b" : 1,  "a":[]}"#);
    assert_eq!(outside[0].position.partition.0, 3);
    assert_eq!(outside[1].envelope.payload.as_str(), r#""no JSON at all""#);
    assert_eq!(outside[1].envelope.event.source, "/nats");
}
