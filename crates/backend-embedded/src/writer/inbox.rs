//! What waits for the writer: a queue with a bound in bytes. It is full when
//! the writer can't keep up; then those who push wait, in the order in which
//! they came.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;

use super::Command;

/// How many KiB may wait; each command costs one more.
const ROOM: usize = 32_768;
/// How much of it one transaction takes at most.
const GROUP: usize = 8_192;

/// The log takes no more commands.
#[derive(Debug)]
pub(crate) struct Shut;

/// What waits.
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    room: Semaphore,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Waiting {
    commands: VecDeque<(Command, usize)>,
    shut: bool,
}

/// What the writer got.
pub(super) enum Taken {
    /// Commands, and the room that they took up.
    Jobs(Vec<Command>, usize),
    /// None came in time.
    Nothing,
    /// None will come any more.
    Shut,
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            filled: Condvar::new(),
            room: Semaphore::new(ROOM),
            turn: tokio::sync::Mutex::new(()),
        }
    }
}

impl Inbox {
    /// Puts a command of `bytes` at the end; waits while there is no room.
    /// Cancel-safe: dropped, it isn't there.
    pub(crate) async fn push(&self, command: Command, bytes: usize) -> Result<(), Shut> {
        let cost = (1 + bytes / 1_024).min(ROOM / 4);
        // Who comes first must go first, also when both had to wait for room.
        let _turn = self.turn.lock().await;
        let permits = u32::try_from(cost).unwrap_or(u32::MAX);
        self.room.acquire_many(permits).await.map_err(|_| Shut)?.forget();
        self.put(command, cost)
    }

    /// Puts a command at the end, room or not: for the few that follow from
    /// one that had room. After the end it is dropped.
    pub(crate) fn push_now(&self, command: Command) -> Result<(), Shut> {
        self.put(command, 0)
    }

    /// Takes no more commands; what waits is still worked off.
    pub(crate) fn close(&self) {
        self.lock().shut = true;
        self.room.close();
        self.filled.notify_all();
    }

    /// Drops what waits: the writer is gone.
    pub(super) fn clear(&self) {
        let dropped = std::mem::take(&mut self.lock().commands);
        drop(dropped);
    }

    /// Takes as much as goes into one transaction; waits up to `tick` for the first.
    pub(super) fn take(&self, tick: Duration) -> Taken {
        let empty = |waiting: &mut Waiting| waiting.commands.is_empty() && !waiting.shut;
        let (mut waiting, _) =
            self.filled.wait_timeout_while(self.lock(), tick, empty).unwrap_or_else(PoisonError::into_inner);
        if waiting.commands.is_empty() {
            return if waiting.shut { Taken::Shut } else { Taken::Nothing };
        }
        let (mut jobs, mut room) = (Vec::new(), 0);
        while let Some((command, cost)) = waiting.commands.pop_front_if(|(next, _)| jobs.is_empty() || !next.alone()) {
            let alone = command.alone();
            jobs.push(command);
            room += cost;
            if alone || room >= GROUP {
                break;
            }
        }
        Taken::Jobs(jobs, room)
    }

    /// Gives back the room of commands that are done.
    pub(super) fn give_room(&self, room: usize) {
        self.room.add_permits(room);
    }

    fn put(&self, command: Command, cost: usize) -> Result<(), Shut> {
        let mut waiting = self.lock();
        if waiting.shut {
            return Err(Shut);
        }
        waiting.commands.push_back((command, cost));
        self.filled.notify_one();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
