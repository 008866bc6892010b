//! Names on the broker: streams, subjects, consumers.

use std::sync::Arc;

use handbell_backend::{CellName, Class};
use handbell_protocol::{Lane, Namespace, Topic};

/// The version of the layout; stored with each stream.
pub(crate) const LAYOUT: &str = "1";

/// One namespace's names.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    namespace: Namespace,
}

impl Layout {
    pub(crate) const fn new(namespace: Namespace) -> Self {
        Self { namespace }
    }

    /// The stream of a class and lane.
    pub(crate) fn stream(&self, class: Class, lane: Lane) -> Arc<str> {
        format!("hb-{}-{}-{}", self.namespace, class.as_str(), lane.as_str()).into()
    }

    /// What all subjects of a class and lane begin with.
    pub(crate) fn prefix(&self, class: Class, lane: Lane) -> String {
        format!("{}.{}.{}.", self.namespace, class.as_str(), lane.as_str())
    }

    /// The key-value bucket of the cells, as a stream.
    pub(crate) fn cells(&self) -> String {
        format!("KV_hb-{}-cell", self.namespace)
    }

    /// What all subjects of cells begin with.
    pub(crate) fn cell_prefix(&self) -> String {
        format!("$KV.hb-{}-cell.", self.namespace)
    }

    /// A cell's subject.
    pub(crate) fn cell(&self, name: &CellName) -> String {
        format!("{}{}", self.cell_prefix(), name.as_str().replace('/', "."))
    }

    /// The cell of a subject.
    pub(crate) fn cell_of(&self, subject: &str) -> Option<CellName> {
        let name = subject.strip_prefix(&self.cell_prefix())?;
        let segments: Vec<&str> = name.split('.').collect();
        segments.iter().all(|segment| handbell_protocol::is_segment(segment)).then(|| CellName::of(&segments))
    }

    /// The stream of what is known of records that were given back.
    pub(crate) fn queue_notes(&self) -> String {
        format!("hb-{}-queue", self.namespace)
    }

    /// What all subjects of those notes begin with.
    pub(crate) fn note_prefix(&self) -> String {
        format!("{}.queue.", self.namespace)
    }

    /// Where a queue's note of a record lies.
    pub(crate) fn note(&self, queue: &CellName, lane: Lane, sequence: u64) -> String {
        format!("{}{}.{}.{sequence}", self.note_prefix(), consumer(queue), lane.as_str())
    }
}

/// The stream that is made for a shared topic. Without the namespace: whoever
/// shares the topic shares the stream.
pub(crate) fn shared(topic: &Topic) -> Arc<str> {
    format!("hb-shared-{}", topic.as_str().replace('.', "=")).into()
}

/// The durable consumers of a queue: the same name in both lanes' streams.
/// `=` stands in no segment, so no two queues share a name.
pub(crate) fn consumer(queue: &CellName) -> String {
    queue.as_str().replace('/', "=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_a_key_of_the_bucket() {
        let layout = Layout::new(Namespace::default());
        let name = CellName::of(&["group", "g", "settings"]);
        assert_eq!(layout.cell(&name), "$KV.hb-default-cell.group.g.settings");
        assert_eq!(layout.cell_of(&layout.cell(&name)), Some(name.clone()));
        assert_eq!(consumer(&name), "group=g=settings");
    }
}
