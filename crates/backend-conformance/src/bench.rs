//! What a case works at: a fresh namespace of its provider.

use std::{sync::Arc, time::Duration};

use handbell_backend::{Backend, Class};
use handbell_delivery::{Member, MemberOptions};
use handbell_protocol::{Namespace, Topic};

use crate::{Outcome, Provider, fixture::Plug};

/// A fresh namespace, and what can be done to it.
#[derive(Clone)]
pub struct Bench {
    provider: Arc<dyn Provider>,
    namespace: Namespace,
}

impl Bench {
    pub(crate) fn new(provider: Arc<dyn Provider>, namespace: Namespace) -> Self {
        Self { provider, namespace }
    }

    /// A handle to the namespace's log.
    pub(crate) async fn open(&self) -> Outcome<Arc<dyn Backend>> {
        self.provider.open(&self.namespace).await
    }

    /// A handle with a shared topic, which has a name that no other namespace
    /// on the broker uses.
    pub(crate) async fn open_shared(&self) -> Outcome<(Arc<dyn Backend>, Topic)> {
        let topic = Topic::parse(&format!("{}.shared", self.namespace))?;
        Ok((self.provider.open_shared(&self.namespace, &topic).await?, topic))
    }

    /// A namespace beside this one on the same broker.
    pub(crate) fn beside(&self) -> Outcome<Self> {
        let namespace = self.provider.beside(&self.namespace)?;
        Ok(Self { provider: Arc::clone(&self.provider), namespace })
    }

    pub(crate) async fn crash(&self) -> Outcome<Arc<dyn Backend>> {
        self.provider.crash_and_reopen(&self.namespace).await
    }

    pub(crate) async fn reopen(&self) -> Outcome<Arc<dyn Backend>> {
        self.provider.reopen(&self.namespace).await
    }

    pub(crate) async fn trim(&self, class: Class) -> Outcome {
        self.provider.trim(&self.namespace, class).await
    }

    pub(crate) async fn make_again(&self) -> Outcome<Arc<dyn Backend>> {
        self.provider.make_again(&self.namespace).await
    }

    /// A short lease: as long as that, and what this provider may keep anybody
    /// waiting.
    pub(crate) fn lease(&self, short: Duration) -> Duration {
        short + self.provider.slack()
    }

    /// A member that is missed within seconds and is otherwise as in production.
    pub(crate) fn options(&self) -> MemberOptions {
        MemberOptions {
            lease: self.lease(Duration::from_secs(2)),
            heartbeat: Duration::from_millis(300),
            ..MemberOptions::default()
        }
    }

    /// A member with the suite's usual options.
    pub(crate) async fn member(&self) -> Outcome<Member> {
        self.member_with(self.options()).await
    }

    pub(crate) async fn member_with(&self, options: MemberOptions) -> Outcome<Member> {
        Ok(Member::join(self.open().await?, options).await?)
    }

    /// A member with a shared topic whose way to the broker can be cut.
    pub(crate) async fn plugged_shared_member(&self) -> Outcome<(Member, Arc<Plug>)> {
        let plug = Plug::new(self.open_shared().await?.0);
        let member = Member::join(Arc::clone(&plug) as Arc<dyn Backend>, self.options()).await?;
        Ok((member, plug))
    }

    /// A member whose way to the broker can be cut.
    pub(crate) async fn plugged_member(&self, options: MemberOptions) -> Outcome<(Member, Arc<Plug>)> {
        let plug = Plug::new(self.open().await?);
        let member = Member::join(Arc::clone(&plug) as Arc<dyn Backend>, options).await?;
        Ok((member, plug))
    }
}
