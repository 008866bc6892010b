//! Requests to the admin address, with nothing but a socket.

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// GET; the status and the body.
///
/// # Errors
/// When the server doesn't answer.
pub async fn get(base: &str, path: &str) -> anyhow::Result<(u16, String)> {
    send(base, "GET", path).await
}

/// POST without a body; the status and the body.
///
/// # Errors
/// When the server doesn't answer.
pub async fn post(base: &str, path: &str) -> anyhow::Result<(u16, String)> {
    send(base, "POST", path).await
}

async fn send(base: &str, verb: &str, path: &str) -> anyhow::Result<(u16, String)> {
    let host = base.trim_start_matches("http://");
    let mut socket = TcpStream::connect(host).await.with_context(|| format!("connect to {host}"))?;
    let request = format!("{verb} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status line")?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Ok((status, body))
}
