//! `topic|agent|group|event list|show`.

use std::time::Duration;

use handbell_protocol::Timestamp;
use serde_json::Value as Json;

use crate::{
    api::Api,
    cli::{EventCommand, EventFilter, ListArgs, Noun, NounCommand, Reach, ShowArgs},
    config::Config,
    failure::{Done, Failure},
    output::{Column, Item, Screen, human, waiting},
    reach::{Side, place},
};

/// How often a watch looks again.
const WATCH: Duration = Duration::from_secs(1);
/// What is said of a list that takes its time.
const READING: &str = "reading the log";
const ALL: usize = 1_000_000;

/// What is known of a noun beforehand.
struct About {
    path: &'static str,
    /// Where its name stands.
    name: &'static str,
    columns: &'static [Column],
    /// What it may be filtered by.
    keys: &'static [&'static str],
}

pub(crate) async fn run(noun: Noun, command: &NounCommand, config: &Config, screen: Screen) -> Done {
    let about = about(noun);
    match command {
        NounCommand::List(args) => list(&about, args, config, screen).await,
        NounCommand::Show(args) => show(&about, args, config, screen).await,
    }
}

pub(crate) async fn events(command: &EventCommand, config: &Config, screen: Screen) -> Done {
    match command {
        EventCommand::List(args) => list_events(args, config, screen).await,
        EventCommand::Show(args) => show_event(args, config, screen).await,
    }
}

async fn list(about: &About, args: &ListArgs, config: &Config, screen: Screen) -> Done {
    let wanted = pairs(args.filter.as_deref())?;
    wanted.iter().try_for_each(|(key, _)| known(about, key).map(drop))?;
    let api = api(&args.reach, config)?;
    watch(args.watch, screen, about, async || {
        let mut items = waiting(screen, READING, api.list(about.path, &[], ALL)).await?;
        items.retain(|item| wanted.iter().all(|(key, value)| has(item.value(), key, value)));
        items.truncate(args.limit);
        Ok(items)
    })
    .await
}

async fn show(about: &About, args: &ShowArgs, config: &Config, screen: Screen) -> Done {
    let api = api(&args.reach, config)?;
    let items = waiting(screen, READING, api.list(about.path, &[], ALL)).await?;
    let found = items.iter().find(|item| item.value().pointer(about.name).and_then(Json::as_str) == Some(&args.name));
    let found = found.ok_or_else(|| absent(about, &args.name, &api))?;
    screen.show(found, about.name)
}

async fn list_events(args: &EventFilter, config: &Config, screen: Screen) -> Done {
    let query = event_query(args)?;
    let limit = if args.all { ALL } else { args.limit };
    let api = api(&args.reach, config)?;
    watch(args.watch, screen, &EVENT, async || {
        let mut items = waiting(screen, READING, api.list(EVENT.path, &query, limit)).await?;
        items.reverse();
        Ok(items)
    })
    .await
}

/// Newest first, so that a limit keeps the newest; they are printed the other
/// way round.
fn event_query(args: &EventFilter) -> Result<Vec<(&'static str, String)>, Failure> {
    let now = Timestamp::now();
    let time = |flag: &str, text: &Option<String>| {
        let read = text.as_deref().map(|text| human::instant(text, now)).transpose();
        let how = "write a time like 2026-11-21T14:30:00Z, or a duration like 2h";
        read.map_err(|what| Failure::usage(what, flag, how)).map(|time| time.map(|time| time.to_string()))
    };
    let mut query = vec![("order", "desc".to_owned())];
    let fields = [
        ("correlation_id", args.correlation.clone()),
        ("type", args.event_type.clone()),
        ("source", args.source.clone()),
        ("topic", args.topic.as_ref().map(ToString::to_string)),
        ("since", time("--since", &args.since)?),
        ("until", time("--until", &args.until)?),
        ("text", args.text.clone()),
    ];
    query.extend(fields.into_iter().filter_map(|(name, value)| Some((name, value?))));
    for (key, value) in pairs(args.filter.as_deref())? {
        let name = known(&EVENT, &key)?;
        query.retain(|(have, _)| *have != name);
        query.push((name, value));
    }
    Ok(query)
}

async fn show_event(args: &ShowArgs, config: &Config, screen: Screen) -> Done {
    let query = [("text", args.name.clone()), ("order", "desc".into())];
    let api = api(&args.reach, config)?;
    let items = waiting(screen, READING, api.list(EVENT.path, &query, ALL)).await?;
    let found = items.iter().find(|item| item.value()["event"]["id"] == *args.name);
    screen.show(found.ok_or_else(|| absent(&EVENT, &args.name, &api))?, EVENT.name)
}

/// Prints once, or again whenever the answer differs.
async fn watch(
    again: bool,
    screen: Screen,
    about: &About,
    fetch: impl AsyncFn() -> Result<Vec<Item>, Failure>,
) -> Done {
    let mut before = fetch().await?;
    screen.list(&before, about.columns, about.name)?;
    if !again {
        return Ok(());
    }
    loop {
        tokio::time::sleep(WATCH).await;
        let now = fetch().await?;
        if now != before {
            screen.line("")?;
            screen.list(&now, about.columns, about.name)?;
            before = now;
        }
    }
}

fn api(reach: &Reach, config: &Config) -> Result<Api, Failure> {
    Api::new(place(reach, config, Side::Admin)?)
}

fn absent(about: &About, name: &str, api: &Api) -> Failure {
    let kind = about.path.trim_matches('/').trim_end_matches('s');
    Failure::failed(
        format!("there is no {kind} {name}"),
        api.url(),
        format!("handbell {kind} list shows those that are there"),
    )
}

