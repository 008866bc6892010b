//! `churn --connects 100000`: agents that connect, subscribe and go, half of
//! them without a word; the server's memory must stay what it was.

use std::time::Instant;

use integration_tests::{
    Server,
    load::{Arguments, churn, mib},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::read(&["connects", "waiting"])?;
    let (connects, waiting) = (arguments.get("connects", 100_000)?, arguments.get("waiting", 1_000_u64)?);
    let dir = tempfile::tempdir()?;
    let max_waiting = format!("sidecar.max_waiting={waiting}");
    let server = Server::start(dir.path(), &["--quiet", "--set", &max_waiting]).await?;
    println!("memory at the start: {}", mib(server.rss()?));
    let begun = Instant::now();
    let seen = churn::run(&server, connects).await?;
    for (count, rss) in &seen {
        println!("{count:>8} connects: {}", mib(*rss));
    }
    println!("{:.0} connects a second", connects as f64 / begun.elapsed().as_secs_f64());
    // The first third fills what has a bound: caches, sessions that wait.
    let (early, late) = (seen[2].1, seen[9].1);
    anyhow::ensure!(late < early + early / 4 + (8 << 20), "it has grown from {} to {}", mib(early), mib(late));
    Ok(())
}
