//! How opening fails, and what SQLite's errors mean for the verbs.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use handbell_backend::{BackendError, Fault, PublishError};
use rusqlite::ErrorCode;

/// Why a log could not be opened: what, where, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another log of this one, has the directory.
    #[error(
        "the data directory {} is in use by {}; stop it, or choose another directory",
        dir.display(),
        holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// The holder's process ID, where it could be read.
        holder: Option<u32>,
    },
    /// The directory or a file in it can't be made or written.
    #[error("can't write in the data directory {}: {source}; {}", dir.display(), mend(dir, source))]
    NotWritable {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is something else.
    #[error(
        "{} is not a Handbell log; choose another directory, or move the file away",
        file.display()
    )]
    NotALog {
        /// The file.
        file: PathBuf,
    },
    /// A newer build wrote it.
    #[error(
        "{} has format {found}, this build reads up to {known}; use the newer build that wrote it",
        file.display()
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that this build knows.
        known: i64,
    },
    /// The number of partitions differs from that of the first start.
    #[error(
        "the log in {} has {stored} partitions, {asked} were asked for; set {stored}, or choose another directory",
        dir.display()
    )]
    PartitionsChanged {
        /// The directory.
        dir: PathBuf,
        /// The number that it was made with.
        stored: u16,
        /// The number that was asked for.
        asked: u16,
    },
    /// SQLite can't open or read it.
    #[error("failed to open the log {}: {source}; if the disk is full, make room; if the file is damaged, restore a copy", file.display())]
    Database {
        /// The file.
        file: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The thread that writes could not be started, or no random number drawn.
    #[error("failed to open the log: {0}; the system is out of resources")]
    System(String),
}

/// How a directory becomes one that can be written in.
fn mend(dir: &Path, source: &io::Error) -> String {
    let mut above = dir.ancestors().filter(|path| path.exists());
    match above.next() {
        Some(file) if !file.is_dir() => {
            format!("{} is a file: name a directory, or one that can be made", file.display())
        }
        _ if source.kind() == io::ErrorKind::StorageFull => "make room on its disk, or choose another".into(),
        Some(parent) if parent != dir => {
            format!("let this user write in {}, or choose another directory", parent.display())
        }
        _ => "make it writable for this user, or choose another".into(),
    }
}

/// What a failed transaction means for those who waited for it.
#[derive(Clone, Debug)]
pub(crate) struct WriteFailure {
    /// Whether it may have been stored all the same.
    in_doubt: bool,
    why: String,
}

impl WriteFailure {
    /// The transaction was given up before its commit: nothing is stored.
    pub(crate) fn before_commit(error: &rusqlite::Error) -> Self {
        Self { in_doubt: false, why: explain(error) }
    }

    /// The commit itself failed. Where the database was full, no commit mark
    /// was written; after any other failure it may stand in the file.
    pub(crate) fn at_commit(error: &rusqlite::Error) -> Self {
        let sure = matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy));
        Self { in_doubt: !sure, why: explain(error) }
    }

    /// Whether it may have been stored all the same.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    pub(crate) fn publish(&self) -> PublishError {
        if self.in_doubt {
            PublishError::InDoubt(self.why.clone())
        } else {
            PublishError::Unavailable(self.why.clone())
        }
    }

    pub(crate) fn verb(&self, doing: &str) -> BackendError {
        let fault = if self.in_doubt { Fault::InDoubt } else { Fault::Unavailable };
        BackendError::new(fault, doing, self.why.clone())
    }
}

impl fmt::Display for WriteFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

fn explain(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the log's disk is full, or its size limit is reached; make room".into(),
        Some(ErrorCode::SystemIoFailure) => format!("the log's disk failed: {error}"),
        _ => format!("the log could not be written: {error}"),
    }
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadFailure {
    /// SQLite said no.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// What is stored is not what this crate writes.
    #[error("the record at offset {offset} can't be read: {source}")]
    Record { offset: u64, source: serde_json::Error },
}

impl ReadFailure {
    /// The verb's error.
    pub(crate) fn verb(self, doing: &str) -> BackendError {
        let fault = match &self {
            Self::Record { .. } => Fault::Corrupt,
            Self::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Fault::Corrupt,
                _ => Fault::Unavailable,
            },
        };
        let why = self.to_string();
        BackendError { fault, doing: doing.into(), why, source: Some(Box::new(self)) }
    }
}

/// The error of a verb that came too late.
pub(crate) fn closed(doing: &str) -> BackendError {
    BackendError::new(Fault::Closed, doing, "the log is closed")
}
