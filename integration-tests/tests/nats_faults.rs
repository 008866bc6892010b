//! Sidecars over NATS while something breaks: servers, the network, the
//! sidecars themselves. A checker knows every event.

#![allow(clippy::unwrap_used, reason = "in a test a failure is best seen where it happens")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use handbell_test_support::{Fault, NatsServer, Proxy, Way};
use integration_tests::{Agent, Checker, Publisher, Server, Shared, Worker, lock};
use serde_json::json;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(180);
/// A window of publishes and what was read ahead take no more than that, in a
/// build for tests.
const MEMORY: u64 = 400 << 20;

/// Two sidecars, a worker at each, and a publisher.
struct Field {
    sidecars: Vec<Server>,
    checker: Shared,
    workers: Vec<JoinHandle<anyhow::Result<()>>>,
    events: u64,
}

impl Field {
    async fn start(urls: [&str; 2], events: u64) -> Self {
        let checker = Shared::new(Mutex::default());
        let (mut sidecars, mut workers) = (vec![], vec![]);
        for (n, url) in urls.into_iter().enumerate() {
            let sidecar = Server::sidecar(url, &[]).await.unwrap();
            let worker = Worker::join(&sidecar.agents[0], &format!("/stays-{n}"), &checker).await.unwrap();
            workers.push(tokio::spawn(worker.work(move |checker| checker.is_over(events))));
            sidecars.push(sidecar);
        }
        Self { sidecars, checker, workers, events }
    }

    /// Publishes everything through the first sidecar, so many at a time.
    fn publish(&self, portion: u64) -> JoinHandle<Publisher> {
        let mut publisher = Publisher::new("/counter", "count.up", self.events);
        let (url, checker) = (self.sidecars[0].agents[0].clone(), Arc::clone(&self.checker));
        tokio::spawn(async move {
            while !publisher.is_done() {
                publisher.run(&url, portion).await.unwrap();
                publisher.published.iter().for_each(|(n, id)| lock(&checker).published(*n, id));
                sleep(Duration::from_millis(20)).await;
            }
            publisher
        })
    }

    /// Waits until all is done, and says what doesn't hold.
    async fn end(self, publishing: JoinHandle<Publisher>) -> (Publisher, Checker) {
        let publisher = timeout(PATIENCE, publishing).await.expect("publishing ends").unwrap();
        for worker in self.workers {
            let ended = timeout(PATIENCE, worker).await;
            let done = lock(&self.checker).done();
            ended.unwrap_or_else(|_| panic!("{done} of {} are settled", self.events)).unwrap().unwrap();
        }
        let checker = std::mem::take(&mut *lock(&self.checker));
        checker.verify(self.events).unwrap();
        for sidecar in &self.sidecars {
            let held = sidecar.rss().unwrap();
            assert!(held < MEMORY, "a sidecar holds {held} bytes");
        }
        (publisher, checker)
    }
}

