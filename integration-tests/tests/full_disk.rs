//! The disk is full while agents publish: each is told, nothing that was
//! acknowledged is lost, and it goes on when there is space.

#![allow(clippy::unwrap_used, reason = "in a test a failure is best seen where it happens")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use integration_tests::{Agent, PATIENCE, Server, delivery_of};
use serde_json::{Value, json};

/// Room for the whole test in one small disk.
const DISK: &str = "size=32m";

/// A disk of its own, unmounted when it is dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(folder: &Path) -> Result<Self, String> {
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", DISK, "handbell-test"])
            .arg(folder)
            .output()
            .map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(Self(folder.to_owned())),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The folder is a temporary one: what stays mounted is told by the system.
        let _status = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// An agent that publishes one event after the other, as the protocol asks for.
struct Publisher {
    agent: Agent,
    seq: u64,
    acknowledged: BTreeSet<String>,
}

impl Publisher {
    async fn new(url: &str, number: usize) -> Self {
        let agent = Agent::named(url, &format!("/publisher/{number}")).await.unwrap();
        Self { agent, seq: 1, acknowledged: BTreeSet::new() }
    }

    /// Publishes until it is told something else than `published`.
    async fn until_told(&mut self) -> Value {
        loop {
            let answer = self.publish().await;
            if answer["op"] != "published" {
                return answer;
            }
        }
    }

    /// Publishes the same until it is `published`.
    async fn until_published(&mut self) {
        let trying = async { while self.publish().await["op"] != "published" {} };
        tokio::time::timeout(PATIENCE, trying).await.unwrap();
    }

    async fn publish(&mut self) -> Value {
        let frame = json!({"op":"publish","seq":self.seq,"event":{"type":"X"},"payload":"x".repeat(20_000),"routing":{"topic":"t"}});
        self.agent.send(&frame).await.unwrap();
        let answer = self.agent.next().await.unwrap().expect("never a close");
        if answer["op"] == "published" {
            self.seq += 1;
            self.acknowledged.insert(answer["id"].as_str().unwrap().to_owned());
        } else if let Some(wait) = answer["retry_after_ms"].as_u64() {
            tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
        }
        answer
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_to_each_agent_and_nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let disk = match Disk::mount(dir.path()) {
        Ok(disk) => disk,
        Err(why) => {
            println!("SKIPPED: a small disk can't be mounted here, which needs root on Linux: {why}");
            return;
        }
    };
    let ballast = dir.path().join("ballast");
    std::fs::write(&ballast, vec![1; 20 << 20]).unwrap();
    let mut server = Server::start(&dir.path().join("data"), &[]).await.unwrap();
    let url = server.agents[0].clone();
    let mut publishers = Vec::new();
    for number in 0..3 {
        publishers.push(Publisher::new(&url, number).await);
    }
    for publisher in &mut publishers {
        let told = publisher.until_told().await;
        assert_eq!((&told["op"], &told["seq"]), (&json!("rejected"), &json!(publisher.seq)), "{told}");
        let code = told["code"].as_str().unwrap();
        assert!(["backend_unavailable", "in_doubt"].contains(&code), "{told}");
        assert!(told["reason"].as_str().unwrap().contains("full"), "{told}");
    }
    std::fs::remove_file(&ballast).unwrap();
    for publisher in &mut publishers {
        publisher.until_published().await;
    }
    let all: BTreeSet<String> = publishers.iter().flat_map(|publisher| publisher.acknowledged.clone()).collect();
    assert!(all.len() > 100, "hardly any were stored before the disk was full: {}", all.len());
    assert_eq!(read_all(&url, all.len()).await, all);
    // And from the disk itself.
    server.kill().await.unwrap();
    server.restart().await.unwrap();
    assert_eq!(read_all(&server.agents[0], all.len()).await, all);
    drop(server);
    drop(disk);
}

/// The IDs of all that is stored.
async fn read_all(url: &str, least: usize) -> BTreeSet<String> {
    let mut agent = Agent::named(url, "/reader").await.unwrap();
    let subscribe = json!({"op":"subscribe","sub":"s","topics":["t"],"from":"start","level":true});
    agent.ask(&subscribe, "subscribed").await.unwrap();
    let mut found = BTreeSet::new();
    loop {
        let frame = agent.next().await.unwrap().unwrap();
        match frame["op"].as_str() {
            Some("deliver") => {
                found.insert(frame["event"]["id"].as_str().unwrap().to_owned());
                agent.send(&json!({"op":"ack","deliveries":[delivery_of(&frame)]})).await.unwrap();
            }
            Some("level") => break,
            _ => panic!("{frame}"),
        }
    }
    assert!(found.len() >= least, "{} of {least}", found.len());
    found
}
