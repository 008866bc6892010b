//! A provider whose backends lie.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use handbell_backend::{Backend, Class};
use handbell_protocol::{Namespace, Topic};

use super::{Lie, backend::Liar};
use crate::{Case, Failure, Provider};

/// Another provider's backends, each with the same lie.
pub struct Sabotaged {
    inner: Arc<dyn Provider>,
    lie: Lie,
    /// Backends opened so far: a lie may be of one member only.
    opened: AtomicUsize,
}

impl Sabotaged {
    /// The backends of `inner`, lying.
    #[must_use]
    pub fn new(inner: Arc<dyn Provider>, lie: Lie) -> Arc<Self> {
        Arc::new(Self { inner, lie, opened: AtomicUsize::new(0) })
    }

    fn wrap(&self, honest: Arc<dyn Backend>) -> Arc<dyn Backend> {
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        Arc::new(Liar::new(honest, self.lie, number))
    }
}

#[async_trait]
impl Provider for Sabotaged {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn beside(&self, namespace: &Namespace) -> Result<Namespace, Failure> {
        self.inner.beside(namespace)
    }

    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn Backend>, Failure> {
        Ok(self.wrap(self.inner.open(namespace).await?))
    }

    async fn open_shared(&self, namespace: &Namespace, topic: &Topic) -> Result<Arc<dyn Backend>, Failure> {
        Ok(self.wrap(self.inner.open_shared(namespace, topic).await?))
    }

    async fn crash_and_reopen(&self, namespace: &Namespace) -> Result<Arc<dyn Backend>, Failure> {
        Ok(self.wrap(self.inner.crash_and_reopen(namespace).await?))
    }

    async fn reopen(&self, namespace: &Namespace) -> Result<Arc<dyn Backend>, Failure> {
        Ok(self.wrap(self.inner.reopen(namespace).await?))
    }

    async fn trim(&self, namespace: &Namespace, class: Class) -> Result<(), Failure> {
        self.inner.trim(namespace, class).await
    }

    async fn make_again(&self, namespace: &Namespace) -> Result<Arc<dyn Backend>, Failure> {
        Ok(self.wrap(self.inner.make_again(namespace).await?))
    }

    async fn end(&self, namespace: &Namespace) {
        self.inner.end(namespace).await;
    }

    fn slack(&self) -> Duration {
        self.inner.slack()
    }

    fn skip(&self, case: &Case) -> Option<String> {
        self.inner.skip(case)
    }
}
