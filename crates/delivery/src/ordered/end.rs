//! A consumer's end in an ordered group.

use std::{sync::Arc, time::Duration};

use handbell_groups::{ConsumerId, Input};

use super::runner::Runner;
use crate::{Leave, Token, Verdict, consumer_end::End};

struct GroupEnd {
    runner: Arc<Runner>,
    consumer: ConsumerId,
}

impl Runner {
    /// The end of a consumer that has joined.
    pub(crate) fn end(self: &Arc<Self>, consumer: ConsumerId) -> Arc<dyn End> {
        Arc::new(GroupEnd { runner: Arc::clone(self), consumer })
    }
}

impl End for GroupEnd {
    fn credit(&self, ceiling: u32) {
        self.runner.tell(Input::Credit { consumer: self.consumer, ceiling });
    }

    fn settle(&self, verdicts: Vec<(Token, Verdict)>) {
        self.runner.settle(self.consumer, verdicts);
    }

    fn extend(&self, token: Token, lease: Duration) {
        self.runner.tell(Input::Extend { consumer: self.consumer, token, lease });
    }

    fn connected(&self, connected: bool) {
        let input = if connected { Input::Connected } else { Input::Disconnected };
        self.runner.tell(input(self.consumer));
    }

    fn leave(&self, how: Leave) {
        self.runner.tell(Input::Left { consumer: self.consumer, how });
        self.runner.gone(self.consumer);
    }
}
