//! Taking what a sidecar delivers, and acknowledging it.

use std::time::Instant;

use hdrhistogram::Histogram;

use super::{
    figures::{histogram, record},
    link::Link,
    load::Load,
};
use crate::failure::Failure;

/// Takes `count` deliveries. All that are read at once are acknowledged in one
/// frame. Gives back how long each was under way.
pub(super) async fn take(mut link: Link, load: Load, count: u64) -> Result<(Link, Histogram<u64>), Failure> {
    let (mut taken, mut ages) = (0, histogram());
    while taken < count {
        let frames = link.turn().await?;
        let now = Instant::now();
        let mut ids = String::new();
        for frame in &frames {
            let Some(id) = delivery(frame) else { continue };
            taken += 1;
            if !ids.is_empty() {
                ids.push_str("\",\"");
            }
            ids.push_str(id);
            if let Some(age) = load.age(frame.as_bytes(), now) {
                record(&mut ages, age);
            }
        }
        if !ids.is_empty() {
            link.out.push_back(format!(r#"{{"op":"ack","deliveries":["{ids}"]}}"#));
        }
    }
    while !link.out.is_empty() {
        link.turn().await?;
    }
    Ok((link, ages))
}

/// The ID of a delivery's frame.
pub(super) fn delivery(frame: &str) -> Option<&str> {
    const MEMBER: &str = "\"delivery\":\"";
    let rest = frame.strip_prefix(r#"{"op":"deliver","#)?;
    let from = rest.find(MEMBER)? + MEMBER.len();
    rest[from..].split_once('"').map(|(id, _)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deliverys_id_is_found_and_other_frames_have_none() {
        assert_eq!(delivery(r#"{"op":"deliver","sub":"s","delivery":"d1","attempt":1}"#), Some("d1"));
        assert_eq!(delivery(r#"{"op":"published","seq":1}"#), None);
    }
}
