//! A socket of somebody who keeps to no protocol: bytes, as they come.

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::PATIENCE;

/// A TCP connection to the agents' port.
#[derive(Debug)]
pub struct Raw {
    socket: TcpStream,
    host: String,
    read: Vec<u8>,
}

impl Raw {
    /// Connects to the address of a `ws://` URL and says nothing.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        let host = url.trim_start_matches("ws://").split('/').next().unwrap_or_default().to_owned();
        let socket = TcpStream::connect(&host).await.with_context(|| format!("connect to {host}"))?;
        Ok(Self { socket, host, read: Vec::new() })
    }

    /// Connects and upgrades to a WebSocket.
    ///
    /// # Errors
    /// When the answer is not 101.
    pub async fn upgraded(url: &str) -> anyhow::Result<Self> {
        let mut raw = Self::connect(url).await?;
        let request = raw.request();
        raw.send(request.as_bytes()).await?;
        let head = raw.head().await?;
        if !head.starts_with("HTTP/1.1 101") {
            bail!("no upgrade: {head}");
        }
        Ok(raw)
    }

    /// The request that upgrades.
    #[must_use]
    pub fn request(&self) -> String {
        format!(
            "GET /v1/ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            self.host
        )
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.socket.write_all(bytes).await.context("send")
    }

    /// The head of the HTTP answer.
    ///
    /// # Errors
    /// When none comes.
    pub async fn head(&mut self) -> anyhow::Result<String> {
        loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.read.drain(..end + 4).collect();
                return Ok(String::from_utf8_lossy(&head).into_owned());
            }
            if !self.read_more().await? {
                bail!("closed before an answer: {:?}", String::from_utf8_lossy(&self.read));
            }
        }
    }

    /// Reads until the other end closes; everything that came.
    ///
    /// # Errors
    /// When it stays open.
    pub async fn rest(&mut self) -> anyhow::Result<Vec<u8>> {
        while self.read_more().await? {}
        Ok(std::mem::take(&mut self.read))
    }

    /// Reads until there is a close frame, and says its code; `None` where the
    /// other end closes without one.
    ///
    /// # Errors
    /// When neither comes.
    pub async fn close_code(&mut self) -> anyhow::Result<Option<u16>> {
        loop {
            let code = close_code(&self.read);
            if code.is_some() || !self.read_more().await? {
                return Ok(code);
            }
        }
    }

    /// Whether the other end has closed by now.
    pub async fn is_closed(&mut self) -> bool {
        let mut bytes = [0; 1_024];
        loop {
            match self.socket.try_read(&mut bytes) {
                Ok(0) => return true,
                Ok(count) => self.read.extend(&bytes[..count]),
                Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
            }
        }
    }

    /// A reset is an end, too.
    async fn read_more(&mut self) -> anyhow::Result<bool> {
        let mut bytes = [0; 4_096];
        let count = timeout(PATIENCE, self.socket.read(&mut bytes)).await.context("it stays open")?.unwrap_or(0);
        self.read.extend(&bytes[..count]);
        Ok(count > 0)
    }
}

/// The code of the close frame among unmasked frames.
fn close_code(mut frames: &[u8]) -> Option<u16> {
    while let [first, length, rest @ ..] = frames {
        let (length, rest) = match length & 0x7f {
            126 => (usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])), rest.get(2..)?),
            127 => return None,
            short => (usize::from(short), rest),
        };
        if first & 0x0f == 8 {
            return Some(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
        }
        frames = rest.get(length..)?;
    }
    None
}

/// A frame as a client sends it: masked, with that first byte.
#[must_use]
pub fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | u8::try_from(short).unwrap_or_default()),
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]); // a mask that changes nothing
    frame.extend(payload);
    frame
}
