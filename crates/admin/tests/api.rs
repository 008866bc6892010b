//! The API over a log in memory.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};
use handbell_admin::{Access, Options, SidecarHandle, router};
use handbell_backend::{Backend, Class, Headers, Outgoing, Partition};
use handbell_backend_embedded::{EmbeddedLog, Options as LogOptions};
use handbell_delivery::{Member, MemberOptions, Presence};
use handbell_protocol::{AgentName, Envelope, Namespace, Segment, Topic};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

struct Handle(AtomicBool);

impl SidecarHandle for Handle {
    fn url(&self) -> String {
        "ws://127.0.0.1:7710/v1/ws".into()
    }
    fn is_ready(&self) -> bool {
        true
    }
    fn is_draining(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
    fn begin_drain(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Api {
    backend: Arc<dyn Backend>,
    member: Member,
    router: Router,
}

impl Api {
    async fn new() -> Self {
        let log = EmbeddedLog::open(LogOptions::memory()).unwrap();
        let backend: Arc<dyn Backend> = log.backend(Namespace::default());
        let member = Member::join(backend.clone(), MemberOptions::default()).await.unwrap();
        let declared = BTreeMap::from([(Topic::parse("declared").unwrap(), "What for".to_owned())]);
        let router = router(Options {
            backend: backend.clone(),
            member: member.clone(),
            sidecars: vec![Arc::new(Handle(AtomicBool::new(false)))],
            declared,
            access: Access { listen: "127.0.0.1:7711".parse().unwrap(), origins: vec![], tokens_file: None },
            version: "1.2.3",
        });
        Self { backend, member, router }
    }

    async fn ask(&self, method: &str, target: &str) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(target).header("host", "127.0.0.1:7711");
        let answer = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn get(&self, target: &str) -> Value {
        let (status, body) = self.ask("GET", target).await;
        assert_eq!(status, StatusCode::OK, "{target}: {body}");
        body
    }

    /// The IDs of a list's page, and its cursor.
    async fn ids(&self, target: &str) -> (Vec<String>, Option<String>) {
        let page = self.get(target).await;
        let ids = page["items"].as_array().unwrap().iter().map(|item| item["event"]["id"].as_str().unwrap().to_owned());
        (ids.collect(), page["next_cursor"].as_str().map(ToOwned::to_owned))
    }

    async fn store(&self, class: Class, topic: &str, partition: u16, envelope: Value) {
        let envelope: Arc<Envelope> = Arc::new(serde_json::from_value(envelope).unwrap());
        let topic = Topic::parse(topic).unwrap();
        let headers = Headers::default();
        let out = Outgoing { class, topic, partition: Partition(partition), envelope, headers, dedup: None };
        for stored in self.backend.publish(vec![out]).await.unwrap().await {
            stored.unwrap();
        }
    }

    async fn event(&self, n: u16, topic: &str, correlation: &str) {
        let event = json!({
            "id": format!("e{n:03}"), "type": if n.is_multiple_of(2) { "EvenEvent" } else { "OddEvent" }, "source": "/a",
            "timestamp": "2026-01-01T00:00:00Z", "version": "1.0", "correlation_id": correlation,
        });
        let priority = if n.is_multiple_of(3) { "high" } else { "normal" };
        let routing = json!({ "topic": topic, "priority": priority });
        let payload = json!({ "text": format!("Needle-{n}") });
        self.store(Class::Ev, topic, n % 5, json!({ "event": event, "payload": payload, "routing": routing })).await;
    }
}

#[tokio::test]
async fn events_come_page_by_page_in_either_direction_each_once() {
    let api = Api::new().await;
    for n in 0..25 {
        api.event(n, "t", "c").await;
    }
    for order in ["asc", "desc"] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let (ids, next) = api.ids(&format!("/api/v1/events?limit=4&order={order}{cursor}")).await;
            assert!(ids.len() <= 4);
            seen.extend(ids);
            match next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let mut sorted = seen.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!((seen.len(), sorted.len()), (25, 25), "{order}: {seen:?}");
    }
    let newest = api.get("/api/v1/events?limit=1&order=desc").await;
    let oldest = api.get("/api/v1/events?limit=1").await;
    assert!(newest["items"][0]["position"] != oldest["items"][0]["position"]);
}

#[tokio::test]
async fn each_filter_leaves_out_what_it_should() {
    let api = Api::new().await;
    for n in 0..6 {
        api.event(n, if n < 3 { "a.x" } else { "b" }, if n < 2 { "c1" } else { "c2" }).await;
    }
    for (query, expected) in [
        ("correlation_id=c1", vec!["e000", "e001"]),
        ("type=Even", vec!["e000", "e002", "e004"]),
        ("topic=a.*", vec!["e000", "e001", "e002"]),
        ("text=NEEDLE-5", vec!["e005"]),
        ("source=/b", vec![]),
        ("until=2000-01-01T00:00:00Z", vec![]),
        ("since=2000-01-01T00:00:00Z&topic=b&type=OddEvent", vec!["e003", "e005"]),
    ] {
        let (mut ids, _) = api.ids(&format!("/api/v1/events?{query}")).await;
        ids.sort();
        assert_eq!(ids, expected, "{query}");
    }
}

#[tokio::test]
async fn direct_work_is_listed_and_what_is_for_all_only_once() {
    let api = Api::new().await;
    let event = json!({
        "id": "all-1", "type": "SyncCommand", "source": "/a", "timestamp": "2026-01-01T00:00:00Z", "version": "1.0",
        "correlation_id": "c",
    });
    for agent in ["agent.x", "agent.y"] {
        let envelope = json!({ "event": event, "payload": 1, "routing": { "to": "all" } });
        api.store(Class::Inbox, agent, 0, envelope).await;
    }
    assert_eq!(api.ids("/api/v1/events?correlation_id=c").await.0, ["all-1"]);
}

#[tokio::test]
async fn topics_are_those_with_events_and_those_that_are_declared() {
    let api = Api::new().await;
    api.event(1, "t", "c").await;
    let topics = api.get("/api/v1/topics").await;
    let items = topics["items"].as_array().unwrap();
    assert_eq!(
        (&items[0]["topic"], &items[0]["declared"], &items[0]["events"]),
        (&json!("declared"), &json!(true), &json!(0))
    );
    assert_eq!(
        (&items[1]["topic"], &items[1]["declared"], &items[1]["events"]),
        (&json!("t"), &json!(false), &json!(1))
    );
    assert!(items[1]["newest"].is_string());
}

#[tokio::test]
async fn agents_are_those_that_members_announce() {
    let api = Api::new().await;
    let names = |names: &[&str]| names.iter().map(|name| Segment::parse(name).unwrap()).collect::<Vec<_>>();
    let presence = Presence {
        agent: AgentName::parse("/a").unwrap(),
        pools: names(&["builders"]),
        capabilities: names(&["rust"]),
        sessions: 2,
    };
    api.member.announce(vec![presence.into()]);
    let agent = loop {
        let agents = api.get("/api/v1/agents").await;
        match agents["items"].get(0) {
            Some(agent) => break agent.clone(),
            None => tokio::task::yield_now().await,
        }
    };
    assert_eq!(agent["agent"], "/a");
    assert_eq!((&agent["pools"][0], &agent["sessions"]), (&json!("builders"), &json!(2)));
    assert_eq!(agent["members"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn overview_health_and_metrics_tell_of_the_drain() {
    let api = Api::new().await;
    api.event(1, "t", "c").await;
    let overview = api.get("/api/v1/overview").await;
    assert_eq!((&overview["version"], &overview["events"]), (&json!("1.2.3"), &json!(1)));
    assert_eq!(overview["backend"]["kind"], "embedded");
    assert_eq!(api.get("/readyz").await["ready"], true);
    let page = Request::get("/").header("host", "127.0.0.1:7711").body(Body::empty()).unwrap();
    let page = api.router.clone().oneshot(page).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    let page = String::from_utf8_lossy(&page);
    assert!(page.contains("<th>topics</th><td>1</td>") && page.contains("<th>version</th><td>1.2.3</td>"), "{page}");

    let (status, body) = api.ask("POST", "/drain").await;
    assert_eq!((status, body), (StatusCode::ACCEPTED, json!({ "sidecar": 1, "draining": true })));
    let (status, body) = api.ask("GET", "/readyz").await;
    assert_eq!((status, &body["sidecars"][0]["draining"]), (StatusCode::SERVICE_UNAVAILABLE, &json!(true)));
}

#[tokio::test]
async fn faults_are_problems_that_say_how_to_mend_them() {
    let api = Api::new().await;
    for (method, target, status, word) in [
        ("GET", "/api/v1/events?limit=1001", 400, "1 to 1000"),
        ("GET", "/api/v1/events?cursor=x", 400, "cursor"),
        ("GET", "/api/v1/events?order=up", 400, "asc"),
        ("GET", "/api/v1/events?tpye=x", 400, "tpye"),
        ("GET", "/api/v1/topics?limit=x", 400, "limit"),
        ("GET", "/api/v1/none", 404, "openapi"),
        ("DELETE", "/api/v1/topics", 405, "openapi"),
        ("POST", "/drain?sidecar=2", 404, "no sidecar 2"),
    ] {
        let (given, body) = api.ask(method, target).await;
        assert_eq!((given.as_u16(), &body["status"]), (status, &json!(status)), "{target}");
        assert!(body["detail"].as_str().unwrap().contains(word), "{target}: {body}");
    }
}
