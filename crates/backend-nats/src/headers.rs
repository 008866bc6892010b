//! Header values: what can't stand in a header is percent-encoded.

use std::{borrow::Cow, fmt::Write};

use async_nats::{HeaderMap, HeaderName};
use handbell_backend::PublishError;

/// Encodes `%`, what isn't printable ASCII, and blanks at the ends, which
/// servers and clients cut off.
pub(crate) fn encode(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| (byte == b' ' || byte.is_ascii_graphic()) && byte != b'%';
    let blank = |at: usize| at == 0 || at + 1 == text.len();
    let needs = |(at, byte): (usize, u8)| !plain(byte) || (byte == b' ' && blank(at));
    if !text.bytes().enumerate().any(needs) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() + 16);
    for (at, byte) in text.bytes().enumerate() {
        match needs((at, byte)) {
            true => drop(write!(encoded, "%{byte:02X}")),
            false => encoded.push(char::from(byte)),
        }
    }
    Cow::Owned(encoded)
}

/// Decodes a value; what is no encoding stays as it is.
pub(crate) fn decode(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let code = || u8::from_str_radix(std::str::from_utf8(tail.get(..2)?).ok()?, 16).ok();
        match (byte, code()) {
            (b'%', Some(code)) => {
                decoded.push(code);
                rest = &tail[2..];
            }
            _ => {
                decoded.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

/// Adds a header whose value is ready to be sent.
pub(crate) fn add(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), PublishError> {
    let refused = |why: &str| PublishError::Refused(format!("header {name}: {why}"));
    let parsed: HeaderName = name.parse().map_err(|_| refused("a header can't be named like that"))?;
    match value.contains(['\r', '\n']) {
        true => Err(refused("its value has a line break")),
        false => {
            headers.insert(parsed, value);
            Ok(())
        }
    }
}

/// The headers of a stored message, as the server keeps them.
pub(crate) fn parse(raw: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let text = String::from_utf8_lossy(raw);
    for line in text.split("\r\n").skip(1) {
        if let Some((name, value)) = line.split_once(':')
            && let (Ok(name), false) = (name.parse::<HeaderName>(), value.contains(['\r', '\n']))
        {
            headers.append(name, value.trim());
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_reads_back() {
        for text in ["", "plain text", " blank ", "größer ☃", "100%", "%41", "a\r\nb", "x"] {
            let encoded = encode(text);
            assert!(encoded.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{encoded}");
            assert_eq!(decode(&encoded), text);
        }
        assert_eq!(encode("a reason, in words"), "a reason, in words");
    }

    #[test]
    fn stored_headers_are_read() {
        let headers = parse(b"NATS/1.0\r\nce-id: a\r\nx:b:c\r\n\r\n");
        assert_eq!(headers.get("ce-id").map(ToString::to_string).as_deref(), Some("a"));
        assert_eq!(headers.get("x").map(ToString::to_string).as_deref(), Some("b:c"));
    }
}
