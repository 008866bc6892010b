//! Values of flags, read where they are typed: what is wrong is told before
//! anything is asked of a running Handbell.

use std::time::Duration;

use handbell_protocol::{Target, event::id::may_be_given, filter::Filter, time::parse_duration};

const LONGEST_DEADLINE: Duration = Duration::from_secs(86_400);
const SHORTEST_DEADLINE: Duration = Duration::from_millis(1);

/// How many: a whole number from 1.
pub(super) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("that would show nothing; write a whole number from 1".into()),
        Ok(number) => Ok(number),
        Err(_) => Err("it is no whole number; write one from 1".into()),
    }
}

/// A request's deadline, 1 ms to 24 h.
pub(super) fn deadline(text: &str) -> Result<Duration, String> {
    let deadline = parse_duration(text).map_err(|bad| bad.to_string())?;
    match (SHORTEST_DEADLINE..=LONGEST_DEADLINE).contains(&deadline) {
        true => Ok(deadline),
        false => Err("it is out of bounds; write 1ms to 24h".into()),
    }
}

/// Whom direct work is for.
pub(super) fn address(text: &str) -> Result<Target, String> {
    Target::parse(text).map_err(|bad| bad.to_string().replacen("routing.to", "the address", 1))
}

/// Whom a request is for: one, since one answers.
pub(super) fn asked(text: &str) -> Result<Target, String> {
    match address(text) {
        Ok(Target::All) => Err("a request to all has no one answer; ask /agent, pool:NAME or capability:NAME, or tell all with handbell pub --to all".into()),
        Err(bad) => Err(bad.replacen(", capability:NAME or all", " or capability:NAME", 1)),
        one => one,
    }
}

/// An ID, a type or a key that the envelope takes over as it is.
pub(super) fn given(text: &str) -> Result<String, String> {
    match may_be_given(text) {
        true => Ok(text.to_owned()),
        false => {
            Err("it is empty, too long, or has characters that can't be printed; write 1 to 255 printable ones".into())
        }
    }
}

/// A filter that the sidecar will take.
pub(super) fn filter(text: &str) -> Result<String, String> {
    match Filter::compile(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(bad) => Err(format!("{bad}; write key=value[,key=value…], or CEL like payload.n >= 3")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_the_protocol() {
        assert_eq!(count("1"), Ok(1));
        assert!(count("0").is_err() && count("-1").is_err() && count("x").is_err());
        assert_eq!(deadline("24h"), Ok(LONGEST_DEADLINE));
        for bad in ["0ms", "25h", "5x", ""] {
            assert!(deadline(bad).is_err(), "{bad}");
        }
        assert!(given("").is_err() && given("a\nb").is_err() && given(&"x".repeat(256)).is_err());
        assert!(asked("pool:x").is_ok() && asked("all").is_err() && address("all").is_ok());
        assert!(asked("nobody").is_err_and(|bad| !bad.contains("all") && bad.contains("capability:NAME")));
        assert!(filter("type=X,a=b").is_ok() && filter("x==(").is_err());
    }
}
