//! How attributes are named in headers.

/// Our own header beside the attributes: the names of further members of
/// `event` whose value is a number or a boolean, joined by `,`.
pub const SCALARS: &str = "hb-scalars";

/// How a kind of broker carries attributes as headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Style {
    /// `ce_id`; the data's media type is `content-type`; values are UTF-8 as
    /// they are, line breaks included.
    Kafka,
    /// `ce-id`; the data's media type is `ce-datacontenttype`; values are
    /// ASCII, and blanks, `"`, `%`, control and all further characters are
    /// percent-encoded as in the HTTP binding.
    Nats,
}

impl Style {
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Kafka => "ce_",
            Self::Nats => "ce-",
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Kafka => "content-type",
            Self::Nats => "ce-datacontenttype",
        }
    }

    /// The style of a header, and the attribute that it carries.
    pub(super) fn attribute(header: &str) -> Option<(Self, &str)> {
        let (prefix, name) = header.split_at_checked(3)?;
        [Self::Kafka, Self::Nats]
            .into_iter()
            .find(|style| style.prefix().eq_ignore_ascii_case(prefix))
            .map(|style| (style, name))
    }
}

/// Names that no further member of `event` may have, since the envelope's own
/// members travel under them.
const RESERVED: [&str; 15] = [
    "causationid",
    "correlationid",
    "data",
    "datacontenttype",
    "eventversion",
    "hops",
    "id",
    "kind",
    "partitionkey",
    "priority",
    "source",
    "specversion",
    "time",
    "to",
    "type",
];

/// Whether an attribute's name is one of the envelope's own.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Whether `name` can be an attribute's name: a–z and 0–9.
pub(super) fn is_attribute(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}
