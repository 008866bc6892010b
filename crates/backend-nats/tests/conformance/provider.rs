//! NATS as the suite's provider: a server for each case, or a namespace for
//! each case on the server that `HANDBELL_TEST_NATS_URL` names.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use handbell_backend::{Backend, Class};
use handbell_backend_conformance::{Case, Failure, Provider};
use handbell_protocol::{Lane, Namespace, Topic};
use serde_json::json;
use tokio::sync::Mutex;

use crate::site::Site;

/// What a name has in front of [`BESIDE`] names the site.
const BESIDE: &str = "-b";

/// Sites, one for each case.
pub(crate) struct Nats {
    sites: Mutex<HashMap<String, Site>>,
}

impl Nats {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { sites: Mutex::default() })
    }

    fn site_of(namespace: &Namespace) -> &str {
        namespace.as_str().strip_suffix(BESIDE).unwrap_or(namespace.as_str())
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
        let name = Self::site_of(namespace);
        if !sites.contains_key(name) {
            sites.insert(name.into(), Site::start().await?);
        }
        let site = sites.get_mut(name).ok_or_else(|| Failure::new("no server"))?;
        site.open(namespace).await
    }

    async fn open_shared(&self, namespace: &Namespace, topic: &Topic) -> Result<Arc<dyn Backend>, Failure> {
        let mut sites = self.sites.lock().await;
        let name = Self::site_of(namespace);
        if !sites.contains_key(name) {
            sites.insert(name.into(), Site::start().await?);
        }
        let site = sites.get_mut(name).ok_or_else(|| Failure::new("no server"))?;
        site.open_with(namespace, [topic.clone()].into()).await
    }

    async fn crash_and_reopen(&self, namespace: &Namespace) -> Result<Arc<dyn Backend>, Failure> {
        let mut sites = self.sites.lock().await;
        let site = sites.get_mut(Self::site_of(namespace)).ok_or_else(|| Failure::new("nothing is open"))?;
        site.crash().await?;
        site.open(namespace).await
    }

    async fn reopen(&self, namespace: &Namespace) -> Result<Arc<dyn Backend>, Failure> {
        let mut sites = self.sites.lock().await;
        let site = sites.get_mut(Self::site_of(namespace)).ok_or_else(|| Failure::new("nothing is open"))?;
        site.close().await;
        site.open(namespace).await
    }

    async fn trim(&self, namespace: &Namespace, class: Class) -> Result<(), Failure> {
        let sites = self.sites.lock().await;
        let site = sites.get(Self::site_of(namespace)).ok_or_else(|| Failure::new("nothing is open"))?;
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
        let name = Self::site_of(namespace);
        if let Some(old) = sites.remove(name) {
            old.delete(name).await?;
        }
        let mut site = Site::start().await?;
        let backend = site.open(namespace).await?;
        sites.insert(name.into(), site);
        Ok(backend)
    }

    async fn end(&self, namespace: &Namespace) {
        let name = Self::site_of(namespace);
        let site = self.sites.lock().await.remove(name);
        if let Some(site) = site {
            // What stays on a server that others use is in nobody's way.
            drop(site.delete(name).await);
        }
    }

    /// Several servers and cases share a small machine.
    fn slack(&self) -> Duration {
        Duration::from_secs(4)
    }

    fn skip(&self, _case: &Case) -> Option<String> {
        None
    }
}
