//! Lending: records of backend queues, handed out to this member's consumers.
//!
//! Owns what direct work and groups without order have in common: credit
//! shared by a consumer's queues, who gets what, leases and their renewal, the
//! retry policy, dead letters, suspects one at a time. The decisions are in
//! the desk (pure: time is an argument, answers come out as lists); the shell
//! pulls, settles and keeps the timer. Deliberately knows neither how a queue
//! got its name nor what an agent or a group is.

mod demand;
mod desk;
mod end;
mod hand_out;
mod pull;
mod settle;
mod shell;
#[cfg(test)]
mod tests;
mod timer;
mod verdicts;

pub(crate) use desk::{Kind, Rules};
pub(crate) use hand_out::is_expired;
pub(crate) use shell::{Join, Lending, QueueOf, Surroundings};
pub(crate) use verdicts::is_notification;
