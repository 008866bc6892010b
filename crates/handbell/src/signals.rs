//! SIGTERM and SIGINT: the first one asks, the second one ends the process.

use std::{io, process};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::failure::{Done, Failure};

/// Whether a signal has come. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// What `work` comes to, unless a signal comes first.
    pub(crate) async fn or(mut self, work: impl Future<Output = Done>) -> Done {
        tokio::select! {
            done = work => done,
            () = self.came() => Err(Failure::interrupted()),
        }
    }

    /// Waits for the first signal. Cancel-safe.
    pub(crate) async fn came(&mut self) {
        // The sender lives as long as the process listens.
        if self.0.wait_for(|came| *came).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Begins to listen.
pub(crate) fn listen() -> io::Result<Interrupt> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        for n in 1.. {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if n == 2 {
                tracing::warn!("a second signal came: the process ends at once");
                process::exit(130);
            }
            sender.send_replace(true);
        }
    });
    Ok(Interrupt(receiver))
}
