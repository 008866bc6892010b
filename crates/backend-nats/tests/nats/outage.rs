//! The server goes away and comes back.

use std::{sync::Arc, time::Duration};

use handbell_backend::{
    Backend, CellName, Class, Outgoing, PublishError, QueueSpec, Settlement, Start, StoreOutcome, TailItem, TailSpec,
};
use handbell_protocol::TopicPattern;
use handbell_test_support::NatsServer;

use crate::common::{PATIENCE, assert_each_once, connect, event, everything, options, publish_all, read};

const EVENTS: u64 = 20_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_while_events_are_published_loses_nothing_and_stores_nothing_twice() {
    let mut server = NatsServer::start().unwrap();
    let backend = Arc::new(connect(&server.url()).await);
    let writer = Arc::clone(&backend);
    let publishing = tokio::spawn(async move { publish_all(&*writer, 0..EVENTS).await });
    let reader = Arc::clone(&backend);
    // A tail that was open all the time goes on where it was.
    let reading = tokio::spawn(async move { read(&*reader, EVENTS as usize).await });
    for pause in [300, 700, 500] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.run_again().unwrap();
    }
    let again = tokio::time::timeout(PATIENCE, publishing).await.expect("publishing ends").unwrap();
    assert!(again > 0, "no publish was under way at a kill");
    assert_each_once(&reading.await.unwrap(), EVENTS);
    assert_each_once(&read(&*backend, EVENTS as usize).await, EVENTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server_a_publish_is_told_as_unavailable_and_what_was_under_way_as_in_doubt() {
    let mut server = NatsServer::start().unwrap();
    let backend = connect(&server.url()).await;
    backend.publish(vec![event(0)]).await.unwrap().await[0].as_ref().unwrap();
    server.kill();
    let mut told = None;
    for n in 1..500 {
        let result = match backend.publish(vec![event(n)]).await {
            Ok(receipts) => receipts.await.remove(0),
            Err(error) => Err(error),
        };
        match result.expect_err("nobody is there") {
            PublishError::InDoubt(_) => {}
            error => {
                told = Some(error);
                break;
            }
        }
    }
    assert!(matches!(told, Some(PublishError::Unavailable(_))), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_and_cells_go_on_after_the_server_was_away() {
    let mut server = NatsServer::start().unwrap();
    let backend = connect(&server.url()).await;
    publish_all(&backend, 0..10).await;
    let spec = QueueSpec {
        name: CellName::of(&["q"]),
        class: Class::Ev,
        topics: vec![TopicPattern::parse(">").unwrap()],
        start: Start::Oldest,
        ack_wait: Duration::from_secs(60),
    };
    let queue = backend.queue(spec).await.unwrap();
    let mut held = queue.pull(1).await.unwrap();
    let cell = CellName::of(&["c"]);
    backend.cell_store(&cell, "one".into(), None).await.unwrap();

    server.kill();
    server.run_again().unwrap();

    // What was lent before is still lent, and can be settled.
    let held = held.remove(0);
    let token = || handbell_backend::QueueToken { item: held.token.item, lease: held.token.lease };
    let settled = async {
        loop {
            match queue.settle(vec![(token(), Settlement::Ack)]).await {
                Ok(effects) => return effects,
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, settled).await.unwrap(), [true]);
    let mut seen = 1;
    while seen < 10 {
        let lent = tokio::time::timeout(PATIENCE, queue.pull(3)).await.expect("the queue lends").unwrap();
        seen += lent.len();
        let settlements = lent.into_iter().map(|delivery| (delivery.token, Settlement::Ack)).collect();
        assert!(queue.settle(settlements).await.unwrap().iter().all(|effect| *effect));
    }
    let value = backend.cell_load(&cell).await.unwrap().unwrap();
    let outcome = backend.cell_store(&cell, "two".into(), Some(value.version)).await.unwrap();
    assert!(matches!(outcome, StoreOutcome::Stored(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_late_is_waited_for() {
    let mut server = NatsServer::start().unwrap();
    let url = server.url();
    server.kill();
    let opening = tokio::spawn(async move { connect(&url).await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!opening.is_finished(), "nobody was there");
    server.run_again().unwrap();
    let backend = opening.await.unwrap();
    assert_eq!(backend.lag(&everything(Start::Oldest)).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patience_ends_with_what_was_tried() {
    let mut server = NatsServer::start().unwrap();
    let url = server.url();
    server.kill();
    let mut options = options(&url);
    options.patience = Some(Duration::from_millis(500));
    let error = handbell_backend_nats::open(options).await.unwrap_err().to_string();
    assert!(error.contains(&url) && error.contains("; "), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_hear_one_another_again_after_the_server_was_away() {
    let mut server = NatsServer::start().unwrap();
    let (one, two) = (connect(&server.url()).await, connect(&server.url()).await);
    let beat = |n| Outgoing { class: Class::Members, ..event(n) };
    one.publish(vec![beat(1)]).await.unwrap().await[0].as_ref().unwrap();
    // Its streams are in memory: they are gone with the process.
    server.kill();
    server.run_again().unwrap();
    let said = async {
        loop {
            if let Ok(receipts) = one.publish(vec![beat(2)]).await
                && receipts.await[0].is_ok()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, said).await.expect("a member can speak");
    let heard = TailSpec { class: Class::Members, ..everything(Start::Oldest) };
    let mut tail = two.tail(heard).await.unwrap();
    let item = tokio::time::timeout(PATIENCE, tail.next(10)).await.expect("a member is heard").unwrap();
    assert!(matches!(&item, TailItem::Records(records) if crate::common::number(&records[0]) == 2), "{item:?}");
}
