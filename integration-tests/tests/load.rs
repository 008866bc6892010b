//! Short forms of the runs under load; the long ones are the programs in
//! `src/bin`.

#![allow(clippy::unwrap_used, reason = "in a test a failure is best seen where it happens")]

use std::time::Duration;

use integration_tests::{
    Server,
    load::{churn, crowd, slow_reader},
};

/// Much more than any of these runs may add to the server's memory.
const ROOM: u64 = 96 << 20;

/// How many sessions stand, those that wait to be resumed included.
async fn sessions(server: &Server) -> u64 {
    let (_, metrics) = integration_tests::get(&server.admin, "/metrics").await.unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix("handbell_sessions ")).unwrap();
    line.trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_s_counts_match() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await.unwrap();
    let counts = crowd::run(&server.agents[0], 40, 3).await.unwrap();
    assert_eq!(counts, crowd::Counts { published: 120, delivered: 120, again: 0 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_that_come_and_go_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--set", "sidecar.max_waiting=20"]).await.unwrap();
    let seen = churn::run(&server, 600).await.unwrap();
    let (first, last) = (seen[0].1, seen[9].1);
    assert!(last < first + ROOM, "{seen:?}");
    let few_are_left = async {
        while sessions(&server).await > 20 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), few_are_left).await.expect("sessions are left behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_closed_with_1013_and_finds_everything_after_its_return() {
    let dir = tempfile::tempdir().unwrap();
    let sets: Vec<&str> = slow_reader::SETTINGS.iter().flat_map(|setting| ["--set", setting]).collect();
    let server = Server::start(dir.path(), &sets).await.unwrap();
    let report = slow_reader::run(&server, Duration::from_secs(4)).await.unwrap();
    println!("beside a slow reader the others kept {:.2} of their rate", report.beside / report.before);
    assert_eq!(report.closed, Some(1013), "{report:?}");
    assert!(report.found.0 > 0 && report.found.0 == report.found.1, "{report:?}");
    assert!(report.rss.1 < report.rss.0 + ROOM, "{report:?}");
}
