//! The agents' address as people write it.

use std::path::PathBuf;

use crate::{failure::Failure, reach::Place};

/// Where the WebSocket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// Host and port, and the whole URL.
    Tcp { authority: String, url: String },
    /// A Unix socket.
    Unix(PathBuf),
}

/// The URL for a Unix socket's handshake; nobody resolves it.
const UNIX_URL: &str = "ws://localhost/v1/ws";

impl Address {
    pub(super) fn parse(place: &Place) -> Result<Self, Failure> {
        if let Some(path) = place.url.strip_prefix("unix:") {
            return Ok(Self::Unix(path.into()));
        }
        let rest = place.url.strip_prefix("ws://").ok_or_else(|| wrong_side(place))?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.is_empty() {
            return Err(wrong_side(place));
        }
        let authority = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
        let path = if path.is_empty() { handbell_protocol::frame::PATH.trim_start_matches('/') } else { path };
        Ok(Self::Tcp { url: format!("ws://{authority}/{path}"), authority })
    }

    /// What the handshake asks for.
    pub(super) fn url(&self) -> &str {
        match self {
            Self::Tcp { url, .. } => url,
            Self::Unix(_) => UNIX_URL,
        }
    }
}

fn wrong_side(place: &Place) -> Failure {
    let how = "give the agents' address, like ws://127.0.0.1:7710/v1/ws or unix:/path, as the line \"ready\" prints it";
    let how = match place.url.starts_with("wss://") {
        true => "this build speaks no TLS: give an address with ws://, such as a tunnel's",
        false => how,
    };
    let whose = if place.url.starts_with("http://") { ", it is the admin's" } else { "" };
    Failure::usage(format!("{} is not the agents' address{whose}", place.url), place.named_by.clone(), how)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Address, Failure> {
        Address::parse(&Place { url: url.into(), named_by: "--url".into(), token: None })
    }

    #[test]
    fn the_ready_lines_addresses_are_taken() {
        let tcp = Address::Tcp { authority: "127.0.0.1:7710".into(), url: "ws://127.0.0.1:7710/v1/ws".into() };
        assert_eq!(parse("ws://127.0.0.1:7710/v1/ws").unwrap(), tcp);
        assert_eq!(parse("ws://127.0.0.1:7710").unwrap(), tcp);
        assert_eq!(parse("unix:/run/handbell.sock").unwrap(), Address::Unix("/run/handbell.sock".into()));
        for wrong in ["http://127.0.0.1:7711", "127.0.0.1:7710", "ws://"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
