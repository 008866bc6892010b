//! Connections that read, off the runtime's workers.
//!
//! On disk a few connections of their own, each with its own snapshot; in
//! memory the writer's only connection, between its transactions. A reading
//! runs to its end whether or not its caller is polled, so that a sleeping
//! caller keeps no connection from the others.

mod line;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use handbell_backend::BackendError;
use rusqlite::{Connection, OpenFlags, Transaction};
use tokio::sync::oneshot;

use crate::{
    error::{ReadFailure, closed},
    schema,
};
use line::Line;

/// How many readings of the disk run at once; others wait.
const READERS: usize = 4;

/// The writer's connection; shared only in memory mode.
pub(crate) type SharedConnection = Arc<Mutex<Connection>>;

/// Locks the connection. A panic while it was held has rolled back.
pub(crate) fn lock(conn: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    conn.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where readings go.
#[derive(Debug)]
pub(crate) struct Readers {
    source: Arc<Source>,
    line: Arc<Line>,
}

#[derive(Debug)]
enum Source {
    /// `None`: closed.
    Disk {
        file: PathBuf,
        idle: Mutex<Option<Vec<Connection>>>,
    },
    Memory(SharedConnection),
}

impl Readers {
    /// Readers of a file.
    pub(crate) fn disk(file: PathBuf) -> Self {
        Self::of(Source::Disk { file, idle: Mutex::new(Some(Vec::new())) })
    }

    /// Readers of the database in memory behind `conn`.
    pub(crate) fn memory(conn: SharedConnection) -> Self {
        Self::of(Source::Memory(conn))
    }

    fn of(source: Source) -> Self {
        Self { source: Arc::new(source), line: Arc::new(Line::new(READERS)) }
    }

    /// Runs `job` on one snapshot. Cancel-safe: a dropped call has no effect.
    pub(crate) async fn read<T, F>(&self, doing: &str, job: F) -> Result<T, BackendError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, ReadFailure> + Send + 'static,
    {
        let source = Arc::clone(&self.source);
        let (answer, answered) = oneshot::channel();
        let run = move || {
            if !answer.is_closed() {
                drop(answer.send(source.run(job)));
            }
        };
        let _place = self.line.join(run).ok_or_else(|| closed(doing))?;
        match answered.await {
            Ok(result) => result.map_err(|failure| failure.verb(doing)),
            Err(_) => Err(closed(doing)),
        }
    }

    /// Refuses readings from now on and closes what is idle.
    pub(crate) fn close(&self) {
        self.line.close();
        self.source.clear();
    }
}

impl Source {
    fn run<T>(&self, job: impl FnOnce(&Transaction<'_>) -> Result<T, ReadFailure>) -> Result<T, ReadFailure> {
        match self {
            Self::Memory(conn) => snapshot(&mut lock(conn), job),
            Self::Disk { file, idle } => {
                let pooled = idle.lock().unwrap_or_else(PoisonError::into_inner).as_mut().and_then(Vec::pop);
                let mut conn = match pooled {
                    Some(conn) => conn,
                    None => connect(file)?,
                };
                let result = snapshot(&mut conn, job);
                if let Some(idle) = idle.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                    idle.push(conn);
                }
                result
            }
        }
    }

    fn clear(&self) {
        if let Self::Disk { idle, .. } = self {
            drop(idle.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

fn snapshot<T>(
    conn: &mut Connection,
    job: impl FnOnce(&Transaction<'_>) -> Result<T, ReadFailure>,
) -> Result<T, ReadFailure> {
    let tx = conn.transaction()?;
    job(&tx)
}

fn connect(file: &PathBuf) -> Result<Connection, ReadFailure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(file, flags)?;
    schema::prepare_reader(&conn)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}
