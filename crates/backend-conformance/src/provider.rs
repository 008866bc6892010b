//! What a backend's crate brings: ways to open it, and to treat it badly.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use handbell_backend::{Backend, Class};
use handbell_protocol::{Namespace, Topic};

use crate::{Case, Failure};

/// One broker (or one kind of log) to run the suite on. Namespaces are fresh
/// for every case; what is left of them the provider may clear at its end.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// The name of its results and its column, such as `embedded`.
    fn name(&self) -> &'static str;

    /// Another fresh namespace, on the same broker as this one.
    fn beside(&self, namespace: &Namespace) -> Result<Namespace, Failure>;

    /// One more process's way to the namespace. Where processes share the log
    /// these are connections of their own, else all have the same handle.
    async fn open(&self, namespace: &Namespace) -> Result<Arc<dyn Backend>, Failure>;

    /// As [`Provider::open`], with this topic shared with outside clients.
    async fn open_shared(&self, _namespace: &Namespace, _topic: &Topic) -> Result<Arc<dyn Backend>, Failure> {
        Err(Failure::new("there are no outside clients here"))
    }

    /// The namespace's log as it is found after every process that had it open
    /// was ended by `kill -9` at this moment. Handles from before may go on
    /// living, but nothing that they do is seen any more.
    async fn crash_and_reopen(&self, namespace: &Namespace) -> Result<Arc<dyn Backend>, Failure>;

    /// The namespace's log after a clean end of every process that had it open.
    async fn reopen(&self, namespace: &Namespace) -> Result<Arc<dyn Backend>, Failure>;

    /// Lets retention remove every record of the class that is stored now.
    /// When it returns they are gone.
    async fn trim(&self, namespace: &Namespace, class: Class) -> Result<(), Failure>;

    /// Deletes the namespace's log and makes it again, as an operator does, or
    /// as it happens to a disk. Handles from before are of no more use.
    async fn make_again(&self, namespace: &Namespace) -> Result<Arc<dyn Backend>, Failure>;

    /// How long the machine and the broker may keep anybody waiting without a
    /// case being to blame: leases of cases are that much longer.
    fn slack(&self) -> Duration {
        Duration::ZERO
    }

    /// The case that used the namespace (and the one beside it) is over.
    async fn end(&self, namespace: &Namespace);

    /// Why the case isn't run here, and what happens instead; `None` to run it.
    fn skip(&self, case: &Case) -> Option<String>;
}
