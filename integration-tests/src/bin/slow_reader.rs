//! `slow_reader --seconds 10`: how one agent that stops reading changes the
//! rate of the others, within one run.

use std::time::Duration;

use integration_tests::{
    Server,
    load::{Arguments, mib, slow_reader},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::read(&["seconds"])?;
    let time = Duration::from_secs(arguments.get("seconds", 10)?);
    let dir = tempfile::tempdir()?;
    let mut flags = vec!["--quiet"];
    flags.extend(slow_reader::SETTINGS.iter().flat_map(|setting| ["--set", setting]));
    let server = Server::start(dir.path(), &flags).await?;
    let report = slow_reader::run(&server, time).await?;
    let ratio = report.beside / report.before;
    println!("the others: {:.0} events/s alone, {:.0} beside a slow reader: {ratio:.2}", report.before, report.beside);
    println!("memory: {} before, at most {} later", mib(report.rss.0), mib(report.rss.1));
    println!("closed with {:?}; {} of {} events found after the return", report.closed, report.found.1, report.found.0);
    anyhow::ensure!(report.closed == Some(1013) && report.found.0 == report.found.1);
    Ok(())
}
