//! Which requests may come at all, by `Host` and `Origin`: a page in a browser
//! must not reach a service on this machine by a name of its own.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{HOST, ORIGIN},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{app::App, problem::Problem};

pub(crate) async fn check(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let access = &app.options.access;
    let host = request.headers().get(HOST).map(|host| host.to_str().unwrap_or_default());
    let host = host.or_else(|| request.uri().authority().map(axum::http::uri::Authority::as_str));
    if host.is_some_and(|host| !host_is_allowed(host, access.listen, &access.origins)) {
        return forbidden("Host", "ask by the address that it listens on, or name the host in admin.origins");
    }
    if !origin_is_allowed(request.headers(), access.listen, &access.origins) {
        return forbidden("Origin", "name the page's origin in admin.origins");
    }
    next.run(request).await
}

fn forbidden(header: &str, how: &str) -> Response {
    Problem::new(StatusCode::FORBIDDEN, format!("this {header} is not allowed; {how}")).into_response()
}

/// Loopback, `localhost`, the listen address, and the hosts of allowed
/// origins; with a wide bind any IP address, which no page can forge a name for.
fn host_is_allowed(host: &str, listen: SocketAddr, origins: &[String]) -> bool {
    let name = without_port(host);
    if name.eq_ignore_ascii_case("localhost") || origins.iter().any(|origin| host_of(origin) == Some(name)) {
        return true;
    }
    let Ok(ip) = name.trim_matches(['[', ']']).parse::<IpAddr>() else { return false };
    ip.is_loopback() || ip == listen.ip() || listen.ip().is_unspecified()
}

/// No `Origin` (no browser), an allowed one, or the service's own page.
fn origin_is_allowed(headers: &HeaderMap, listen: SocketAddr, origins: &[String]) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    if origins.iter().any(|allowed| allowed == origin) {
        return true;
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let own = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    own.is_some() && own == host && own.is_some_and(|own| host_is_allowed(own, listen, origins))
}

fn host_of(origin: &str) -> Option<&str> {
    origin.split_once("://").map(|(_, host)| without_port(host))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_foreign_name_for_this_machine_is_refused() {
        let origins = ["https://ops.example.org".to_owned()];
        for (host, allowed) in [
            ("127.0.0.1:7711", true),
            ("localhost:7711", true),
            ("[::1]:7711", true),
            ("ops.example.org", true),
            ("evil.example.org:7711", false),
            ("127.0.0.1.evil.example.org", false),
            ("10.0.0.1:7711", false),
            ("", false),
        ] {
            assert_eq!(host_is_allowed(host, listen("127.0.0.1:7711"), &origins), allowed, "{host}");
        }
        assert!(host_is_allowed("10.0.0.1:7711", listen("0.0.0.0:7711"), &[]));
    }

    #[test]
    fn a_page_from_elsewhere_is_refused() {
        let origins = ["https://ops.example.org".to_owned()];
        for (origin, allowed) in [
            ("http://127.0.0.1:7711", true),
            ("https://ops.example.org", true),
            ("http://127.0.0.1:3000", false),
            ("http://localhost:7711", false),
            ("https://evil.example.org", false),
            ("null", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "127.0.0.1:7711".parse().unwrap());
            headers.insert(ORIGIN, origin.parse().unwrap());
            assert_eq!(origin_is_allowed(&headers, listen("127.0.0.1:7711"), &origins), allowed, "{origin}");
        }
    }
}
