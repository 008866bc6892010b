//! What the writer does for queues.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use handbell_backend::{BackendError, QueueToken, Settlement};
use handbell_protocol::{Lane, Timestamp};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{
    QueueShared,
    core::{Item, Settled, Taken, later},
    lent::Lent,
};
use crate::{
    engine::Engine,
    error::WriteFailure,
    options::Clock,
    writer::{Answer, Context, Job, Landing},
};

const ROW: &str = "INSERT OR REPLACE INTO items (queue, offset, lane, leased, attempt, suspect, due)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
/// About what a row costs in the write-ahead log.
const ROW_BYTES: usize = 64;

/// Lends what is ready.
pub(crate) struct Lend {
    engine: Arc<Engine>,
    queue: Arc<QueueShared>,
    max: usize,
    wait: Duration,
    taken: Vec<Taken>,
    answer: LendAnswer,
}

type LendAnswer = Answer<Lent>;

impl Lend {
    pub(super) fn new(
        engine: Arc<Engine>,
        queue: Arc<QueueShared>,
        max: usize,
        wait: Duration,
        to: oneshot::Sender<Result<Lent, BackendError>>,
    ) -> Self {
        Self { engine, queue, max, wait, taken: Vec::new(), answer: Answer::new("lend records", to) }
    }
}

impl Job for Lend {
    fn apply(&mut self, context: &mut Context<'_>) -> rusqlite::Result<()> {
        let until = later(Instant::now(), self.wait);
        self.taken = self.queue.core().take(self.max, until);
        let mut row = context.conn.prepare_cached(ROW)?;
        for taken in &self.taken {
            write(&mut row, self.queue.id, taken.offset(), taken.item, true, 0)?;
        }
        for lane in Lane::ALL {
            let new = self.taken.iter().filter(|taken| !taken.stored && taken.item.lane == lane);
            if let Some(highest) = new.map(Taken::offset).max() {
                raise(context.conn, self.queue.id, lane, highest)?;
            }
        }
        Ok(())
    }

    fn undo(&mut self) {
        let mut core = self.queue.core();
        for taken in self.taken.drain(..) {
            core.put_back(taken);
        }
    }

    fn land(&mut self, landing: &mut Landing<'_>) {
        landing.wrote(self.taken.len() * ROW_BYTES);
    }

    fn answer(self: Box<Self>) {
        let lent = Lent::new(self.engine, self.queue, self.taken);
        self.answer.ok(lent);
    }

    fn fail(self: Box<Self>, failure: &WriteFailure) {
        self.answer.fail(failure);
    }
}

/// Settles lendings.
pub(crate) struct Settle {
    queue: Arc<QueueShared>,
    settlements: Vec<(QueueToken, Settlement)>,
    clock: Clock,
    done: Vec<Option<Settled>>,
    answer: Answer<Vec<bool>>,
}

impl Settle {
    pub(super) fn new(
        queue: Arc<QueueShared>,
        settlements: Vec<(QueueToken, Settlement)>,
        clock: &Clock,
        to: oneshot::Sender<Result<Vec<bool>, BackendError>>,
    ) -> Self {
        let answer = Answer::new("settle records", to);
        Self { queue, settlements, clock: clock.clone(), done: Vec::new(), answer }
    }

    fn store(&self, conn: &Connection, settled: &Settled, now: (Instant, Timestamp)) -> rusqlite::Result<()> {
        match settled.stays {
            None => delete(conn, self.queue.id, settled.offset),
            Some((item, due)) => {
                let due = due.map_or(0, |due| wall(due, now).as_millis());
                write(&mut *conn.prepare_cached(ROW)?, self.queue.id, settled.offset, item, false, due)
            }
        }
    }
}

impl Job for Settle {
    fn apply(&mut self, context: &mut Context<'_>) -> rusqlite::Result<()> {
        let now = (Instant::now(), self.clock.now());
        for (token, settlement) in &self.settlements {
            let settled = self.queue.core().settle(token.item, token.lease, settlement, now.0);
            self.done.push(settled);
            if let Some(Some(settled)) = self.done.last() {
                self.store(context.conn, settled, now)?;
            }
        }
        Ok(())
    }

