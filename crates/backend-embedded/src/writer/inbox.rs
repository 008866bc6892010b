//! What waits for the writer: a queue with a bound in bytes. It is full when
//! the writer can't keep up; then those who push wait, in the order in which
//! they came.
//!
//! Whoever waits has left the command here, so it moves up when its turn comes
//! whether or not its future is polled: nobody is held up by one who sleeps.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

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
}

struct Waiting {
    commands: VecDeque<(Command, usize)>,
    /// What is left of [`ROOM`].
    room: usize,
    /// Those that found no room, in order; one for each caller that waits.
    outside: VecDeque<Outside>,
    shut: bool,
}

/// A command that has found no room yet.
struct Outside {
    command: Command,
    cost: usize,
    admitted: oneshot::Sender<()>,
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
        let waiting = Waiting { commands: VecDeque::new(), room: ROOM, outside: VecDeque::new(), shut: false };
        Self { waiting: Mutex::new(waiting), filled: Condvar::new() }
    }
}

impl Inbox {
    /// Puts a command of `bytes` at the end; waits while there is no room.
    /// Dropped while it waits, the command isn't there.
    pub(crate) async fn push(&self, command: Command, bytes: usize) -> Result<(), Shut> {
        let cost = (1 + bytes / 1_024).min(ROOM / 4);
        match self.put_or_queue(command, cost)? {
            None => Ok(()),
            Some(admitted) => Place { inbox: self, admitted, waits: true }.wait().await,
        }
    }

    /// Puts a command at the end, room or not: for the few that follow from
    /// one that had room. After the end it is dropped.
    pub(crate) fn push_now(&self, command: Command) -> Result<(), Shut> {
        let mut waiting = self.lock();
        if waiting.shut {
            return Err(Shut);
        }
        self.put(&mut waiting, command, 0);
        Ok(())
    }

