//! The embedded log as the suite's provider: one log per case, in a directory
//! of its own or in memory.

use std::{collections::HashMap, fs, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use handbell_backend::{Backend, Class};
use handbell_backend_conformance::{Case, Failure, Need, Provider};
use handbell_backend_embedded::{EmbeddedLog, Options, Retention};
use handbell_protocol::{Namespace, Timestamp, TopicPattern};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::Mutex;

/// How long events are kept; no case takes that long.
const AGE: Duration = Duration::from_secs(3_600);

const DATABASE: &str = "handbell.db";

/// What a name has in front of [`BESIDE`] names the log.
const BESIDE: &str = "-b";

/// The embedded log, durable or in memory.
pub(crate) struct Embedded {
    durable: bool,
    sites: Mutex<HashMap<String, Site>>,
}

/// One case's log, and the directory that it lies in.
struct Site {
    log: EmbeddedLog,
    dir: Option<TempDir>,
    /// Where crashed processes still believe that they have the log.
    left_behind: Vec<(EmbeddedLog, TempDir)>,
}

impl Embedded {
    /// Logs in directories if `durable`, else in memory.
    pub(crate) fn new(durable: bool) -> Arc<Self> {
        Arc::new(Self { durable, sites: Mutex::default() })
    }

    fn site(&self) -> Result<Site, Failure> {
        let dir = if self.durable { Some(TempDir::with_prefix("handbell-conformance-")?) } else { None };
        let log = open(dir.as_ref())?;
        Ok(Site { log, dir, left_behind: vec![] })
    }

    fn log_of(namespace: &Namespace) -> &str {
        namespace.as_str().strip_suffix(BESIDE).unwrap_or(namespace.as_str())
    }
}

fn open(dir: Option<&TempDir>) -> Result<EmbeddedLog, Failure> {
    let mut options = dir.map_or_else(Options::memory, |dir| Options::dir(dir.path()));
    let topics = TopicPattern::parse(">")?;
    options.retention = vec![Retention { class: Class::Ev, topics, age: Some(AGE), bytes: None }];
    Ok(EmbeddedLog::open(options)?)
}

#[async_trait]
impl Provider for Embedded {
    fn name(&self) -> &'static str {
        if self.durable { "embedded" } else { "embedded-memory" }
    }

    fn beside(&self, namespace: &Namespace) -> Result<Namespace, Failure> {
        Ok(Namespace::parse(&format!("{namespace}{BESIDE}"))?)
    }

    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn Backend>, Failure> {
        let mut sites = self.sites.lock().await;
        let name = Self::log_of(namespace);
        if !sites.contains_key(name) {
            sites.insert(name.into(), self.site()?);
        }
        Ok(sites[name].log.backend(namespace.clone()))
    }

    /// The directory as it is at this moment, copied: the old log goes on
    /// where nobody looks any more.
    async fn crash_and_reopen(&self, namespace: &Namespace) -> Result<Arc<dyn Backend>, Failure> {
        let mut sites = self.sites.lock().await;
        let site = sites.get_mut(Self::log_of(namespace)).ok_or_else(|| Failure::new("nothing is open"))?;
        let old = site.dir.take().ok_or_else(|| Failure::new("a log in memory survives nothing"))?;
        let new = TempDir::with_prefix("handbell-conformance-")?;
        let copied = copy_as_found_after_a_crash(old.path(), new.path());
        copied?;
        let log = open(Some(&new))?;
        site.dir = Some(new);
        site.left_behind.push((std::mem::replace(&mut site.log, log), old));
        Ok(site.log.backend(namespace.clone()))
    }

    async fn reopen(&self, namespace: &Namespace) -> Result<Arc<dyn Backend>, Failure> {
        let mut sites = self.sites.lock().await;
        let site = sites.get_mut(Self::log_of(namespace)).ok_or_else(|| Failure::new("nothing is open"))?;
        site.log.close().await;
        site.log = open(site.dir.as_ref())?;
        Ok(site.log.backend(namespace.clone()))
    }

    async fn trim(&self, namespace: &Namespace, class: Class) -> Result<(), Failure> {
        let sites = self.sites.lock().await;
        let site = sites.get(Self::log_of(namespace)).ok_or_else(|| Failure::new("nothing is open"))?;
        site.log.trim(Timestamp::now().after(2 * AGE)).await?;
        let left = site.log.backend(namespace.clone()).topics(class).await?;
        if left.is_empty() { Ok(()) } else { Err(Failure::new(format!("retention has left {left:?}"))) }
    }

    async fn make_again(&self, namespace: &Namespace) -> Result<Arc<dyn Backend>, Failure> {
        let mut sites = self.sites.lock().await;
        let name = Self::log_of(namespace);
        if let Some(site) = sites.remove(name) {
            site.log.close().await;
        }
        sites.insert(name.into(), self.site()?);
        Ok(sites[name].log.backend(namespace.clone()))
    }

    async fn end(&self, namespace: &Namespace) {
        self.sites.lock().await.remove(Self::log_of(namespace));
    }

    fn skip(&self, case: &Case) -> Option<String> {
        if case.needs.contains(&Need::Shared) {
            return Some("No outside client can reach the log inside a process: a topic that is declared `shared` is one like any other.".into());
        }
        let survives = [Need::Crash, Need::Reopen].iter().any(|need| case.needs.contains(need));
        (!self.durable && survives)
            .then(|| "A log in memory ends with its process: nothing of it survives, and nothing is promised.".into())
    }
}

/// Copies a database in use to what a killed process would leave. While this
/// reads, SQLite neither begins the write-ahead log anew nor moves into the
/// database what isn't in that log too; so the database first and its log
/// behind it are what a disk would have at one moment, with at most a torn
/// commit at the end.
fn copy_as_found_after_a_crash(from: &Path, to: &Path) -> Result<(), Failure> {
    let reading = Connection::open(from.join(DATABASE))?;
    reading.busy_timeout(Duration::from_secs(30))?;
    reading.execute_batch("BEGIN")?;
    reading.query_row("SELECT count(*) FROM meta", [], |row| row.get::<_, i64>(0))?;
    for file in [DATABASE.to_owned(), format!("{DATABASE}-wal")] {
        if from.join(&file).exists() {
            fs::copy(from.join(&file), to.join(&file))?;
        }
    }
    reading.execute_batch("COMMIT")?;
    Ok(())
}
