//! Requests: from sending one until its reply is there. A closed loop with a
//! fixed number in flight, so it tells how long an answer takes under that
//! load, and not what waits where more come than can be answered.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::{
    Target,
    consume::delivery,
    figures::{Rounds, Times, histogram, record},
    link::Link,
    load::Load,
    plan::Plan,
    process::Spent,
    report::Progress,
    throughput::joined,
};
use crate::failure::Failure;

const IN_FLIGHT: [u64; 3] = [1, 50, 500];
const RESPONDER: &str = "/bench/responder";

pub(super) async fn run(plan: &Plan, progress: &Progress) -> Result<Vec<Json>, Failure> {
    let mut rows = Vec::new();
    for in_flight in IN_FLIGHT {
        progress.say(&format!("request, {in_flight} in flight"));
        rows.push(with(plan, progress, in_flight).await?);
    }
    Ok(rows)
}

async fn with(plan: &Plan, progress: &Progress, in_flight: u64) -> Result<Json, Failure> {
    let target = Target::start(plan).await?;
    let load = Load::new("", plan.size(), 1);
    let responder = Link::open(target.place(), RESPONDER).await?;
    let answering = tokio::spawn(answer(responder));
    let mut caller = Link::open(target.place(), "/bench/caller").await?;
    let (mut times, mut per_second, mut spent) = (Times::default(), Rounds::default(), Spent::default());
    for round in 0..=plan.rounds {
        progress.round(round, plan.rounds + 1);
        let (before, begun) = (target.usage(), Instant::now());
        let (back, ages) = joined(tokio::spawn(ask(caller, load.clone(), in_flight, plan.seconds)).await)?;
        caller = back;
        if round > 0 {
            per_second.add(ages.len() as f64 / begun.elapsed().as_secs_f64());
            spent.add(before, target.usage(), ages.len());
            times.add(&ages);
        }
    }
    answering.abort();
    target.end().await;
    let mut row = json!({
        "case": format!("{in_flight} in flight"), "size": plan.size(), "in_flight": in_flight,
        "per_second": per_second.json(), "us": times.json(),
    });
    spent.tell(&mut row);
    Ok(row)
}

/// Keeps `in_flight` requests open for a while, then waits for the last reply.
async fn ask(
    mut link: Link,
    load: Load,
    in_flight: u64,
    seconds: f64,
) -> Result<(Link, hdrhistogram::Histogram<u64>), Failure> {
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let (mut open, mut ages) = (0, histogram());
    loop {
        let now = Instant::now();
        while open < in_flight && now < until {
            ask_one(&mut link, &load);
            open += 1;
        }
        if open == 0 {
            return Ok((link, ages));
        }
        let frames = link.turn().await?;
        let now = Instant::now();
        for frame in frames.iter().filter_map(|frame| frame.strip_prefix(r#"{"op":"reply","#)) {
            open -= 1;
            if let Some(age) = load.age(frame.as_bytes(), now) {
                record(&mut ages, age);
            }
            if let Some(id) = member(frame, "delivery") {
                link.out.push_back(format!(r#"{{"op":"ack","deliveries":["{id}"]}}"#));
            }
        }
    }
}

fn ask_one(link: &mut Link, load: &Load) {
    let (seq, payload) = (link.next_seq, load.payload(Instant::now()));
    link.next_seq += 1;
    link.out.push_back(format!(
        r#"{{"op":"request","seq":{seq},"call":"c{seq}","deadline":"30s","event":{{"type":"BenchQuery"}},"payload":{payload},"routing":{{"to":"{RESPONDER}"}}}}"#
    ));
}

/// Answers every request with its own payload.
async fn answer(mut link: Link) -> Result<(), Failure> {
    loop {
        for frame in link.turn().await? {
            let Some(id) = delivery(&frame) else { continue };
            let payload = payload(&frame).unwrap_or("null");
            link.out.push_back(format!(r#"{{"op":"respond","delivery":"{id}","payload":{payload}}}"#));
        }
    }
}

/// A text member of a frame of the sidecar.
fn member<'a>(frame: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = frame.split_once(&format!("\"{name}\":\""))?;
    rest.split_once('"').map(|(text, _)| text)
}

/// The payload that [`Load`] wrote: an object of texts without brackets.
fn payload(frame: &str) -> Option<&str> {
    let (_, rest) = frame.split_once("\"payload\":")?;
    let end = rest.find('}')?;
    rest.get(..=end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_found_as_it_was_written() {
        let load = Load::new("t", 256, 1);
        let payload_text = load.payload(Instant::now());
        let frame = format!(r#"{{"op":"deliver","sub":"","payload":{payload_text},"routing":{{"to":"/a"}}}}"#);
        assert_eq!(payload(&frame), Some(payload_text.as_str()));
        assert_eq!(member(r#""call":"c","delivery":"d7"}"#, "delivery"), Some("d7"));
    }
}
