//! A case: one sentence that a backend is held to.

use std::{fmt, future::Future, pin::Pin};

use crate::{Bench, Outcome};

/// A case's run.
pub(crate) type Run = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// One test of a backend.
#[derive(Clone, Copy)]
pub struct Case {
    /// What happens, in words joined by `_`; unique.
    pub name: &'static str,
    /// The sentence that it holds the backend to.
    pub obligation: &'static str,
    /// Where it stands in the matrix.
    pub chapter: Chapter,
    /// The schedules that break such systems (by number) which it plays.
    pub schedules: &'static [u8],
    /// What it needs of the provider beyond opening a namespace.
    pub needs: &'static [Need],
    pub(crate) run: fn(Bench) -> Run,
}

/// The parts of the suite, in the order of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chapter {
    /// Storing: durable, in order, once.
    Publish,
    /// What is stored comes back as it was.
    Content,
    /// Ordered reading, and where it begins.
    Tail,
    /// What retention removes is told.
    Retention,
    /// Registers under compare-and-set.
    Cells,
    /// Competing consumers without order.
    Queue,
    /// Namespaces that never meet, listings, the end.
    Log,
    /// Durable groups and their stored settings, fan-outs.
    Groups,
    /// What comes again, when and how often.
    Redelivery,
    /// Crashes, lost members and moved partitions.
    Faults,
    /// Inboxes, pools, capabilities and replies.
    Direct,
    /// Topics that outside clients share.
    Shared,
    /// Many messages at once.
    Volume,
}

/// What a case needs of a provider; one that can't do it skips the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// [`crate::Provider::crash_and_reopen`].
    Crash,
    /// [`crate::Provider::reopen`].
    Reopen,
    /// [`crate::Provider::trim`].
    Retention,
    /// [`crate::Provider::make_again`].
    NewLife,
    /// [`crate::Provider::open_shared`].
    Shared,
}

impl Case {
    pub(crate) const fn new(
        chapter: Chapter,
        name: &'static str,
        obligation: &'static str,
        run: fn(Bench) -> Run,
    ) -> Self {
        Self { name, obligation, chapter, schedules: &[], needs: &[], run }
    }

    pub(crate) const fn schedules(self, schedules: &'static [u8]) -> Self {
        Self { schedules, ..self }
    }

    pub(crate) const fn needs(self, needs: &'static [Need]) -> Self {
        Self { needs, ..self }
    }

    /// The name with spaces.
    #[must_use]
    pub fn words(&self) -> String {
        self.name.replace('_', " ")
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Chapter {
    /// The chapter's heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Publish => "Publishing",
            Self::Content => "Content",
            Self::Tail => "Reading and replay",
            Self::Retention => "Retention",
            Self::Cells => "Cells",
            Self::Queue => "Queues",
            Self::Log => "The log as a whole",
            Self::Groups => "Groups and fan-outs",
            Self::Redelivery => "Redelivery",
            Self::Faults => "Crashes and lost members",
            Self::Direct => "Direct work",
            Self::Shared => "Shared topics",
            Self::Volume => "Volume",
        }
    }
}

/// `case!(Chapter, function, "obligation")`: the case of a function that takes
/// the bench; its name is the function's.
macro_rules! case {
    ($chapter:ident, $run:ident, $obligation:expr) => {
        $crate::Case::new($crate::Chapter::$chapter, stringify!($run), $obligation, |bench| Box::pin($run(bench)))
    };
}
pub(crate) use case;
