//! A message of a broker as an envelope, whoever has written it.

use super::{
    Origin, Unreadable,
    attributes::{Attributes, scalar},
    body,
    json::{self, Parts},
    names::{SCALARS, Style},
    percent,
};
use crate::event::{Envelope, Scalar};

/// Makes an event of a message: headers by name, and the body.
///
/// In this order, what fits first:
/// 1. **Structured mode**: `content-type` is `application/cloudevents+json`,
///    or there are no attributes in headers and the body is an object with
///    `specversion` and `type`.
/// 2. **Binary mode**: a header `ce_…` or `ce-…`.
/// 3. **A Handbell envelope**: the body is `{"event": {"type", …}, …}`.
/// 4. **Anything else**: all of the body is the payload; the event's type is
///    the body's own top-level `type` where that is text, else
///    [`FALLBACK_TYPE`](super::FALLBACK_TYPE).
///
/// A body that is no JSON becomes a JSON string, or `{"data_base64": "…"}`
/// where it isn't UTF-8 either; its media type is kept as `event.contenttype`.
/// So does an event format that isn't JSON. Attributes that can't be read are
/// as good as absent. What an attribute says about the topic or, on a topic,
/// about `to`, doesn't count: a message goes where it lies.
///
/// # Errors
/// [`Unreadable`], only for a message that lies on no topic.
pub fn from_message<'h>(
    headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    body: &[u8],
    origin: &Origin<'_>,
) -> Result<Envelope, Unreadable> {
    let Parts { attributes, payload, foreign_type } = parts(Headers::read(headers), body);
    attributes.into_envelope(payload, foreign_type, origin)
}

fn parts(mut headers: Headers, body: &[u8]) -> Parts {
    let is_event = headers.content_type.as_deref().is_some_and(|media_type| {
        let essence = body::essence(media_type);
        essence == "application/cloudevents" || essence == "application/cloudevents+json"
    });
    let by_looks = || headers.attributes.is_empty() && json::looks_structured(body);
    if (is_event || by_looks())
        && let Some(parts) = json::structured(body)
    {
        return parts;
    }
    if headers.attributes.is_empty() {
        return json::envelope(body).unwrap_or_else(|| json::plain(headers.content_type, body));
    }
    let media_type = headers.attributes.take("datacontenttype").or(headers.content_type);
    let (payload, foreign_type) = body::payload(media_type, body);
    Parts { attributes: headers.attributes, payload, foreign_type }
}

/// The headers that matter here.
#[derive(Default)]
struct Headers {
    attributes: Attributes,
    content_type: Option<String>,
}

impl Headers {
    fn read<'h>(headers: impl IntoIterator<Item = (&'h str, &'h [u8])>) -> Self {
        let mut read = Self::default();
        let mut scalars = String::new();
        for (name, value) in headers {
            let value = String::from_utf8_lossy(value);
            match Style::attribute(name) {
                Some((Style::Kafka, name)) => read.attributes.insert(name, Scalar::Text(value.into_owned())),
                Some((Style::Nats, name)) => {
                    read.attributes.insert(name, Scalar::Text(percent::decode(&value).into_owned()));
                }
                None if name.eq_ignore_ascii_case("content-type") => read.content_type = Some(value.into_owned()),
                None if name.eq_ignore_ascii_case(SCALARS) => scalars = value.into_owned(),
                None => {}
            }
        }
        for name in scalars.split(',') {
            if let Some(text) = read.attributes.take(name) {
                read.attributes.insert(name, scalar(text));
            }
        }
        read
    }
}
