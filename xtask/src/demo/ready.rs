//! The line with which handbell says that all is up.

use serde_json::Value;

/// The addresses of a running `handbell dev`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ready {
    /// One WebSocket address per sidecar.
    pub agents: Vec<String>,
    pub admin: String,
}

/// `None` for any other line.
pub(super) fn parse(line: &str) -> Option<Ready> {
    let value: Value = serde_json::from_str(line).ok()?;
    if value["event"] != "ready" {
        return None;
    }
    let agents = value["agents"].as_array()?.iter().map(|url| url.as_str().map(str::to_owned));
    Some(Ready { agents: agents.collect::<Option<_>>()?, admin: value["admin"].as_str()?.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_carries_every_address() {
        let line = r#"{"event":"ready","agents":["ws://127.0.0.1:1/v1/ws","ws://127.0.0.1:2/v1/ws"],"admin":"http://127.0.0.1:3"}"#;
        let ready = parse(line).expect("it is the ready line");
        assert_eq!(ready.agents, ["ws://127.0.0.1:1/v1/ws", "ws://127.0.0.1:2/v1/ws"]);
        assert_eq!(ready.admin, "http://127.0.0.1:3");
    }

    #[test]
    fn other_lines_are_passed_over() {
        for line in
            ["", "ready", r#"{"event":"draining","agents":[],"admin":""}"#, r#"{"event":"ready","agents":"ws://"}"#]
        {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
