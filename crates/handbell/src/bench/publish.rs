//! Publishing through a sidecar: as much as the window allows, or as a pace
//! says.

use std::time::Instant;

use super::{link::Link, load::Load, pace::Stamps};
use crate::failure::Failure;

/// Publishes `count` events, as many at a time as the window allows, and waits
/// until all are durable.
pub(super) async fn saturate(mut link: Link, load: Load, count: u64) -> Result<Link, Failure> {
    let (mut sent, mut durable) = (0, 0);
    while durable < count {
        while sent < count && sent - durable < link.window as u64 {
            publish(&mut link, &load, Instant::now());
            sent += 1;
        }
        durable += published(&link.turn().await?);
    }
    Ok(link)
}

/// Publishes one event for each stamp, and waits until all are durable. Where
/// the window is full, stamps wait: their time counts all the same.
pub(super) async fn follow(mut link: Link, load: Load, mut stamps: Stamps) -> Result<Link, Failure> {
    let (mut unanswered, mut more) = (0, true);
    while more || unanswered > 0 {
        let room = link.window - unanswered;
        tokio::select! {
            due = stamps.next(room), if more && room > 0 => match due {
                Some(due) => {
                    unanswered += due.len();
                    due.into_iter().for_each(|at| publish(&mut link, &load, at));
                }
                None => more = false,
            },
            frames = link.turn() => unanswered -= published(&frames?) as usize,
        }
    }
    Ok(link)
}

fn publish(link: &mut Link, load: &Load, at: Instant) {
    link.out.push_back(load.frame(link.next_seq, at));
    link.next_seq += 1;
}

fn published(frames: &[impl AsRef<str>]) -> u64 {
    frames.iter().filter(|frame| frame.as_ref().starts_with(r#"{"op":"published""#)).count() as u64
}
