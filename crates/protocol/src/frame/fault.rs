//! What is wrong with a member of a frame, in words: which one, what must
//! stand there, what does, and how to mend it. Only a bad frame comes here.

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

/// Reads a value again that could not be read, to find the member.
pub(super) fn explain<'de, T, D>(name: &str, reader: D) -> String
where
    T: DeserializeOwned,
    D: serde::Deserializer<'de, Error = serde_json::Error>,
{
    match serde_path_to_error::deserialize::<_, T>(reader) {
        Ok(_) => format!("{name} can't be read"),
        Err(fault) => sentence(&member(name, fault.path()), &brief(fault.inner())),
    }
}

/// The reader's message without its position, which is relative to a member.
pub(super) fn brief(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

/// `topics[1]`, `retry.jitter`; empty for the frame itself.
fn member(name: &str, path: &Path) -> String {
    let mut member = name.to_owned();
    for segment in path {
        match segment {
            Segment::Seq { index } => member.push_str(&format!("[{index}]")),
            Segment::Map { key: word } | Segment::Enum { variant: word } => {
                if !member.is_empty() {
                    member.push('.');
                }
                member.push_str(word);
            }
            Segment::Unknown => {}
        }
    }
    member
}

const FROM: &str = r#"from must be "start", "new", {"time":"2026-11-21T14:00:00Z"} or {"position":"…"}"#;

/// The reader's message about a member as a sentence.
pub(super) fn sentence(member: &str, message: &str) -> String {
    if let Some(field) = message.strip_prefix("missing field ") {
        let field = field.trim_matches('`');
        return if member.is_empty() { format!("{field} is missing") } else { format!("{member}.{field} is missing") };
    }
    if member == "from" || message.ends_with("newtype variant") {
        return FROM.into();
    }
    if let Some((found, wanted)) = message.strip_prefix("invalid type: ").and_then(split) {
        return mismatch(member, &words_of_found(found), words_of_wanted(wanted));
    }
    if let Some((found, wanted)) = message.strip_prefix("invalid value: ").and_then(split) {
        return format!("{member} must be {}, not {}", words_of_wanted(wanted), words_of_found(found));
    }
    if let Some((found, wanted)) = message.strip_prefix("unknown variant ").and_then(split) {
        let wanted = wanted.trim_start_matches("one of ").replace('`', "");
        return format!("{member} must be {wanted}, not {}", found.trim_matches('`'));
    }
    match message.split(' ').next() {
        Some("must") => format!("{member} {message}"),
        Some(first) if first == member => message.to_owned(),
        _ => format!("{member}: {message}"),
    }
}

fn split(message: &str) -> Option<(&str, &str)> {
    message.split_once(", expected ")
}

fn mismatch(member: &str, found: &str, wanted: &str) -> String {
    let how = match (wanted, found) {
        ("text", found) if found.starts_with("the number") || ["true", "false"].contains(&found) => {
            "; put it in quotes"
        }
        ("a list", _) => "; put it in [ ]",
        (_, found) if found.starts_with("the text") && wanted != "an object" => "; write it without quotes",
        _ => "",
    };
    format!("{member} must be {wanted}, not {found}{how}")
}

/// What the reader calls a type, as an agent's author does.
fn words_of_wanted(wanted: &str) -> &str {
    match wanted {
        "a string" | "a borrowed string" => "text",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
        "f32" | "f64" => "a number",
        "a map" | "an object" => "an object",
        other if other.starts_with("struct ") => "an object",
        other => other,
    }
}

fn words_of_found(found: &str) -> String {
    let number = || found.split_once('`').map(|(_, rest)| rest.trim_end_matches('`'));
    match found.split(' ').next().unwrap_or_default() {
        "map" => "an object".into(),
        "sequence" => "a list".into(),
        "string" => format!("the text {}", found.trim_start_matches("string ")),
        "integer" | "floating" | "number" => format!("the number {}", number().unwrap_or_default()),
        "boolean" => number().unwrap_or_default().to_owned(),
        _ => found.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::frame::ClientFrame;

    #[test]
    fn a_reason_names_the_member_and_says_what_must_stand_there() {
        let mut wrong = Vec::new();
        for (text, expected) in [
            (r#"{"op":"subscribe","sub":1,"topics":["t"]}"#, "sub must be text, not the number 1; put it in quotes"),
            (
                r#"{"op":"subscribe","sub":"s","topics":"t"}"#,
                r#"topics must be a list, not the text "t"; put it in [ ]"#,
            ),
            (
                r#"{"op":"subscribe","sub":"s","topics":["t",5]}"#,
                "topics[1] must be text, not the number 5; put it in quotes",
            ),
            (r#"{"op":"subscribe","sub":"s","topics":["t"],"order":"fifo"}"#, "order must be key or none, not fifo"),
            (
                r#"{"op":"subscribe","sub":"s","topics":["t"],"level":"yes"}"#,
                r#"level must be true or false, not the text "yes"; write it without quotes"#,
            ),
            (
                r#"{"op":"subscribe","sub":"s","topics":["t"],"retry":{"max_retries":"3"}}"#,
                r#"retry.max_retries must be a whole number from 0, not the text "3"; write it without quotes"#,
            ),
            (r#"{"op":"subscribe","sub":"s","topics":["t"],"retry":5}"#, "retry must be an object, not the number 5"),
            (r#"{"op":"subscribe","sub":"s","topics":["t"],"from":"now"}"#, r#"from must be "start", "new", {"time""#),
            (r#"{"op":"subscribe","sub":"s","topics":["t"],"from":"time"}"#, "from must be \"start\""),
            (r#"{"op":"subscribe","sub":"s","topics":["t"],"from":{"time":"noon"}}"#, "from.time: "),
            (r#"{"op":"subscribe","sub":"s","topics":["a b"]}"#, r#"topics[0]: topic pattern "a b" must be names"#),
            (
                r#"{"op":"subscribe","sub":"s","topics":["t"],"ack_wait":30}"#,
                "ack_wait must be text, not the number 30",
            ),
            (r#"{"op":"subscribe","sub":"s","topics":["t"],"ack_wait":"30"}"#, "ack_wait: "),
            (r#"{"op":"subscribe","topics":["t"]}"#, "sub is missing"),
            (r#"{"op":"hello","agent":"x"}"#, r#"agent "x" must be /name"#),
            (r#"{"op":"hello","agent":"/x","pools":["a.b"]}"#, r#"pools[0]: name "a.b" must be"#),
            (r#"{"op":"credit","sub":"s","add":"1"}"#, "add must be an integer from 0 to 2147483647"),
            (r#"{"op":"credit","sub":"s"}"#, "add is missing"),
            (r#"{"op":"nack","delivery":"d","class":"Bad"}"#, "class must be 1 to 64"),
            (r#"{"op":"ack","deliveries":"d"}"#, r#"deliveries must be a list, not the text "d"; put it in [ ]"#),
            (r#"{"op":"ack","deliveries":["d",1]}"#, "deliveries[1] must be text"),
            (r#"{"op":"ack","deliveries":["d"],"publish":[5]}"#, "publish[0] must be an object, not the number 5"),
            (r#"{"op":"respond","delivery":"d","status":"zz"}"#, "status must be ok or error, not \"zz\""),
            (r#"{"op":"respond","delivery":"d","status":"timeout"}"#, "status must be ok or error, not \"timeout\""),
            (r#"{"op":"respond","delivery":"d","status":1}"#, "status must be text, not the number 1"),
            (r#"{"op":"respond","delivery":"d","confirm":"true"}"#, "confirm must be true or false"),
            (r#"{"op":"request","seq":1,"call":7}"#, "call must be text, not the number 7"),
            (r#"{"op":5}"#, "op must be text, not the number 5"),
        ] {
            let reason = ClientFrame::parse(text).unwrap_err().reason;
            if !reason.starts_with(expected) {
                wrong.push(format!("{text}: {reason}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
