//! Opening a log, and the handle on it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use handbell_backend::{BackendError, Incarnation};
use handbell_protocol::{Namespace, Timestamp};
use rusqlite::{Connection, ErrorCode};

use crate::{
    backend::EmbeddedBackend,
    engine::Engine,
    error::OpenError,
    keeper::Keeper,
    lock::DirLock,
    options::{Options, Place},
    readers::{Readers, lock},
    schema::{self, FORMAT, Found},
    writer::{self, Limit, Trim, Writer},
};

const FILE: &str = "handbell.db";

/// An open embedded log. Clones share it; the last handle (log, backend, tail
/// or queue) closes it when it is dropped, and waits for the writer then.
#[derive(Clone, Debug)]
pub struct EmbeddedLog {
    keeper: Arc<Keeper>,
}

impl EmbeddedLog {
    /// Opens the log, and makes it where there is none. Blocks while it reads
    /// what was stored since it was last counted (milliseconds).
    ///
    /// # Errors
    /// [`OpenError`], which says where and how to mend it.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        Ok(Self { keeper: Arc::new(Keeper::new(start(options)?)) })
    }

    /// The backend of one namespace. Several may be open, also of one namespace.
    #[must_use]
    pub fn backend(&self, namespace: Namespace) -> Arc<EmbeddedBackend> {
        Arc::new(EmbeddedBackend::new(Arc::clone(&self.keeper), namespace))
    }

    /// Removes what the retention lets go as of `now`, and answers how many
    /// records that were. It happens by itself as time passes; this is for those
    /// who can't wait.
    ///
    /// # Errors
    /// When it could not be written, or the log is closed.
    pub async fn trim(&self, now: Timestamp) -> Result<u64, BackendError> {
        let mut removed = 0;
        loop {
            let engine = &self.keeper.main;
            let (trim, answered) = Trim::new(now);
            let closed = || crate::error::closed("apply the retention");
            engine.inbox.push(trim, 0).await.map_err(|_| closed())?;
            match answered.await.unwrap_or_else(|_| Err(closed()))? {
                0 => return Ok(removed),
                slice => removed += slice,
            }
        }
    }

    /// Changes [`Options::max_bytes`] of an open log.
    ///
    /// # Errors
    /// When it could not be set, or the log is closed.
    pub async fn set_max_bytes(&self, bytes: Option<u64>) -> Result<(), BackendError> {
        let engine = &self.keeper.main;
        engine.call("limit the log's size", 0, |to| Box::new(Limit::new(bytes, to))).await
    }

    /// Ends everything: what was handed over is written, waiting calls fail
    /// with [`handbell_backend::Fault::Closed`], the directory is released.
    pub async fn close(&self) {
        self.keeper.close().await;
    }
}

/// An engine whose writer runs.
pub(crate) struct Started {
    pub(crate) engine: Arc<Engine>,
    pub(crate) writer: JoinHandle<()>,
}

/// Opens the database that the options name and starts its writer.
pub(crate) fn start(options: Options) -> Result<Started, OpenError> {
    let (file, dir_lock) = match &options.place {
        Place::Memory => (None, None),
        Place::Dir(dir) => {
            let dir_lock = prepare(dir)?;
            (Some(dir.join(FILE)), Some(dir_lock))
        }
    };
    let (conn, incarnation) = connect(&options, file.as_deref())?;
    let conn = Arc::new(Mutex::new(conn));
    let readers = match file.clone() {
        Some(file) => Readers::disk(file),
        None => Readers::memory(Arc::clone(&conn)),
    };
    let engine = Arc::new(Engine::new(options, incarnation, readers));
    let book = writer::load(&lock(&conn), &engine).map_err(|source| failure(file.as_deref(), source))?;
    let thread = Writer::new(Arc::clone(&engine), conn, book, dir_lock);
    let writer = thread::Builder::new()
        .name("handbell-log".into())
        .spawn(move || writer::run_to_the_end(thread))
        .map_err(|error| OpenError::System(error.to_string()))?;
    Ok(Started { engine, writer })
}

fn prepare(dir: &Path) -> Result<DirLock, OpenError> {
    make(dir).map_err(|source| OpenError::NotWritable { dir: dir.into(), source })?;
    DirLock::take(dir)
}

/// Makes the directory for its owner alone: it holds every payload.
fn make(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

fn connect(options: &Options, file: Option<&Path>) -> Result<(Connection, Incarnation), OpenError> {
    let failed = |source| failure(file, source);
    let mut conn = match file {
        Some(file) => Connection::open(file).map_err(failed)?,
        None => Connection::open_in_memory().map_err(failed)?,
    };
    let random = getrandom::u64().map_err(|error| OpenError::System(error.to_string()))?;
    let file_name = || file.map(PathBuf::from).unwrap_or_default();
    schema::prepare_reader(&conn).map_err(failed)?;
    let incarnation = match schema::settle(&mut conn, options.partitions, random).map_err(failed)? {
        Found::Foreign => return Err(OpenError::NotALog { file: file_name() }),
        Found::Newer(found) => return Err(OpenError::Newer { file: file_name(), found, known: FORMAT }),
        Found::Log { partitions: stored, .. } if stored != options.partitions.get() => {
            let dir = file.and_then(Path::parent).map(PathBuf::from).unwrap_or_default();
            return Err(OpenError::PartitionsChanged { dir, stored, asked: options.partitions.get() });
        }
        Found::Log { incarnation, .. } => incarnation,
    };
    schema::prepare_writer(&conn).map_err(failed)?;
    if options.max_bytes.is_some() {
        writer::set_limit(&conn, options.max_bytes).map_err(failed)?;
    }
    Ok((conn, incarnation))
}

fn failure(file: Option<&Path>, source: rusqlite::Error) -> OpenError {
    let file = file.map(PathBuf::from).unwrap_or_default();
    let dir = || file.parent().map(PathBuf::from).unwrap_or_default();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotALog { file },
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            OpenError::NotWritable { dir: dir(), source: io::Error::other(source) }
        }
        _ => OpenError::Database { file, source },
    }
}