/// The key, if it is one of those that a noun is filtered by.
fn known(about: &About, key: &str) -> Result<&'static str, Failure> {
    about.keys.iter().copied().find(|name| *name == key).ok_or_else(|| {
        let how = format!("the keys here are {}", about.keys.join(", "));
        Failure::usage(format!("{} aren't listed by {key}", about.path.trim_matches('/')), "--filter", how)
    })
}

/// `key=value[,…]`.
fn pairs(filter: Option<&str>) -> Result<Vec<(String, String)>, Failure> {
    let how = "write key=value, several joined by commas";
    filter
        .into_iter()
        .flat_map(|filter| filter.split(','))
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
            _ => Err(Failure::usage(format!("{pair:?} is no key=value"), "--filter", how)),
        })
        .collect()
}

/// Whether a member has that value, or is a list with it.
fn has(item: &Json, key: &str, value: &str) -> bool {
    match &item[key] {
        Json::Array(items) => items.iter().any(|item| human::text(item) == value),
        Json::Null => false,
        other => human::text(other) == value,
    }
}

fn about(noun: Noun) -> About {
    match noun {
        Noun::Topic => About {
            path: "/topics",
            name: "/topic",
            columns: &TOPIC_COLUMNS,
            keys: &["topic", "declared", "events", "description"],
        },
        Noun::Agent => About {
            path: "/agents",
            name: "/agent",
            columns: &AGENT_COLUMNS,
            keys: &["agent", "sessions", "pools", "capabilities", "members"],
        },
        Noun::Group => About {
            path: "/groups",
            name: "/group",
            columns: &GROUP_COLUMNS,
            keys: &["group", "topics", "order", "filter", "lag", "unsettled", "ack_wait", "members"],
        },
    }
}

const EVENT: About = About {
    path: "/events",
    name: "/event/id",
    columns: &EVENT_COLUMNS,
    keys: &["correlation_id", "type", "source", "topic"],
};

const TOPIC_COLUMNS: [Column; 6] = [
    Column::new("TOPIC", |topic| human::text(&topic["topic"])),
    Column::new("EVENTS", |topic| human::text(&topic["events"])),
    Column::new("SIZE", |topic| human::bytes(&topic["bytes"])),
    Column::new("LAST", |topic| human::ago(&topic["newest"], Timestamp::now())),
    Column::new("DECLARED", |topic| if topic["declared"] == true { "yes".into() } else { "no".into() }),
    Column::wide("DESCRIPTION", |topic| human::text(&topic["description"])),
];

const AGENT_COLUMNS: [Column; 5] = [
    Column::new("AGENT", |agent| human::text(&agent["agent"])),
    Column::new("SESSIONS", |agent| human::text(&agent["sessions"])),
    Column::new("POOLS", |agent| human::text(&agent["pools"])),
    Column::new("CAPABILITIES", |agent| human::text(&agent["capabilities"])),
    Column::wide("MEMBERS", |agent| human::text(&agent["members"])),
];

const GROUP_COLUMNS: [Column; 10] = [
    Column::new("GROUP", |group| human::text(&group["group"])),
    Column::new("TOPICS", |group| human::text(&group["topics"])),
    Column::new("ORDER", |group| human::text(&group["order"])),
    Column::new("LAG", |group| human::text(&group["lag"])),
    Column::new("UNSETTLED", |group| human::text(&group["unsettled"])),
    Column::new("SIDECARS", |group| human::text(&group["members"].as_array().map_or(0, Vec::len).into())),
    Column::new("OLDEST", |group| human::ago(&group["oldest"], Timestamp::now())),
    Column::new("FILTER", |group| human::text(&group["filter"])),
    Column::wide("ACK WAIT", |group| human::text(&group["ack_wait"])),
    Column::wide("MEMBERS", |group| human::text(&group["members"])),
];

const EVENT_COLUMNS: [Column; 10] = [
    Column::new("TIME", |item| human::time_of_day(&item["event"]["timestamp"])),
    Column::new("EVENT", |item| human::text(&item["event"]["type"])),
    Column::new("AGENT", |item| human::text(&item["event"]["source"])),
    Column::id("CORRELATION ID", |item| human::text(&item["event"]["correlation_id"])),
    Column::new("WHERE", whereto),
    Column::wide("ID", |item| human::text(&item["event"]["id"])),
    Column::wide("CAUSE", |item| human::text(&item["event"]["causation_id"])),
    Column::wide("KEY", |item| human::text(&item["routing"]["partition_key"])),
    Column::wide("TIMESTAMP", |item| human::text(&item["event"]["timestamp"])),
    Column::wide("PAYLOAD", |item| item["payload"].to_string()),
];

/// The topic, or whom it is for.
fn whereto(item: &Json) -> String {
    let routing = &item["routing"];
    human::text(if routing["topic"].is_null() { &routing["to"] } else { &routing["topic"] })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_filter_holds_for_values_and_for_lists() {
        let item = json!({"agent": "/a", "pools": ["x", "y"], "sessions": 2});
        assert!(has(&item, "pools", "y") && has(&item, "sessions", "2") && has(&item, "agent", "/a"));
        assert!(!has(&item, "pools", "x,y") && !has(&item, "none", "-"));
        assert_eq!(pairs(Some("a=1,b=x=y")).unwrap(), [("a".into(), "1".into()), ("b".into(), "x=y".into())]);
        assert!(pairs(Some("a")).is_err());
    }
}
