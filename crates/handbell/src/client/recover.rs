//! How a session outlives its connections: it is resumed, and what is open
//! is sent again.

use std::time::Duration;

use handbell_protocol::frame::Welcome;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Error, protocol::frame::coding::CloseCode};

use super::{
    greet::{Lost, greet},
    session::{PATIENCE, Session},
};
use crate::failure::{Exit, Failure};

impl Session {
    /// After `goaway`, once nothing is begun any more: the sidecar need not
    /// wait for its grace to end. Its close leads to a new connection.
    pub(super) async fn leave_if_done(&mut self) -> Result<(), Failure> {
        let busy = !(self.open.is_empty() && self.held.is_empty() && self.settling.is_empty());
        if busy || !std::mem::take(&mut self.leaving) {
            return Ok(());
        }
        self.send(r#"{"op":"bye"}"#).await
    }

    /// A failed send is a lost connection.
    pub(super) async fn send(&mut self, text: &str) -> Result<(), Failure> {
        if self.socket.send(text).await.is_err() {
            self.reconnect().await?;
        }
        Ok(())
    }

    pub(super) async fn send_open(&mut self) -> Result<(), Failure> {
        let open: Vec<String> = self.open.values().cloned().collect();
        for text in open {
            if self.socket.send(&text).await.is_err() {
                return Box::pin(self.reconnect()).await;
            }
        }
        Ok(())
    }

    /// Opens a new connection, and goes on where the old one was lost.
    pub(super) async fn reconnect(&mut self) -> Result<(), Failure> {
        let until = Instant::now() + PATIENCE;
        let mut wait = Duration::from_millis(100);
        let mut resume = Some(self.resume.clone());
        loop {
            match greet(&self.place, &self.address, &self.hello, resume.as_deref()).await {
                Ok((socket, welcome)) => {
                    self.socket = socket;
                    if self.go_on(welcome).await.is_ok() {
                        return Ok(());
                    }
                    resume = Some(self.resume.clone());
                }
                // A log that is new knows nobody; where nothing is open, that is no loss.
                Err(Lost::For(failure))
                    if failure.exit == Exit::Refused && self.open.is_empty() && resume.is_some() =>
                {
                    resume = None;
                    continue;
                }
                Err(Lost::For(failure)) => return Err(failure),
                Err(lost) if Instant::now() >= until => return Err(lost.into_failure()),
                Err(Lost::Now(_)) => {}
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(2));
        }
    }

    async fn go_on(&mut self, welcome: Welcome) -> Result<(), Error> {
        self.leaving = false;
        self.resume = welcome.resume;
        if self.producer != welcome.producer {
            self.producer = welcome.producer;
            self.next_seq = 1;
        }
        if !welcome.resumed {
            // Other deliveries than before: settling the old ones has no effect.
            self.settling.clear();
            self.held.clear();
            for text in self.subscriptions.values() {
                self.socket.send(text).await?;
            }
        }
        for text in self.open.values().chain(self.settling.values()) {
            self.socket.send(text).await?;
        }
        Ok(())
    }

    /// Closes that a new connection would not mend.
    pub(super) fn refused(&self, close: Option<(CloseCode, String)>) -> Result<(), Failure> {
        match close {
            Some((CloseCode::Policy, reason)) if reason != "taken over" => {
                let how = "give the agent's token with --token-file";
                Err(Failure::new(Exit::Refused, reason, self.place.url.clone(), how))
            }
            Some((CloseCode::Policy, _)) => {
                let how = "run it once at a time";
                Err(Failure::failed("another process has taken this session over", self.place.url.clone(), how))
            }
            Some((code @ (CloseCode::Size | CloseCode::Invalid | CloseCode::Unsupported), reason)) => {
                let how = "send less in one frame; put large data elsewhere and send its address";
                let what = format!("the sidecar can't take what was sent (close {}): {reason}", u16::from(code));
                Err(Failure::failed(what, self.place.url.clone(), how))
            }
            _ => Ok(()),
        }
    }
}
