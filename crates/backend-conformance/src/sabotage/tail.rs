//! A tail that lies.

use async_trait::async_trait;
use handbell_backend::{BackendError, Class, Tail, TailItem};

use super::Lie;

pub(super) struct LyingTail {
    inner: Box<dyn Tail>,
    lie: Lie,
    class: Class,
    /// Which of its provider's backends it is of.
    number: usize,
    level_told: bool,
}

impl LyingTail {
    pub(super) fn new(inner: Box<dyn Tail>, lie: Lie, class: Class, number: usize) -> Self {
        Self { inner, lie, class, number, level_told: false }
    }

    /// What is told instead of an item; `None`: nothing.
    fn twist(&self, item: TailItem) -> Option<TailItem> {
        match (item, self.lie) {
            (TailItem::Trimmed(_), Lie::TrimmedSilently) => None,
            (TailItem::Level, Lie::LevelEarly) => None,
            (TailItem::Records(_), Lie::RedeliveryLost) if self.class == Class::Retry => None,
            (TailItem::Records(mut records), Lie::FilterOfAMember) if self.class == Class::Ev && self.number == 1 => {
                records.retain(|record| record.envelope.event.event_type != "B");
                (!records.is_empty()).then_some(TailItem::Records(records))
            }
            (item, _) => Some(item),
        }
    }
}

#[async_trait]
impl Tail for LyingTail {
    async fn next(&mut self, max: usize) -> Result<TailItem, BackendError> {
        if self.lie == Lie::LevelEarly && !std::mem::replace(&mut self.level_told, true) {
            return Ok(TailItem::Level);
        }
        loop {
            let item = self.inner.next(max).await?;
            if self.lie == Lie::CancelLoses {
                tokio::time::sleep(super::DAWDLE).await;
            }
            if let Some(item) = self.twist(item) {
                return Ok(item);
            }
        }
    }
}
