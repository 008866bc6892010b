//! One agent's connection, as lean as it can be: what the bench itself uses is
//! taken from what it measures.

use std::collections::VecDeque;

use handbell_protocol::AgentName;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{
    client::{Hello, Socket, connect},
    failure::Failure,
    reach::Place,
};

/// A connection that was welcomed.
pub(super) struct Link {
    socket: Socket,
    place: Place,
    /// What waits to be written.
    pub(super) out: VecDeque<String>,
    /// How many publishes may be unanswered.
    pub(super) window: usize,
    /// The number of the next publish or request.
    pub(super) next_seq: u64,
}

impl Link {
    /// Connects as `agent`.
    pub(super) async fn open(place: &Place, agent: &str) -> Result<Self, Failure> {
        let agent = AgentName::parse(agent).expect("the bench's agents have names");
        let hello = Hello { agent, pools: Vec::new(), capabilities: Vec::new(), credit: 1_024 };
        let (socket, welcome) = connect(place, &hello).await?;
        let window = welcome.publish_window;
        Ok(Self { socket, place: place.clone(), out: VecDeque::new(), window, next_seq: 1 })
    }

    /// Writes what waits and reads what is there; waits until either brings
    /// something. Cancel-safe.
    pub(super) async fn turn(&mut self) -> Result<Vec<Utf8Bytes>, Failure> {
        let frames = self.socket.turn(&mut self.out).await.ok_or_else(|| self.lost("the connection was closed"))?;
        if let Some(bad) = frames.iter().find(|frame| is_bad(frame)) {
            return Err(self.lost(bad));
        }
        Ok(frames)
    }

    /// Subscribes and waits until the subscription stands.
    pub(super) async fn subscribe(&mut self, sub: &str, rest: &str) -> Result<(), Failure> {
        self.ask_to_subscribe(sub, rest);
        self.subscribed(1).await
    }

    /// Subscribes; [`Link::subscribed`] waits for it.
    pub(super) fn ask_to_subscribe(&mut self, sub: &str, rest: &str) {
        self.out.push_back(format!(r#"{{"op":"subscribe","sub":"{sub}",{rest}}}"#));
    }

    /// Waits until so many subscriptions stand.
    pub(super) async fn subscribed(&mut self, mut count: usize) -> Result<(), Failure> {
        while count > 0 {
            let frames = self.turn().await?;
            let stand = frames.iter().filter(|frame| frame.starts_with(r#"{"op":"subscribed""#)).count();
            count = count.saturating_sub(stand);
        }
        Ok(())
    }

    fn lost(&self, why: &str) -> Failure {
        let what = format!("the sidecar did not take part to the end: {why}");
        Failure::failed(what, self.place.url.clone(), "see its log")
    }
}

/// Whether a frame says that something went wrong: a bench has nothing that may.
fn is_bad(frame: &str) -> bool {
    [r#"{"op":"rejected""#, r#"{"op":"error""#, r#"{"op":"gone""#, r#"{"op":"goaway""#, r#"{"op":"gap""#]
        .iter()
        .any(|bad| frame.starts_with(bad))
}
