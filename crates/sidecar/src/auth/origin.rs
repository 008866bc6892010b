//! Whether a request may come from where it says: `Origin` and `Host`.
//!
//! A page in a browser can open a WebSocket to any address, also to loopback;
//! it can't hide its `Origin`, nor, after a rebinding of its name, its `Host`.

/// What `Origin` and `Host` may be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    allowed: Vec<String>,
    /// Hosts, without port, beside the loopback names.
    hosts: Vec<String>,
}

impl Origins {
    /// `allowed` origins, and the address that the server listens on.
    pub(crate) fn new(allowed: Vec<String>, listen_host: Option<String>) -> Self {
        let from_origins = allowed.iter().filter_map(|origin| Some(host_of(origin.split_once("://")?.1).to_owned()));
        let hosts = from_origins.chain(listen_host).collect();
        Self { allowed, hosts }
    }

    /// Whether a request with these headers may be served; if not, why.
    pub(crate) fn check(&self, origin: Option<&str>, host: Option<&str>) -> Result<(), String> {
        if let Some(host) = host
            && !self.knows_host(host)
        {
            return Err(format!("Host {host:?} is not this server's; connect by 127.0.0.1 or localhost"));
        }
        match origin {
            Some(origin) if !self.allowed.iter().any(|allowed| allowed == origin) => {
                Err(format!("Origin {origin:?} is not allowed; add it to sidecar.origins"))
            }
            _ => Ok(()),
        }
    }

    fn knows_host(&self, host: &str) -> bool {
        let name = host_of(host);
        let is_ip = |name: &str| name.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        name.eq_ignore_ascii_case("localhost")
            || is_ip(name).is_ok_and(|ip| ip.is_loopback())
            || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
            || (self.listens_everywhere() && is_ip(name).is_ok())
    }

    fn listens_everywhere(&self) -> bool {
        self.hosts.iter().any(|host| host == "0.0.0.0" || host == "[::]")
    }
}

/// The host without its port.
fn host_of(host: &str) -> &str {
    if host.starts_with('[') {
        return host.find(']').map_or(host, |end| &host[..=end]);
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_need_to_be_allowed_and_rebound_names_are_refused() {
        let origins = Origins::new(vec!["http://app.example".into()], Some("10.0.0.7".into()));
        for host in ["127.0.0.1:7710", "localhost", "[::1]:7710", "10.0.0.7:7710", "app.example", "127.9.9.9"] {
            assert!(origins.check(None, Some(host)).is_ok(), "{host}");
        }
        assert!(origins.check(None, None).is_ok());
        assert!(origins.check(None, Some("evil.example:7710")).is_err());
        assert!(origins.check(Some("http://app.example"), Some("localhost")).is_ok());
        for origin in ["http://evil.example", "null", "http://app.example:81", "http://localhost:3000"] {
            assert!(origins.check(Some(origin), Some("localhost")).is_err(), "{origin}");
        }
    }
}
