//! Three servers that keep each record.

use std::{sync::Arc, time::Duration};

use handbell_backend_nats::{NatsBackend, open};
use handbell_test_support::NatsServer;

use crate::common::{PATIENCE, assert_each_once, options, publish_all, read};

const EVENTS: u64 = 5_000;

/// A cluster needs some seconds until it has chosen a leader.
async fn connect(servers: &[NatsServer]) -> NatsBackend {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let mut options = options("");
        options.urls = servers.iter().map(NatsServer::url).collect();
        options.replicas = 3;
        match open(options).await {
            Ok(backend) => return backend,
            Err(error) => assert!(tokio::time::Instant::now() < until, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_loses_one_server_after_the_other_loses_no_record() {
    let mut servers = NatsServer::cluster(3).unwrap();
    let backend = Arc::new(connect(&servers).await);
    let writer = Arc::clone(&backend);
    let publishing = tokio::spawn(async move { publish_all(&*writer, 0..EVENTS).await });
    // Whoever leads is among them.
    for server in &mut servers {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        server.run_again().unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    tokio::time::timeout(PATIENCE, publishing).await.expect("publishing ends").unwrap();
    assert_each_once(&read(&*backend, EVENTS as usize).await, EVENTS);
}
