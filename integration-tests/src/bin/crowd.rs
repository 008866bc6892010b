//! `crowd --agents 1000 --seconds 60`: that many agents at once, each
//! publishing one event a second to another; every count must match.

use std::time::Instant;

use integration_tests::{
    Server,
    load::{Arguments, crowd, mib},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::read(&["agents", "seconds"])?;
    let (agents, seconds) = (arguments.get("agents", 1_000)?, arguments.get("seconds", 60)?);
    let dir = tempfile::tempdir()?;
    let server = Server::start(dir.path(), &["--quiet"]).await?;
    let (empty, begun) = (server.rss()?, Instant::now());
    let counts = crowd::run(&server.agents[0], agents, seconds).await?;
    let (full, took) = (server.rss()?, begun.elapsed().as_secs_f64());
    println!("{agents} agents, {seconds} events each, {took:.1} s: {counts:?}");
    println!("memory: {} before, {} after", mib(empty), mib(full));
    anyhow::ensure!(counts == crowd::Counts { published: agents * seconds, delivered: agents * seconds, ..counts });
    Ok(())
}
