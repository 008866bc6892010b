//! An address to listen on.

use std::{borrow::Cow, fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `IP:PORT` (port 0: any free one), or `unix:/path` of a socket.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub(crate) enum Listen {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Listen {
    /// Whether only this machine can reach it.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// Whether both can't be bound by one process.
    pub(crate) fn collides(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(a), Self::Tcp(b)) => {
                let same_ip = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
                a.port() != 0 && a.port() == b.port() && same_ip
            }
            (Self::Unix(a), Self::Unix(b)) => a == b,
            _ => false,
        }
    }

    /// The address `n` further on: the port plus `n`, or the socket's name with `-n`.
    pub(crate) fn further(&self, n: u16) -> Option<Self> {
        match self {
            _ if n == 0 => Some(self.clone()),
            Self::Tcp(address) if address.port() == 0 => Some(Self::Tcp(*address)),
            Self::Tcp(address) => {
                let port = address.port().checked_add(n)?;
                Some(Self::Tcp(SocketAddr::new(address.ip(), port)))
            }
            Self::Unix(path) => {
                let stem = path.file_stem()?.to_string_lossy();
                let end = path.extension().map(|end| format!(".{}", end.to_string_lossy())).unwrap_or_default();
                Some(Self::Unix(path.with_file_name(format!("{stem}-{n}{end}"))))
            }
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no address to listen on; write IP:PORT like 127.0.0.1:7710, or unix:/path");
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) => Err(bad()),
            None => text.replacen("localhost:", "127.0.0.1:", 1).parse().map(Self::Tcp).map_err(|_| bad()),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Serialize for Listen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str) -> Listen {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_read_back() {
        for text in ["127.0.0.1:7710", "[::1]:0", "unix:/run/handbell.sock"] {
            assert_eq!(listen(text).to_string(), text);
        }
        assert_eq!(listen("localhost:1").to_string(), "127.0.0.1:1");
        for bad in ["7710", "host:1", "unix:", "unix:relative", "127.0.0.1"] {
            assert!(bad.parse::<Listen>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_second_sidecar_listens_next_door() {
        assert_eq!(listen("127.0.0.1:7710").further(2).unwrap(), listen("127.0.0.1:7712"));
        assert_eq!(listen("127.0.0.1:0").further(2).unwrap(), listen("127.0.0.1:0"));
        assert_eq!(listen("unix:/run/hb.sock").further(1).unwrap(), listen("unix:/run/hb-1.sock"));
        assert_eq!(listen("127.0.0.1:65535").further(1), None);
    }

    #[test]
    fn an_unspecified_address_collides_with_every_one_of_its_port() {
        assert!(listen("0.0.0.0:1").collides(&listen("127.0.0.1:1")));
        assert!(!listen("127.0.0.1:0").collides(&listen("127.0.0.1:0")));
        assert!(!listen("127.0.0.1:1").collides(&listen("127.0.0.2:1")));
    }
}
