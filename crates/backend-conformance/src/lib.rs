//! One suite that every backend passes.
//!
//! Owns the cases (each holds a backend to a sentence of the trait, or to a
//! promise that groups and direct work make on top of it), the runner, and the
//! matrix of what each backend does. A backend brings a [`Provider`] and gets
//! a test program with [`main()`]. Deliberately knows no one broker: what a case
//! needs of the world beyond the trait (a crash, retention, a log made again)
//! the provider does.
//!
//! Groups, fan-outs and direct work are one logic over all backends; they are
//! tested through [`handbell_delivery::Member`], as the sidecar uses it.

#[macro_use]
mod failure;

mod bench;
mod case;
mod cases;
mod fixture;
mod matrix;
mod program;
mod provider;
mod results;
mod run;
pub mod sabotage;

pub use bench::Bench;
pub use case::{Case, Chapter, Need};
pub use cases::cases;
pub use failure::{Failure, Outcome};
pub use matrix::{matrix, with_matrix};
pub use program::main;
pub use provider::Provider;
pub use results::{Fate, Results};
pub use run::{Report, run_all, run_case};
