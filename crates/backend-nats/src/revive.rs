//! What a server keeps in memory only is gone when it comes back: the streams
//! of class Members are made again then, so that members hear one another. Only
//! then, and a moment later, may publishing go on over the new connection.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use handbell_backend::Class;
use handbell_protocol::Lane;
use tokio::sync::watch;

use crate::{
    connect::Standing,
    core::Core,
    ensure::{one, records},
    error::OpenError,
};

/// How long to wait before another try.
const PAUSE: Duration = Duration::from_millis(200);
/// Whoever was refused before the connection came back is to hear of it first:
/// what it hands over meanwhile would overtake what was refused.
const HOLD: Duration = Duration::from_millis(250);

/// Looks after each new connection, until the backend is closed.
pub(crate) fn spawn(core: &Arc<Core>) {
    let (weak, standing) = (Arc::downgrade(core), core.asker.standing());
    tokio::spawn(core.closing.clone().run_until_cancelled_owned(run(weak, standing)));
}

async fn run(core: Weak<Core>, mut standing: watch::Receiver<Standing>) {
    let mut epoch = standing.borrow().epoch;
    while standing.wait_for(|standing| standing.connected && standing.epoch != epoch).await.is_ok() {
        epoch = standing.borrow_and_update().epoch;
        while let Some(core) = core.upgrade()
            && let Err(error) = revive(&core).await
        {
            tracing::debug!(%error, "the streams of members aren't there yet");
            tokio::time::sleep(PAUSE).await;
        }
        tokio::time::sleep(HOLD).await;
        if let Some(core) = core.upgrade() {
            core.ready.store(epoch, Ordering::Release);
        }
    }
}

async fn revive(core: &Core) -> Result<(), OpenError> {
    for lane in Lane::ALL {
        let stream = core.stream(Class::Members, lane);
        let asked = records(&core.layout, &core.options, Class::Members, lane);
        stream.seen(&one(&core.asker, &stream.name, &asked).await?);
    }
    Ok(())
}
