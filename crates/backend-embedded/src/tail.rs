//! The trait's tail over a [`Reading`].

use std::sync::Arc;

use async_trait::async_trait;
use handbell_backend::{BackendError, Tail, TailItem, TailSpec};
use tokio::sync::Notify;

use crate::{
    engine::Engine,
    error::closed,
    keeper::Keeper,
    reading::{Got, Reading},
    stream::{Bell, StreamKey},
};

/// An open tail. It keeps the log open.
pub(crate) struct EmbeddedTail {
    reading: Reading,
    engine: Arc<Engine>,
    notify: Arc<Notify>,
    /// The end when it was opened, until all up to there is handed out.
    level_at: Option<u64>,
    _keeper: Arc<Keeper>,
}

impl EmbeddedTail {
    pub(crate) async fn open(
        keeper: &Arc<Keeper>,
        engine: &Arc<Engine>,
        key: StreamKey,
        spec: &TailSpec,
    ) -> Result<Self, BackendError> {
        let notify = Arc::new(Notify::new());
        let level_at = Some(engine.end());
        let reading = Reading::open(engine, key, spec, Bell::One(Arc::clone(&notify))).await?;
        Ok(Self { reading, engine: Arc::clone(engine), notify, level_at, _keeper: Arc::clone(keeper) })
    }

    async fn ready(&mut self, max: usize) -> Result<Option<TailItem>, BackendError> {
        let upto = self.level_at.unwrap_or_else(|| self.engine.end());
        Ok(match self.reading.next(upto, max).await? {
            Some(Got::Records(records)) => Some(TailItem::Records(records)),
            Some(Got::Gap(gap)) => Some(TailItem::Trimmed(gap)),
            None => self.level_at.take().map(|_| TailItem::Level),
        })
    }
}

#[async_trait]
impl Tail for EmbeddedTail {
    async fn next(&mut self, max: usize) -> Result<TailItem, BackendError> {
        loop {
            if self.engine.is_closing() {
                return Err(closed("read a tail"));
            }
            if let Some(item) = self.ready(max.max(1)).await? {
                return Ok(item);
            }
            tokio::select! {
                () = self.notify.notified() => {}
                () = self.engine.closing() => {}
            }
        }
    }
}