    /// Takes no more commands; what is in is still worked off.
    pub(crate) fn close(&self) {
        let outside = {
            let mut waiting = self.lock();
            waiting.shut = true;
            std::mem::take(&mut waiting.outside)
        };
        drop(outside);
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

    /// Gives back the room of commands that are done, and lets in those that
    /// it is enough for.
    pub(super) fn give_room(&self, room: usize) {
        let mut waiting = self.lock();
        waiting.room += room;
        let gone = self.let_in(&mut waiting);
        drop(waiting);
        drop(gone);
    }

    /// Lets in those that there is room for; gives back what nobody waits for
    /// any more, to be dropped when the lock is free: a command may push
    /// another one when it goes.
    #[must_use]
    fn let_in(&self, waiting: &mut Waiting) -> Vec<Command> {
        let mut gone = Vec::new();
        while let Some(Outside { command, cost, admitted }) = waiting.next_with_room() {
            match admitted.send(()) {
                Ok(()) => self.put(waiting, command, cost),
                Err(()) => gone.push(command),
            }
        }
        gone
    }

    /// Takes out what nobody waits for any more.
    fn give_up(&self) {
        let mut waiting = self.lock();
        let all = std::mem::take(&mut waiting.outside).into_iter();
        let (abandoned, kept): (Vec<_>, _) = all.partition(|outside| outside.admitted.is_closed());
        waiting.outside = kept.into();
        let gone = self.let_in(&mut waiting);
        drop(waiting);
        drop((abandoned, gone));
    }

    fn put_or_queue(&self, command: Command, cost: usize) -> Result<Option<oneshot::Receiver<()>>, Shut> {
        let mut waiting = self.lock();
        if waiting.shut {
            return Err(Shut);
        }
        if waiting.outside.is_empty() && waiting.room >= cost {
            self.put(&mut waiting, command, cost);
            return Ok(None);
        }
        let (admitted, admission) = oneshot::channel();
        waiting.outside.push_back(Outside { command, cost, admitted });
        Ok(Some(admission))
    }

    fn put(&self, waiting: &mut Waiting, command: Command, cost: usize) {
        waiting.room = waiting.room.saturating_sub(cost);
        waiting.commands.push_back((command, cost));
        self.filled.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn next_with_room(&mut self) -> Option<Outside> {
        let room = self.room;
        self.outside.pop_front_if(|next| next.cost <= room)
    }
}

/// A caller's place among those outside; dropping it gives the place up.
struct Place<'a> {
    inbox: &'a Inbox,
    admitted: oneshot::Receiver<()>,
    waits: bool,
}

impl Place<'_> {
    async fn wait(mut self) -> Result<(), Shut> {
        let admitted = (&mut self.admitted).await;
        self.waits = false;
        admitted.map_err(|_| Shut)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.waits {
            self.admitted.close();
            self.inbox.give_up();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        sync::mpsc,
        task::{Context as Polled, Poll, Waker},
    };

    use super::*;
    use crate::{
        error::WriteFailure,
        writer::{Context, Job},
    };

    /// A command that says its name when it is worked off.
    struct Named(&'static str, mpsc::Sender<&'static str>);

    impl Job for Named {
        fn apply(&mut self, _context: &mut Context<'_>) -> rusqlite::Result<()> {
            Ok(())
        }

        fn answer(self: Box<Self>) {
            self.1.send(self.0).unwrap();
        }

        fn fail(self: Box<Self>, _failure: &WriteFailure) {}
    }

    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Polled::from_waker(Waker::noop()))
    }

    /// Works off what one transaction takes.
    fn work(inbox: &Inbox) {
        let Taken::Jobs(jobs, room) = inbox.take(Duration::ZERO) else { panic!("nothing is there") };
        jobs.into_iter().for_each(Job::answer);
        inbox.give_room(room);
    }

    const QUARTER: usize = ROOM / 4 * 1_024;

    #[test]
    fn one_who_waits_and_is_never_polled_again_holds_nobody_up() {
        let (inbox, (said, order)) = (Inbox::default(), mpsc::channel());
        let push = |name, bytes| inbox.push(Box::new(Named(name, said.clone())), bytes);
        for name in ["1", "2", "3", "4"] {
            assert!(poll(pin!(push(name, QUARTER))).is_ready(), "{name}");
        }
        let mut asleep = pin!(push("asleep", QUARTER));
        let mut behind = pin!(push("behind", 0));
        assert!(poll(asleep.as_mut()).is_pending() && poll(behind.as_mut()).is_pending());
        work(&inbox);
        assert!(poll(behind.as_mut()).is_pending(), "it overtook one who came before it");
        (0..5).for_each(|_| work(&inbox));
        assert!(poll(behind).is_ready());
        assert_eq!(order.try_iter().collect::<Vec<_>>(), ["1", "2", "3", "4", "asleep", "behind"]);
        assert!(poll(asleep).is_ready());
    }

    #[test]
    fn one_who_gives_up_takes_the_command_along_and_lets_the_next_in() {
        let (inbox, (said, order)) = (Inbox::default(), mpsc::channel());
        let push = |name, bytes| inbox.push(Box::new(Named(name, said.clone())), bytes);
        for name in ["1", "2", "3"] {
            assert!(poll(pin!(push(name, QUARTER))).is_ready());
        }
        assert!(poll(pin!(push("4", QUARTER - 4_096))).is_ready());
        let mut next = pin!(push("next", 0));
        {
            let mut gives_up = pin!(push("gives up", QUARTER));
            assert!(poll(gives_up.as_mut()).is_pending() && poll(next.as_mut()).is_pending());
        }
        assert!(poll(next).is_ready());
        (0..4).for_each(|_| work(&inbox));
        assert_eq!(order.try_iter().collect::<Vec<_>>(), ["1", "2", "3", "4", "next"]);
    }

    #[test]
    fn those_who_wait_are_told_when_it_is_shut() {
        let (inbox, (said, _order)) = (Inbox::default(), mpsc::channel());
        let push = |bytes| inbox.push(Box::new(Named("", said.clone())), bytes);
        (0..4).for_each(|_| assert!(poll(pin!(push(QUARTER))).is_ready()));
        let mut waits = pin!(push(0));
        assert!(poll(waits.as_mut()).is_pending());
        inbox.close();
        assert!(matches!(poll(waits), Poll::Ready(Err(Shut))));
    }
}
