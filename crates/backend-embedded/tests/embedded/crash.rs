//! `kill -9`: a child process publishes, lends and settles until it is killed;
//! what it was told must be there afterwards.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use handbell_backend::{Backend, Settlement, Start};

use crate::common::{on_disk, out, publish, read, soon, spec, stored, with_key};

const ROUNDS: u32 = 8;
const DIR: &str = "HANDBELL_TEST_CRASH_DIR";
const ROUND: &str = "HANDBELL_TEST_CRASH_ROUND";

/// What the child was told before it died.
#[derive(Default)]
struct Told {
    /// IDs with their offsets.
    stored: BTreeMap<String, u64>,
    lent: BTreeSet<String>,
    acked: BTreeSet<String>,
}

#[tokio::test]
async fn kill_9_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut told = Told::default();
    for round in 0..ROUNDS {
        run_and_kill(dir.path(), round, &mut told);
        check(dir.path(), &told).await;
    }
    assert!(told.stored.len() > 1_000 && told.acked.len() > 100, "the child got nowhere");
}

fn run_and_kill(dir: &Path, round: u32, told: &mut Told) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_that_is_killed", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let Ok(line) = line else { break };
        told.note(&line);
        lines += 1;
        if lines == 300 + 137 * round {
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success(), "it was killed");
}

impl Told {
    fn note(&mut self, line: &str) {
        // A line may be cut off by the kill: whole ones end in a dot.
        let Some(line) = line.strip_suffix(" .") else { return };
        let mut words = line.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("stored"), Some(id), Some(offset)) => {
                let other = self.stored.insert(id.into(), offset.parse().unwrap());
                assert_eq!(other, None, "{id} was acknowledged twice");
            }
            (Some("lent"), Some(id), _) => drop(self.lent.insert(id.into())),
            (Some("acked"), Some(id), _) => drop(self.acked.insert(id.into())),
            _ => {}
        }
    }
}

async fn check(dir: &Path, told: &Told) {
    let (log, backend) = on_disk(dir);
    let records = read(&*backend, spec(&["t.>"], &Start::Oldest)).await;
    let mut there = BTreeMap::new();
    for record in &records {
        let other = there.insert(record.envelope.event.id.clone(), record.position.offset);
        assert_eq!(other, None, "{} is stored twice", record.envelope.event.id);
    }
    for (id, offset) in &told.stored {
        assert_eq!(there.get(id), Some(offset), "{id} was acknowledged");
        let again = stored(&*backend, with_key(out(id, "t.0", 0), id, None)).await;
        assert!(again.duplicate, "{id} is known by its key");
    }
    check_queue(&*backend, told, &there).await;
    log.close().await;
}

async fn check_queue(backend: &dyn Backend, told: &Told, there: &BTreeMap<String, u64>) {
    let queue = backend.queue(super::queue::spec("q", &["t.>"])).await.unwrap();
    let mut left = BTreeMap::new();
    loop {
        let Ok(lent) = tokio::time::timeout(Duration::from_millis(100), queue.pull(500)).await else { break };
        for delivery in lent.unwrap() {
            left.insert(delivery.record.envelope.event.id.clone(), (delivery.attempt, delivery.suspect));
            let back = Settlement::Nak { delay: Duration::from_secs(3_600), counted: false };
            assert_eq!(queue.settle(vec![(delivery.token, back)]).await.unwrap(), [true]);
        }
    }
    for id in there.keys() {
        assert!(!(told.acked.contains(id) && left.contains_key(id)), "{id} was settled");
    }
    for id in told.lent.difference(&told.acked).filter(|id| left.contains_key(*id)) {
        let (attempt, suspect) = left[id];
        assert!(attempt >= 2 && suspect, "{id} was out: {attempt} {suspect}");
    }
}

/// Not a test: what the parent starts and kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by kill_9_loses_nothing_that_was_acknowledged"]
async fn child_that_is_killed() {
    let dir = std::env::var(DIR).unwrap();
    let round: u32 = std::env::var(ROUND).unwrap().parse().unwrap();
    let (_log, backend) = on_disk(Path::new(&dir));
    for publisher in 0..4_u16 {
        let backend = std::sync::Arc::clone(&backend);
        tokio::spawn(async move {
            for n in 0.. {
                let id = |m| format!("{round}-{publisher}-{n}-{m}");
                let batch = (0..5).map(|m| with_key(out(&id(m), &format!("t.{publisher}"), publisher), &id(m), None));
                for receipt in publish(&*backend, batch.collect()).await {
                    let stored = receipt.unwrap();
                    say(&format!("stored {} {} .", stored.id, stored.position.offset));
                }
            }
        });
    }
    let queue = backend.queue(super::queue::spec("q", &["t.>"])).await.unwrap();
    for pulled in 0.. {
        let mut lent = soon(queue.pull(20)).await.unwrap();
        let id = |delivery: &handbell_backend::QueueDelivery| delivery.record.envelope.event.id.clone();
        lent.iter().for_each(|delivery| say(&format!("lent {} .", id(delivery))));
        let unsettled = lent.split_off(lent.len() - usize::from(pulled % 3 == 0));
        let ids: Vec<String> = lent.iter().map(id).collect();
        let settlements = lent.into_iter().map(|delivery| (delivery.token, Settlement::Ack)).collect();
        assert!(queue.settle(settlements).await.unwrap().iter().all(|done| *done));
        ids.iter().for_each(|id| say(&format!("acked {id} .")));
        drop(unsettled);
    }
}

fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(format!("{line}\n").as_bytes()).unwrap();
    stdout.flush().unwrap();
}
