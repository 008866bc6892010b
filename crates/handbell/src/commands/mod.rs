//! What the commands do, one file each.

pub(crate) mod doctor;
pub(crate) mod man;
pub(crate) mod nouns;
pub(crate) mod publish;
pub(crate) mod request;
pub(crate) mod respond;
pub(crate) mod settings;
pub(crate) mod subscribe;
pub(crate) mod version;
