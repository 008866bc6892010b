//! A nats-server per case as the suite's provider: crashes are real ones.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use handbell_backend::{Backend, Class};
use handbell_backend_conformance::{Case, Failure, Provider};
use handbell_backend_nats::{Options, open};
use handbell_protocol::{Lane, Namespace};
use handbell_test_support::NatsServer;
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// What a name has in front of [`BESIDE`] names the server.
const BESIDE: &str = "-b";

/// The server writes what it knows of its consumers (which deliveries are
/// settled, and how often each was delivered) a moment after it has answered,
/// at most ten times a second. A crash of the server itself can cost that
/// moment; the suite's crashes are those of Handbell's processes, so it waits.
const WRITTEN: Duration = Duration::from_millis(300);

/// Real servers, one for each case.
pub(crate) struct Nats {
    sites: Mutex<HashMap<String, Site>>,
}

/// A case's server, and everybody who has opened it.
struct Site {
    server: NatsServer,
    open: Vec<Arc<dyn Backend>>,
}

impl Nats {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { sites: Mutex::default() })
    }

    fn server_of(namespace: &Namespace) -> &str {
        namespace.as_str().strip_suffix(BESIDE).unwrap_or(namespace.as_str())
    }
}

impl Site {
    fn start() -> Result<Self, Failure> {
        Ok(Self { server: NatsServer::start()?, open: vec![] })
    }

    async fn open(&mut self, namespace: &Namespace) -> Result<Arc<dyn Backend>, Failure> {
        let mut options = Options::new(vec![self.server.url()], namespace.clone());
        options.patience = Some(Duration::from_secs(10));
        let backend = Arc::new(open(options).await?) as Arc<dyn Backend>;
        self.open.push(Arc::clone(&backend));
        Ok(backend)
    }

    async fn api(&self, operation: &str) -> Result<Value, Failure> {
        let client = async_nats::connect(self.server.url()).await?;
        let answer = client.request(format!("$JS.API.{operation}"), json!({}).to_string().into()).await?;
        Ok(serde_json::from_slice(&answer.payload)?)
    }
}

#[async_trait]
impl Provider for Nats {
    fn name(&self) -> &'static str {
        "nats"
    }

    fn beside(&self, namespace: &Namespace) -> Result<Namespace, Failure> {
        Ok(Namespace::parse(&format!("{namespace}{BESIDE}"))?)
    }

    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn Backend>, Failure> {
        let mut sites = self.sites.lock().await;
        let name = Self::server_of(namespace);
        if !sites.contains_key(name) {
            sites.insert(name.into(), Site::start()?);
        }
        let site = sites.get_mut(name).ok_or_else(|| Failure::new("no server"))?;
        site.open(namespace).await
    }

    /// The server is killed and comes back where its old clients don't look.
    async fn crash_and_reopen(&self, namespace: &Namespace) -> Result<Arc<dyn Backend>, Failure> {
        let mut sites = self.sites.lock().await;
        let site = sites.get_mut(Self::server_of(namespace)).ok_or_else(|| Failure::new("nothing is open"))?;
        tokio::time::sleep(WRITTEN).await;
        site.server.run_elsewhere()?;
        site.open(namespace).await
    }

    async fn reopen(&self, namespace: &Namespace) -> Result<Arc<dyn Backend>, Failure> {
        let mut sites = self.sites.lock().await;
        let site = sites.get_mut(Self::server_of(namespace)).ok_or_else(|| Failure::new("nothing is open"))?;
        for backend in site.open.drain(..) {
            backend.close().await;
        }
        site.open(namespace).await
    }

    async fn trim(&self, namespace: &Namespace, class: Class) -> Result<(), Failure> {
        let sites = self.sites.lock().await;
        let site = sites.get(Self::server_of(namespace)).ok_or_else(|| Failure::new("nothing is open"))?;
        for lane in Lane::ALL {
            let stream = format!("hb-{namespace}-{}-{}", class.as_str(), lane.as_str());
            let answer = site.api(&format!("STREAM.PURGE.{stream}")).await?;
            if answer["success"] != json!(true) {
                return Err(Failure::new(format!("{stream} isn't purged: {answer}")));
            }
        }
        Ok(())
    }

    async fn make_again(&self, namespace: &Namespace) -> Result<Arc<dyn Backend>, Failure> {
        let mut sites = self.sites.lock().await;
        let name = Self::server_of(namespace);
        sites.insert(name.into(), Site::start()?);
        let site = sites.get_mut(name).ok_or_else(|| Failure::new("no server"))?;
        site.open(namespace).await
    }

    async fn end(&self, namespace: &Namespace) {
        self.sites.lock().await.remove(Self::server_of(namespace));
    }

    fn skip(&self, _case: &Case) -> Option<String> {
        None
    }
}
