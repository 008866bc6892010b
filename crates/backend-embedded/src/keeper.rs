//! What keeps a log open: every handle, tail and queue holds the keeper, and
//! the last one closes the log.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use handbell_backend::{BackendError, Class, Fault};

use crate::{
    engine::Engine,
    error::closed,
    open::{Started, start},
    options::Options,
};

/// The engines of an open log.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) main: Arc<Engine>,
    /// The class `members`, in memory: made when somebody needs it.
    members: Mutex<Option<Arc<Engine>>>,
    writers: Mutex<Vec<JoinHandle<()>>>,
}

impl Keeper {
    pub(crate) fn new(main: Started) -> Self {
        Self { main: main.engine, members: Mutex::default(), writers: Mutex::new(vec![main.writer]) }
    }

    /// The engine that has a class.
    pub(crate) fn engine(&self, class: Class) -> Result<Arc<Engine>, BackendError> {
        if class != Class::Members {
            return Ok(Arc::clone(&self.main));
        }
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = &*members {
            return Ok(Arc::clone(engine));
        }
        if self.main.is_closing() {
            return Err(closed("reach the members"));
        }
        let options: Options = self.main.options.for_members();
        let started = start(options)
            .map_err(|error| BackendError::new(Fault::Unavailable, "reach the members", error.to_string()))?;
        self.writers.lock().unwrap_or_else(PoisonError::into_inner).push(started.writer);
        *members = Some(Arc::clone(&started.engine));
        Ok(started.engine)
    }

    fn engines(&self) -> Vec<Arc<Engine>> {
        // Closing begins under this lock, so that no engine is made behind it.
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        self.main.begin_close();
        let all: Vec<_> = members.iter().chain([&self.main]).cloned().collect();
        for engine in &all {
            engine.begin_close();
        }
        all
    }

    /// Closes, and waits until everything is released.
    pub(crate) async fn close(&self) {
        for engine in self.engines() {
            engine.closed().await;
        }
    }
}

impl Drop for Keeper {
    /// Waits for the writers, so that the directory can be opened again at once.
    fn drop(&mut self) {
        drop(self.engines());
        for writer in self.writers.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if writer.join().is_err() {
                tracing::error!("the log's writer ended by a panic");
            }
        }
    }
}
