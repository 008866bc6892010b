//! Who reads next: jobs in the order in which they came, a few at a time, on
//! the runtime's threads for what blocks.
//!
//! A job's turn belongs to the thread that runs it, never to the future that
//! asked for it.

use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

type Run = Box<dyn FnOnce() + Send>;

/// Jobs that wait, and how many threads work.
pub(super) struct Line {
    state: Mutex<State>,
    most: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(u64, Run)>,
    working: usize,
    last: u64,
    shut: bool,
}

/// A job's place; dropping it takes the job out if it hasn't begun.
#[derive(Debug)]
pub(super) struct Place {
    line: Arc<Line>,
    number: u64,
}

/// A thread that works, or one that was asked for.
struct Worker {
    line: Arc<Line>,
    /// Whether it is among [`State::working`].
    counted: bool,
}

impl Line {
    /// At most `most` jobs run at once.
    pub(super) fn new(most: usize) -> Self {
        Self { state: Mutex::default(), most }
    }

    /// Runs `run` when its turn comes; `None` after the end.
    pub(super) fn join(self: &Arc<Self>, run: impl FnOnce() + Send + 'static) -> Option<Place> {
        let mut state = self.lock();
        if state.shut {
            return None;
        }
        state.last += 1;
        let number = state.last;
        state.waiting.push_back((number, Box::new(run)));
        let more = state.working < self.most;
        state.working += usize::from(more);
        drop(state);
        if more {
            let worker = Worker { line: Arc::clone(self), counted: true };
            tokio::task::spawn_blocking(move || worker.work());
        }
        Some(Place { line: Arc::clone(self), number })
    }

    /// Refuses jobs from now on and drops those that wait.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.shut = true;
        let dropped = std::mem::take(&mut state.waiting);
        drop(state);
        drop(dropped);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    fn work(mut self) {
        while let Some((_, run)) = self.next() {
            if catch_unwind(AssertUnwindSafe(run)).is_err() {
                tracing::error!("a reading of the log ended by a panic");
            }
        }
    }

    /// The next job. Without one the worker counts no more, under the same
    /// lock: whoever comes then asks for another.
    fn next(&mut self) -> Option<(u64, Run)> {
        let mut state = self.line.lock();
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.working -= 1;
            self.counted = false;
        }
        next
    }
}

impl Drop for Worker {
    /// The runtime has ended before the thread began. Jobs that no thread is
    /// left for are let go, or they would wait for ever.
    fn drop(&mut self) {
        if !self.counted {
            return;
        }
        let mut state = self.line.lock();
        state.working -= 1;
        let lost = if state.working == 0 { std::mem::take(&mut state.waiting) } else { VecDeque::new() };
        drop(state);
        drop(lost);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.line.lock();
        let place = state.waiting.binary_search_by_key(&self.number, |(number, _)| *number);
        let dropped = place.ok().and_then(|place| state.waiting.remove(place));
        drop(state);
        drop(dropped);
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("most", &self.most).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn jobs_whose_callers_are_gone_or_asleep_hold_nobody_up() {
        let line = Arc::new(Line::new(1));
        let (said, order) = mpsc::channel();
        let (open, gate) = mpsc::channel::<()>();
        let first = line.join(move || gate.recv().unwrap()).unwrap();
        let say = |name: &'static str| {
            let said = said.clone();
            line.join(move || said.send(name).unwrap()).unwrap()
        };
        let (_asleep, gone, _last) = (say("asleep"), say("gone"), say("last"));
        drop(gone);
        open.send(()).unwrap();
        let heard: Vec<_> = tokio::task::spawn_blocking(move || order.iter().take(2).collect()).await.unwrap();
        assert_eq!(heard, ["asleep", "last"]);
        drop(first);
    }

    #[tokio::test]
    async fn a_panic_ends_one_job_only_and_the_end_lets_go_of_what_waits() {
        let line = Arc::new(Line::new(1));
        let (said, heard) = mpsc::channel();
        let _panics = line.join(|| panic!("planned")).unwrap();
        let again = said.clone();
        let _next = line.join(move || again.send(1).unwrap()).unwrap();
        let heard = tokio::task::spawn_blocking(move || (heard.recv(), heard)).await.unwrap();
        assert_eq!(heard.0, Ok(1));
        let (open, gate) = mpsc::channel::<()>();
        let _first = line.join(move || assert!(gate.recv().is_err())).unwrap();
        let _never = line.join(move || said.send(2).unwrap()).unwrap();
        line.close();
        drop(open);
        let heard = tokio::task::spawn_blocking(move || heard.1.recv()).await.unwrap();
        assert!(heard.is_err(), "it ran after the end");
        assert!(line.join(|| ()).is_none());
    }

    #[test]
    fn a_job_of_a_runtime_that_has_ended_is_let_go_and_the_next_one_runs() {
        let line = Arc::new(Line::new(1));
        let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (ended, runs) = (runtime(), runtime());
        let handle = ended.handle().clone();
        drop(ended);
        let (said, heard) = mpsc::channel();
        let join = |name: u8| {
            let said = said.clone();
            line.join(move || said.send(name).unwrap()).unwrap()
        };
        let _lost = {
            let _in = handle.enter();
            join(1)
        };
        let _place = {
            let _in = runs.enter();
            join(2)
        };
        assert_eq!(heard.recv(), Ok(2));
    }
}
