//! Asking the admin API.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, StatusCode,
    body::{Bytes, Incoming},
    header::{AUTHORIZATION, DATE, HOST},
};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value as Json;
use tokio::net::TcpStream;

use crate::{
    failure::{COMPARE, Exit, Failure},
    output::Item,
    reach::Place,
};

/// The admin API at an address.
#[derive(Debug)]
pub(crate) struct Api {
    place: Place,
    authority: String,
}

/// A list, or a page of it.
#[derive(Deserialize)]
struct Page {
    items: Vec<Item>,
    next_cursor: Option<String>,
}

/// How long an answer may take; a reading of the log takes its time.
const PATIENCE: Duration = Duration::from_secs(65);

impl Api {
    pub(crate) fn new(place: Place) -> Result<Self, Failure> {
        let rest = place.url.strip_prefix("http://").ok_or_else(|| wrong_side(&place))?;
        let authority = rest.trim_end_matches('/').to_owned();
        if authority.is_empty() || authority.contains('/') {
            return Err(wrong_side(&place));
        }
        Ok(Self { place, authority })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.place.url
    }

    /// The items of a list, page by page until there are `limit` of them.
    pub(crate) async fn list(&self, path: &str, query: &[(&str, String)], limit: usize) -> Result<Vec<Item>, Failure> {
        let mut items = Vec::new();
        let mut cursor = None;
        while items.len() < limit {
            let mut query = query.to_vec();
            query.push(("limit", (limit - items.len()).min(1_000).to_string()));
            query.extend(cursor.map(|cursor| ("cursor", cursor)));
            let (page, _) = self.get_dated::<Page>(path, &query).await?;
            items.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        Ok(items)
    }

    /// One answer.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Json, Failure> {
        self.get_dated(path, query).await.map(|(body, _)| body)
    }

    /// One answer, and what the server's clock said.
    pub(crate) async fn get_dated<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<(T, Option<String>), Failure> {
        let target = target(path, query);
        let answer = tokio::time::timeout(PATIENCE, self.ask(&target)).await;
        let (status, date, body) = answer.map_err(|_| self.unreachable("it does not answer in time"))??;
        match status.is_success() {
            true => serde_json::from_slice(&body).map(|body| (body, date)).map_err(|error| self.unreadable(&error)),
            false => Err(self.refused(status, &serde_json::from_slice(&body).unwrap_or_default())),
        }
    }

    async fn ask(&self, target: &str) -> Result<(StatusCode, Option<String>, Bytes), Failure> {
        let unreachable = |error: &dyn std::error::Error| self.unreachable(&error.to_string());
        let stream = TcpStream::connect(&self.address()).await.map_err(|error| unreachable(&error))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| unreachable(&error))?;
        let driver = tokio::spawn(connection);
        let answer = sender.send_request(self.request(target)).await.map_err(|error| unreachable(&error))?;
        let status = answer.status();
        let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok()).map(ToOwned::to_owned);
        let body = Incoming::collect(answer.into_body()).await.map_err(|error| unreachable(&error))?.to_bytes();
        driver.abort();
        Ok((status, date, body))
    }

    fn address(&self) -> String {
        let has_port =
            self.authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
        if has_port { self.authority.clone() } else { format!("{}:80", self.authority) }
    }

    fn request(&self, target: &str) -> Request<Empty<Bytes>> {
        let mut request = Request::get(target).header(HOST, &self.authority);
        if let Some(token) = &self.place.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        request.body(Empty::new()).expect("the target is percent-encoded and the token is one line")
    }

    fn unreachable(&self, why: &str) -> Failure {
        let what = format!("no Handbell answers at {}: {why}", self.place.url);
        let how = "start one with handbell dev, or name its admin address with --url";
        Failure::new(Exit::Unreachable, what, self.place.named_by.clone(), how)
    }

    fn unreadable(&self, error: &serde_json::Error) -> Failure {
        let what = format!("the answer of {} can't be read: {error}", self.place.url);
        Failure::failed(what, self.place.named_by.clone(), COMPARE)
    }

    fn unknown(&self) -> Failure {
        let what = match self.place.token {
            Some(_) => "the token is none of its tokens",
            None => "it wants a token, and none was sent",
        };
        let how = "name a file with a token of its admin.tokens_file by --token-file or HANDBELL_TOKEN_FILE";
        Failure::new(Exit::Refused, what, self.place.url.clone(), how)
    }

    /// Whoever answers so is no Handbell.
    fn foreign(&self, status: StatusCode) -> Failure {
        let what = format!("what answers at {} is no admin address of a Handbell: {status}", self.place.url);
        let how = "give the admin's address, as the line \"ready\" prints it";
        Failure::new(Exit::Unreachable, what, self.place.named_by.clone(), how)
    }

    fn refused(&self, status: StatusCode, body: &Json) -> Failure {
        let Some(detail) = body.get("detail").and_then(Json::as_str) else { return self.foreign(status) };
        if status == StatusCode::UNAUTHORIZED {
            return self.unknown();
        }
        let (what, how) = detail.split_once("; ").unwrap_or((detail, COMPARE));
        let exit = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::Refused,
            StatusCode::BAD_REQUEST => Exit::Usage,
            _ => Exit::Failed,
        };
        Failure::new(exit, format!("{what} ({status})"), self.place.url.clone(), how)
    }
}

fn wrong_side(place: &Place) -> Failure {
    let how = match place.url.starts_with("https://") {
        true => "this build speaks no TLS: give an address with http://, such as a tunnel's",
        false => "give the admin's address, like http://127.0.0.1:7711, as the line \"ready\" prints it",
    };
    let whose =
        if place.url.starts_with("ws://") || place.url.starts_with("unix:") { ", it is the agents'" } else { "" };
    Failure::usage(format!("{} is not the admin's address{whose}", place.url), place.named_by.clone(), how)
}

fn target(path: &str, query: &[(&str, String)]) -> String {
    let pairs: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    if pairs.is_empty() { format!("/api/v1{path}") } else { format!("/api/v1{path}?{}", pairs.join("&")) }
}

/// Percent-encoding of everything but RFC 3986's unreserved characters.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(url: &str) -> Result<Api, Failure> {
        Api::new(Place { url: url.into(), named_by: "--url".into(), token: None })
    }

    #[test]
    fn only_the_admins_address_is_taken() {
        assert_eq!(api("http://127.0.0.1:7711/").unwrap().address(), "127.0.0.1:7711");
        assert_eq!(api("http://handbell").unwrap().address(), "handbell:80");
        for wrong in ["ws://127.0.0.1:7710/v1/ws", "unix:/x", "127.0.0.1:7711", "http://", "http://x/y"] {
            assert_eq!(api(wrong).unwrap_err().exit, Exit::Usage, "{wrong}");
        }
    }

    #[test]
    fn values_are_percent_encoded() {
        assert_eq!(target("/events", &[("text", "a b&ä".into())]), "/api/v1/events?text=a%20b%26%C3%A4");
        assert_eq!(target("/topics", &[]), "/api/v1/topics");
    }

    #[tokio::test]
    async fn nobody_there_is_exit_4() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let failure = api(&url).unwrap().get("/topics", &[]).await.unwrap_err();
        assert_eq!(failure.exit, Exit::Unreachable);
    }
}