/// Both sidecars behind proxies, to which `harm` is done while 3,000 events
/// are published and worked on.
async fn under<F: Future<Output = ()>>(harm: impl FnOnce([Arc<Proxy>; 2], Shared) -> F) -> Publisher {
    let nats = NatsServer::start().unwrap();
    let one = Arc::new(Proxy::start(&nats.url()).await.unwrap());
    let two = Arc::new(Proxy::start(&nats.url()).await.unwrap());
    let field = Field::start([&one.url(), &two.url()], 3_000).await;
    let publishing = field.publish(60);
    sleep(Duration::from_millis(300)).await;
    harm([Arc::clone(&one), Arc::clone(&two)], Arc::clone(&field.checker)).await;
    for proxy in [&one, &two] {
        proxy.set(Way::There, Fault::None);
        proxy.set(Way::Back, Fault::None);
    }
    let (publisher, _) = field.end(publishing).await;
    publisher
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_again_and_again() {
    under(|proxies, _| async move {
        for _ in 0..5 {
            for proxy in &proxies {
                sleep(Duration::from_millis(200)).await;
                proxy.cut();
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loss_in_one_direction_and_then_in_the_other() {
    under(|proxies, _| async move {
        for way in [Way::Back, Way::There] {
            for proxy in &proxies {
                proxy.set(way, Fault::Loss);
                sleep(Duration::from_millis(600)).await;
                proxy.cut();
                proxy.set(way, Fault::None);
                sleep(Duration::from_millis(300)).await;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_beyond_all_patience_is_told_and_ends_well() {
    let publisher = under(|proxies, checker| async move {
        for way in [Way::Back, Way::There] {
            proxies[0].set(way, Fault::Silence);
            sleep(Duration::from_secs(8)).await;
            lock(&checker).taken_over();
            proxies[0].set(way, Fault::None);
            sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
    assert!(publisher.refused.contains_key("in_doubt"), "nothing was in doubt: {:?}", publisher.refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_road_and_a_slow_drip() {
    under(|proxies, _| async move {
        for fault in [Fault::Delay(Duration::from_millis(30)), Fault::Drip(2_048)] {
            for proxy in &proxies {
                proxy.set(Way::There, fault);
                proxy.set(Way::Back, fault);
            }
            sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_is_killed_while_twenty_thousand_events_are_published() {
    let mut nats = NatsServer::start().unwrap();
    let field = Field::start([&nats.url(), &nats.url()], 20_000).await;
    let publishing = field.publish(1_000);
    for pause in [1_000, 2_000, 2_000] {
        sleep(Duration::from_millis(pause)).await;
        nats.kill();
        sleep(Duration::from_millis(500)).await;
        nats.run_again().unwrap();
    }
    assert!(!publishing.is_finished(), "all was published before the last kill");
    // While the server is away, members may miss one another.
    (0..3).for_each(|_| lock(&field.checker).taken_over());
    let (publisher, _) = field.end(publishing).await;
    assert!(!publisher.resent.is_empty(), "no publish was under way at a kill");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sidecars_that_come_and_go_every_second_under_load() {
    const EVENTS: u64 = 12_000;
    let nats = NatsServer::start().unwrap();
    let field = Field::start([&nats.url(), &nats.url()], EVENTS).await;
    let publishing = field.publish(150);
    let mut guests = 0;
    while !publishing.is_finished() {
        let mut sidecar = Server::sidecar(&nats.url(), &[]).await.unwrap();
        let guest = Worker::join(&sidecar.agents[0], "/guest", &field.checker).await.unwrap();
        let working = tokio::spawn(guest.work(|_| false));
        sleep(Duration::from_secs(1)).await;
        sidecar.terminate().await.unwrap();
        assert_eq!(sidecar.exit_code().await.unwrap(), Some(0));
        timeout(PATIENCE, working).await.expect("a guest goes").unwrap().unwrap();
        guests += 1;
    }
    let (_, checker) = field.end(publishing).await;
    assert!(guests >= 3, "only {guests} sidecars came and went");
    // They leave in good order: what they had was settled, or not begun.
    assert_eq!(checker.again(), 0, "deliveries that came again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_for_a_minute_at_the_start() {
    let mut nats = NatsServer::start().unwrap();
    let url = nats.url();
    nats.kill();
    let starting = tokio::spawn(async move { Server::sidecar_within(PATIENCE, &url, &[]).await });
    sleep(Duration::from_secs(60)).await;
    assert!(!starting.is_finished(), "nobody was there");
    nats.run_again().unwrap();
    let begun = Instant::now();
    let sidecar = timeout(PATIENCE, starting).await.expect("it starts").unwrap().unwrap();
    let mut agent = Agent::named(&sidecar.agents[0], "/a").await.unwrap();
    let publish = json!({"op":"publish","seq":1,"event":{"type":"E"},"payload":1,"routing":{"topic":"count.up"}});
    agent.ask(&publish, "published").await.unwrap();
    println!("ready {:?} after the server was", begun.elapsed());
}
