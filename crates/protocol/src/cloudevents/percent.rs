//! Header values in ASCII: percent-encoding as the HTTP binding has it.

use std::borrow::Cow;

/// Encodes what is not a visible ASCII character, `"` and `%`.
pub(super) fn encode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'"' && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    encoded
}

/// Decodes a value; text between `"` is unquoted first. What is no encoding
/// stays as it is, since not every producer encodes.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    let text = unquote(text);
    if !text.contains('%') {
        return text;
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, bytes.get(at + 1).copied().and_then(hex), bytes.get(at + 2).copied().and_then(hex)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(high << 4 | low);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).map_or(text, Cow::Owned)
}

fn unquote(text: &str) -> Cow<'_, str> {
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return Cow::Borrowed(text);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut escaped = false;
    let kept = inner.chars().filter(|c| {
        escaped = *c == '\\' && !escaped;
        !escaped
    });
    Cow::Owned(kept.collect())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the HTTP binding.
    #[test]
    fn the_bindings_example_is_encoded_as_it_says() {
        assert_eq!(encode("Euro € 😀"), "Euro%20%E2%82%AC%20%F0%9F%98%80");
    }

    #[test]
    fn what_was_encoded_reads_back() {
        for text in ["", "plain", "a b\r\nc", "100%", "%41", "\"quoted\"", "ä\u{0}"] {
            assert_eq!(decode(&encode(text)), text);
        }
    }

    #[test]
    fn what_other_producers_write_is_understood() {
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%zz%4"), "%zz%4");
        assert_eq!(decode("%ff"), "%ff", "no UTF-8, so no encoding");
        assert_eq!(decode(r#""a \"b\" \\""#), r#"a "b" \"#);
        assert_eq!(decode("%e2%82%ac"), "€");
    }
}
