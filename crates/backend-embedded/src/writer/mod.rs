//! The thread that writes: it takes all that waits, runs it in one transaction,
//! commits (the disk's fsync), shows the readers what is new, and only then
//! answers.

mod cell;
mod counts;
mod inbox;
mod job;
mod landing;
mod limit;
mod publish;
mod retention;
mod trouble;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use handbell_protocol::Timestamp;
use rusqlite::TransactionBehavior;

use crate::{
    engine::{Engine, Phase},
    error::WriteFailure,
    lock::DirLock,
    options::Place,
    readers::{SharedConnection, lock},
};

pub(crate) use cell::StoreCell;
pub(crate) use counts::load;
pub(crate) use inbox::Inbox;
pub(crate) use job::{Answer, Context, Job};
pub(crate) use landing::{Book, Landing};
pub(crate) use limit::{Limit, set_limit};
pub(crate) use publish::Publish;
pub(crate) use retention::{Trim, oldest_of};

use counts::SaveCounts;
use inbox::Taken;
use trouble::Trouble;

/// What is handed to the writer.
pub(crate) type Command = Box<dyn Job>;

/// How long the writer waits before it looks after itself.
const TICK: Duration = Duration::from_secs(1);
/// After how many bytes the write-ahead log is carried into the database.
const CHECKPOINT_BYTES: usize = 16 * 1_024 * 1_024;

/// The writer's own state.
pub(crate) struct Writer {
    engine: Arc<Engine>,
    conn: SharedConnection,
    book: Book,
    /// Bytes written since the last checkpoint, about.
    unsaved: usize,
    /// Whether the last tick passed without work.
    quiet: bool,
    trim_at: Instant,
    trouble: Trouble,
    _lock: Option<DirLock>,
}

impl Writer {
    pub(crate) fn new(engine: Arc<Engine>, conn: SharedConnection, book: Book, lock: Option<DirLock>) -> Self {
        let (trim_at, trouble) = (Instant::now() + TICK, Trouble::default());
        Self { engine, conn, book, unsaved: 0, quiet: false, trim_at, trouble, _lock: lock }
    }

    /// Works until the inbox is closed and empty, then releases everything.
    pub(crate) fn run(mut self) {
        let _ended = Ended(Arc::clone(&self.engine));
        loop {
            let tick = self.trim_at.saturating_duration_since(Instant::now());
            match self.engine.inbox.take(tick) {
                Taken::Jobs(jobs, room) => {
                    self.quiet = false;
                    self.group(jobs);
                    self.engine.inbox.give_room(room);
                    if self.unsaved > CHECKPOINT_BYTES {
                        self.save();
                    }
                }
                Taken::Nothing => self.rest(),
                Taken::Shut => break,
            }
            self.trim_now_and_then();
        }
        self.finish();
    }

    /// Uses a quiet moment.
    fn rest(&mut self) {
        if self.unsaved > 0 && self.quiet {
            self.save();
        }
        self.quiet = true;
    }

    /// Runs jobs as one transaction. If it fails, each is tried on its own: one
    /// that can't be stored must not take the others with it.
    fn group(&mut self, mut jobs: Vec<Command>) {
        match self.attempt(&mut jobs) {
            Ok(()) => {
                if let Some(lasted) = self.trouble.worked(Instant::now()) {
                    tracing::info!(after_s = lasted.as_secs(), "the log can be written again");
                }
                self.land(jobs);
            }
            Err(failure) if jobs.len() > 1 && !failure.is_in_doubt() => {
                for job in jobs {
                    self.group(vec![job]);
                }
            }
            Err(failure) => {
                if let Some(silent) = self.trouble.failed(Instant::now()) {
                    tracing::warn!(why = %failure, since_told = silent, "the log could not be written");
                }
                for job in jobs {
                    job.fail(&failure);
                }
            }
        }
    }

    fn attempt(&mut self, jobs: &mut [Command]) -> Result<(), WriteFailure> {
        self.book.begin(self.engine.options.clock.now());
        let result = self.transaction(jobs);
        if result.is_err() {
            self.book.roll_back();
        }
        result
    }

    fn transaction(&mut self, jobs: &mut [Command]) -> Result<(), WriteFailure> {
        let mut conn = lock(&self.conn);
        let tx = conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| WriteFailure::before_commit(&error))?;
        for index in 0..jobs.len() {
            let mut context = Context { conn: &tx, book: &mut self.book, engine: &self.engine };
            if let Err(error) = jobs[index].apply(&mut context) {
                undo(&mut jobs[..=index]);
                return Err(WriteFailure::before_commit(&error));
            }
        }
        tx.commit().map_err(|error| {
            undo(jobs);
            WriteFailure::at_commit(&error)
        })
    }

    fn land(&mut self, mut jobs: Vec<Command>) {
        let mut landing = Landing::new(&self.engine, &mut self.book);
        for job in &mut jobs {
            job.land(&mut landing);
        }
        self.unsaved += landing.finish();
        for job in jobs {
            job.answer();
        }
    }

    /// Stores what is counted and carries the write-ahead log over. It is
    /// repaired by counting when the log is opened, so a failure only costs time.
    fn save(&mut self) {
        self.unsaved = 0;
        if self.engine.options.place == Place::Memory {
            return;
        }
        self.group(vec![Box::new(SaveCounts)]);
        self.unsaved = 0;
        self.checkpoint("PASSIVE");
    }

    fn checkpoint(&self, mode: &str) {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        if let Err(error) = lock(&self.conn).query_row(&sql, [], |_| Ok(())) {
            tracing::warn!(%error, "the log's checkpoint failed; it is tried again later");
        }
    }

    fn trim_now_and_then(&mut self) {
        if Instant::now() < self.trim_at {
            return;
        }
        let (trim, answered) = Trim::new(self.now());
        self.group(vec![trim]);
        // A full slice means that there is more: go on soon, but let others in between.
        let more = matches!(retention::answer_of(answered), Some(Ok(removed)) if removed > 0);
        self.trim_at = Instant::now() + if more { Duration::ZERO } else { TICK };
    }

    fn now(&self) -> Timestamp {
        self.engine.options.clock.now()
    }

    fn finish(&mut self) {
        self.engine.readers.close();
        if self.engine.options.place == Place::Memory {
            return;
        }
        self.group(vec![Box::new(crate::queue::Shelve::new(self.now())), Box::new(SaveCounts)]);
        self.checkpoint("TRUNCATE");
    }
}

fn undo(jobs: &mut [Command]) {
    for job in jobs.iter_mut().rev() {
        job.undo();
    }
}

/// Says that the writer has ended, also when it ends by a panic.
struct Ended(Arc<Engine>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.begin_close();
        self.0.inbox.clear();
        self.0.readers.close();
        self.0.forget_queues();
    }
}

/// Marks the end of the engine's life when the writer and its connection are gone.
pub(crate) fn run_to_the_end(writer: Writer) {
    struct Gone(Arc<Engine>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.phase.send_replace(Phase::Closed);
        }
    }
    let _gone = Gone(Arc::clone(&writer.engine));
    writer.run();
}
