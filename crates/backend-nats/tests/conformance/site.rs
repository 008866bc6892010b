//! Where a case runs: a server of its own, or a namespace on one that runs
//! already, reached through a proxy.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use handbell_backend::Backend;
use handbell_backend_conformance::Failure;
use handbell_backend_nats::{Options, open};
use handbell_protocol::{Namespace, Topic};
use handbell_test_support::{NatsServer, Proxy, nats_url};
use serde_json::{Value, json};

/// The server writes what it knows of its consumers (which deliveries are
/// settled, and how often each was delivered) a moment after it has answered,
/// at most ten times a second. A crash of the server itself can cost that
/// moment; the suite's crashes are those of Handbell's processes, so it waits
/// until nothing was written for that long.
const WRITTEN: Duration = Duration::from_millis(300);

/// A case's way to a server, and everybody who has opened it.
pub(crate) struct Site {
    road: Road,
    open: Vec<Arc<dyn Backend>>,
}

enum Road {
    /// A server of its own, which is killed in a crash.
    Own(NatsServer),
    /// Others use the server too: in a crash only the way to it ends, for all
    /// who went it.
    Shared { url: String, proxy: Proxy, left_behind: Vec<Proxy> },
}

impl Site {
    pub(crate) async fn start() -> Result<Self, Failure> {
        let road = match nats_url() {
            None => Road::Own(NatsServer::start()?),
            Some(url) => Road::Shared { proxy: Proxy::start(&url).await?, url, left_behind: vec![] },
        };
        Ok(Self { road, open: vec![] })
    }

    pub(crate) async fn open(&mut self, namespace: &Namespace) -> Result<Arc<dyn Backend>, Failure> {
        self.open_with(namespace, BTreeSet::new()).await
    }

    /// Opens it with shared topics.
    pub(crate) async fn open_with(
        &mut self,
        namespace: &Namespace,
        shared: BTreeSet<Topic>,
    ) -> Result<Arc<dyn Backend>, Failure> {
        let url = match &self.road {
            Road::Own(server) => server.url(),
            Road::Shared { proxy, .. } => proxy.url(),
        };
        let mut options = Options::new(vec![url], namespace.clone());
        options.patience = Some(Duration::from_secs(10));
        options.shared = shared;
        let backend = Arc::new(open(options).await?) as Arc<dyn Backend>;
        self.open.push(Arc::clone(&backend));
        Ok(backend)
    }

    /// Everybody who has it open is cut off for ever.
    pub(crate) async fn crash(&mut self) -> Result<(), Failure> {
        match &mut self.road {
            Road::Own(server) => {
                tokio::time::sleep(WRITTEN).await;
                while newest(&server.store()).is_some_and(|at| at.elapsed().is_ok_and(|since| since < WRITTEN)) {
                    tokio::time::sleep(WRITTEN / 6).await;
                }
                server.run_elsewhere()?;
            }
            Road::Shared { url, proxy, left_behind } => {
                let old = std::mem::replace(proxy, Proxy::start(url).await?);
                old.refuse(true);
                old.cut();
                left_behind.push(old);
            }
        }
        Ok(())
    }

    /// Everybody who has it open ends in good order.
    pub(crate) async fn close(&mut self) {
        for backend in self.open.drain(..) {
            backend.close().await;
        }
    }

    /// Calls JetStream's API past everything.
    pub(crate) async fn api(&self, operation: &str) -> Result<Value, Failure> {
        let url = match &self.road {
            Road::Own(server) => server.url(),
            Road::Shared { url, .. } => url.clone(),
        };
        let client = async_nats::connect(url).await?;
        let answer = client.request(format!("$JS.API.{operation}"), json!({}).to_string().into()).await?;
        Ok(serde_json::from_slice(&answer.payload)?)
    }

    /// Deletes the streams of a namespace, where its server isn't just ended.
    pub(crate) async fn delete(&self, namespace: &str) -> Result<(), Failure> {
        if matches!(self.road, Road::Own(_)) {
            return Ok(());
        }
        let listed = self.api("STREAM.NAMES").await?;
        for name in listed["streams"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if name.trim_start_matches("KV_").starts_with(&format!("hb-{namespace}-"))
                || name.starts_with(&format!("hb-shared-{namespace}="))
            {
                self.api(&format!("STREAM.DELETE.{name}")).await?;
            }
        }
        Ok(())
    }
}

/// When anything below a directory was written last.
fn newest(dir: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(dir).ok()?.flatten();
    let written = entries.filter_map(|entry| match entry.file_type().ok()?.is_dir() {
        true => newest(&entry.path()),
        false => entry.metadata().ok()?.modified().ok(),
    });
    written.max()
}