    fn undo(&mut self) {
        let mut core = self.queue.core();
        for settled in self.done.drain(..).rev().flatten() {
            core.unsettle(settled);
        }
    }

    fn land(&mut self, landing: &mut Landing<'_>) {
        landing.wrote(self.done.len() * ROW_BYTES);
    }

    fn answer(self: Box<Self>) {
        for ((token, settlement), done) in self.settlements.iter().zip(&self.done) {
            if let (Settlement::Term { reason }, Some(_)) = (settlement, done) {
                tracing::info!(offset = token.item, reason, "a queue's record was given up");
            }
        }
        self.queue.notify.notify_waiters();
        self.answer.ok(self.done.iter().map(Option::is_some).collect());
    }

    fn fail(self: Box<Self>, failure: &WriteFailure) {
        self.answer.fail(failure);
    }
}

/// Drops items whose records retention has removed.
pub(crate) struct Forget {
    queue: Arc<QueueShared>,
    offsets: Vec<u64>,
    answer: Answer<()>,
}

impl Forget {
    pub(super) fn new(
        queue: Arc<QueueShared>,
        offsets: Vec<u64>,
        to: oneshot::Sender<Result<(), BackendError>>,
    ) -> Self {
        Self { queue, offsets, answer: Answer::new("drop removed records", to) }
    }
}

impl Job for Forget {
    fn apply(&mut self, context: &mut Context<'_>) -> rusqlite::Result<()> {
        self.offsets.iter().try_for_each(|offset| delete(context.conn, self.queue.id, *offset))
    }

    fn land(&mut self, _landing: &mut Landing<'_>) {
        let mut core = self.queue.core();
        for offset in &self.offsets {
            core.forget(*offset);
        }
    }

    fn answer(self: Box<Self>) {
        self.answer.ok(());
    }

    fn fail(self: Box<Self>, failure: &WriteFailure) {
        self.answer.fail(failure);
    }
}

/// Stores all queues' items for the next process, when this one ends in good
/// order: what is out was not lost by a crash.
pub(crate) struct Shelve {
    now: Timestamp,
}

impl Shelve {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { now }
    }
}

impl Job for Shelve {
    fn apply(&mut self, context: &mut Context<'_>) -> rusqlite::Result<()> {
        let now = (Instant::now(), self.now);
        let queues: Vec<_> =
            context.engine.queues.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let mut row = context.conn.prepare_cached(ROW)?;
        for queue in queues {
            for shelved in queue.core().shelve(now.0) {
                let due = shelved.due.map_or(0, |due| wall(due, now).as_millis());
                write(&mut row, queue.id, shelved.offset, shelved.item, false, due)?;
            }
        }
        Ok(())
    }

    fn answer(self: Box<Self>) {}

    fn fail(self: Box<Self>, failure: &WriteFailure) {
        tracing::warn!(%failure, "what queues had lent could not be shelved; it will be lent again as suspect");
    }
}

fn write(
    statement: &mut rusqlite::Statement<'_>,
    queue: i64,
    offset: u64,
    item: Item,
    leased: bool,
    due: i64,
) -> rusqlite::Result<()> {
    let Item { lane, attempt, suspect } = item;
    statement.execute((queue, offset.cast_signed(), lane.as_str(), leased, attempt, suspect, due)).map(drop)
}

fn delete(conn: &Connection, queue: i64, offset: u64) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM items WHERE queue = ?1 AND offset = ?2")?
        .execute((queue, offset.cast_signed()))
        .map(drop)
}

fn raise(conn: &Connection, queue: i64, lane: Lane, offset: u64) -> rusqlite::Result<()> {
    let sql = match lane {
        Lane::Express => "UPDATE queues SET express = max(express, ?2) WHERE id = ?1",
        Lane::Regular => "UPDATE queues SET regular = max(regular, ?2) WHERE id = ?1",
    };
    conn.prepare_cached(sql)?.execute((queue, offset.cast_signed())).map(drop)
}

/// The wall clock's instant at `due`: what is stored must outlive the process.
fn wall(due: Instant, (now, at): (Instant, Timestamp)) -> Timestamp {
    at.after(due.saturating_duration_since(now))
}
