//! Who may connect: tokens, resume tokens, and where a request may come from.

mod origin;
mod resume;
mod tokens;

pub(crate) use origin::Origins;
pub(crate) use resume::{ResumeKey, Resumption};
pub use tokens::{BadTokens, Tokens};
