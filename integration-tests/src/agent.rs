//! An agent as anybody could write it: a WebSocket and JSON.

use std::collections::VecDeque;

use anyhow::{Context as _, bail};
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, protocol::frame::CloseFrame},
};

use crate::PATIENCE;

/// The socket of an agent.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A connected agent.
#[derive(Debug)]
pub struct Agent {
    socket: Socket,
    /// Frames that came while another was waited for.
    early: VecDeque<Value>,
    /// What the sidecar said to `hello`.
    pub welcome: Value,
    /// The last frame that was read, as it came.
    pub text: String,
    /// How the socket was closed, once it was.
    pub closed: Option<(u16, String)>,
}

impl Agent {
    /// Connects and says `hello` with these members.
    ///
    /// # Errors
    /// When there is no `welcome`.
    pub async fn hello(url: &str, hello: Value) -> anyhow::Result<Self> {
        let mut agent = Self::connect(url).await?;
        let mut frame = hello;
        frame["op"] = json!("hello");
        agent.send(&frame).await?;
        agent.welcome = agent.expect("welcome").await?;
        Ok(agent)
    }

    /// Connects as the agent of that name.
    ///
    /// # Errors
    /// When there is no `welcome`.
    pub async fn named(url: &str, name: &str) -> anyhow::Result<Self> {
        Self::hello(url, json!({ "agent": name })).await
    }

    /// Connects and says nothing.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        let (socket, _) = tokio::time::timeout(PATIENCE, tokio_tungstenite::connect_async(url)).await??;
        Ok(Self { socket, early: VecDeque::new(), welcome: Value::Null, text: String::new(), closed: None })
    }

    /// Connects and says `hello`, with little room in the system for what it
    /// doesn't read.
    ///
    /// # Errors
    /// When there is no `welcome`.
    pub async fn narrow(url: &str, hello: Value) -> anyhow::Result<Self> {
        let host: std::net::SocketAddr =
            url.trim_start_matches("ws://").split('/').next().unwrap_or_default().parse()?;
        let narrow = tokio::net::TcpSocket::new_v4()?;
        narrow.set_recv_buffer_size(16 << 10)?;
        let stream = MaybeTlsStream::Plain(narrow.connect(host).await?);
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await?;
        let mut agent =
            Self { socket, early: VecDeque::new(), welcome: Value::Null, text: String::new(), closed: None };
        let mut frame = hello;
        frame["op"] = json!("hello");
        agent.send(&frame).await?;
        agent.welcome = agent.expect("welcome").await?;
        Ok(agent)
    }

    /// The token with which the session goes on.
    #[must_use]
    pub fn resume(&self) -> Value {
        self.welcome["resume"].clone()
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// When the socket is lost.
    pub async fn send(&mut self, frame: &Value) -> anyhow::Result<()> {
        self.send_raw(Message::Text(frame.to_string().into())).await
    }

    /// Sends a WebSocket message as it is.
    ///
    /// # Errors
    /// When the socket is lost.
    pub async fn send_raw(&mut self, message: Message) -> anyhow::Result<()> {
        self.socket.send(message).await.context("send")
    }

    /// Both directions, for one that doesn't take turns.
    pub fn split(self) -> (SplitSink<Socket, Message>, SplitStream<Socket>) {
        self.socket.split()
    }

    /// The next frame; `None` when the socket is closed.
    ///
    /// # Errors
    /// When nothing comes for a long time.
    pub async fn next(&mut self) -> anyhow::Result<Option<Value>> {
        if let Some(frame) = self.early.pop_front() {
            return Ok(Some(frame));
        }
        self.read().await
    }

    async fn read(&mut self) -> anyhow::Result<Option<Value>> {
        // Pings keep a silent socket busy: they don't prolong the patience.
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let message = tokio::time::timeout_at(until, self.socket.next()).await.context("nothing came")?;
            match message {
                Some(Ok(Message::Text(text))) => {
                    self.text = text.to_string();
                    return Ok(Some(serde_json::from_str(&text)?));
                }
                Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => {
                    self.closed = Some((code.into(), reason.to_string()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }

    /// The next frame of that `op`; others wait for later calls.
    ///
    /// # Errors
    /// When it doesn't come, or an `error` comes instead.
    pub async fn expect(&mut self, op: &str) -> anyhow::Result<Value> {
        if let Some(at) = self.early.iter().position(|frame| frame["op"] == op) {
            return Ok(self.early.remove(at).unwrap_or_default());
        }
        loop {
            match self.read().await? {
                Some(frame) if frame["op"] == op => return Ok(frame),
                Some(frame) if frame["op"] == "error" => bail!("waiting for {op}: {frame}"),
                Some(frame) => self.early.push_back(frame),
                None => bail!("waiting for {op}: closed {:?}", self.closed),
            }
        }
    }

    /// Sends a frame and waits for the next one of that `op`.
    ///
    /// # Errors
    /// As for [`Agent::expect`].
    pub async fn ask(&mut self, frame: &Value, op: &str) -> anyhow::Result<Value> {
        self.send(frame).await?;
        self.expect(op).await
    }

    /// Waits until the socket is closed, and says with which code.
    ///
    /// # Errors
    /// When it stays open.
    pub async fn close_code(&mut self) -> anyhow::Result<Option<u16>> {
        while self.read().await?.is_some() {}
        Ok(self.closed.as_ref().map(|(code, _)| *code))
    }

    /// Whether a frame of that `op` comes within a moment.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn has_soon(&mut self, op: &str, moment: std::time::Duration) -> anyhow::Result<bool> {
        Ok(tokio::time::timeout(moment, self.expect(op)).await.is_ok_and(|found| found.is_ok()))
    }
}

/// The delivery's ID.
#[must_use]
pub fn delivery_of(deliver: &Value) -> String {
    deliver["delivery"].as_str().unwrap_or_default().to_owned()
}

/// The event's type.
#[must_use]
pub fn type_of(deliver: &Value) -> String {
    deliver["event"]["type"].as_str().unwrap_or_default().to_owned()
}
