//! What is stored once, and what isn't a repeat.

use handbell_backend::{DedupReach, PublishError, Start};
use handbell_protocol::Lane;

use super::tail::EVERY_CLASS;
use crate::{
    Bench, Case, Need, Outcome,
    case::case,
    fixture::{Draft, Lent, all_of, event, from, numbers, numbers_lent, put, put_all, put_one, queue_spec, read_all},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Publish,
        a_duplicate_is_told_with_the_position_and_id_of_the_first,
        "Where the backend can tell, the receipt of a duplicate is that of the first with duplicate true."
    ),
    case!(
        Publish,
        a_duplicate_comes_out_of_no_tail_and_no_queue,
        "A record whose dedup key is stored already MUST NOT be handed out twice by any tail or queue."
    )
    .schedules(&[21, 34]),
    case!(
        Publish,
        duplicates_within_one_batch_are_found,
        "A record whose dedup key is stored already MUST NOT be handed out twice, also when both are in one batch."
    ),
    case!(
        Publish,
        one_resend_among_999_others_is_the_only_duplicate,
        "One that is stored already doesn't make its neighbours in the batch duplicates."
    )
    .schedules(&[33]),
    case!(
        Publish,
        the_same_key_with_other_content_conflicts,
        "Where the stored digest differs, the publish is refused with Conflict."
    ),
    case!(
        Publish,
        without_a_digest_the_first_stands_whatever_its_content,
        "Without a digest the first stands, whatever its content."
    )
    .schedules(&[34]),
    case!(
        Publish,
        a_number_sent_late_is_stored,
        "A dedup key is one number, not all numbers below it: one that comes late is stored."
    )
    .schedules(&[19]),
    case!(
        Publish,
        the_same_event_id_twice_is_two_events,
        "An ID that an agent brings is no dedup key: the same one twice is two events."
    )
    .schedules(&[20]),
    case!(Publish, classes_have_dedup_keys_of_their_own, "A dedup key holds within a namespace and class."),
    case!(
        Publish,
        dedup_keys_survive_a_crash,
        "What is stored once stays so after a crash, for as long as the backend can tell."
    )
    .schedules(&[21])
    .needs(&[Need::Crash]),
];

/// Whether a duplicate's receipt must say so.
fn is_told(reach: DedupReach) -> bool {
    !matches!(reach, DedupReach::Readers)
}

async fn a_duplicate_is_told_with_the_position_and_id_of_the_first(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let first = put_one(&*backend, event("t", 1)?.id("evt-first").digest("p#1", 77)).await?;
    let second = put_one(&*backend, event("t", 1)?.id("evt-first").digest("p#1", 77)).await?;
    ensure!(!first.duplicate, "the first is no duplicate");
    if is_told(backend.capabilities().dedup) {
        ensure!(second.duplicate, "the second is told as fresh");
        ensure_eq!(second.position, first.position, "the position of a duplicate");
        ensure_eq!(second.id, first.id, "the ID of a duplicate");
    }
    Ok(())
}

async fn a_duplicate_comes_out_of_no_tail_and_no_queue(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let queue = Lent::open(&*backend, queue_spec("q")?).await?;
    for n in [1, 2, 1, 2, 3] {
        put_one(&*backend, event("t", n)?.key("k").digest(&format!("p#{n}"), n)).await?;
    }
    let records = read_all(&*backend, from(&*backend, Start::Oldest)).await?;
    ensure_eq!(numbers(&records), [1, 2, 3], "what a tail hands out");
    let mut lent = numbers_lent(&queue.pull_all(3).await?);
    lent.sort_unstable();
    ensure_eq!(lent, [1, 2, 3], "what a queue lends");
    queue.nothing("the rest are duplicates").await
}

async fn duplicates_within_one_batch_are_found(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let batch = [1, 2, 1, 1].map(|n| Ok(event("t", n)?.key("k").once(&format!("p#{n}"))));
    put_all(&*backend, batch.into_iter().collect::<Outcome<Vec<Draft>>>()?).await?;
    let records = read_all(&*backend, from(&*backend, Start::Oldest)).await?;
    ensure_eq!(numbers(&records), [1, 2], "what is stored of a batch with repeats");
    Ok(())
}

async fn one_resend_among_999_others_is_the_only_duplicate(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let draft = |n: u64| Ok(event("t", n)?.digest(&format!("p{}#{n}", n % 7), n));
    put_one(&*backend, draft(500)?).await?;
    let receipts = put_all(&*backend, (0..1_000).map(draft).collect::<Outcome<_>>()?).await?;
    let duplicates = receipts.iter().enumerate().filter(|(_, receipt)| receipt.duplicate).map(|(n, _)| n);
    if is_told(backend.capabilities().dedup) {
        ensure_eq!(duplicates.collect::<Vec<_>>(), [500], "which are told as duplicates");
    }
    let mut stored = numbers(&read_all(&*backend, from(&*backend, Start::Oldest)).await?);
    stored.sort_unstable();
    ensure_eq!(stored, (0..1_000).collect::<Vec<_>>(), "what is stored");
    Ok(())
}

async fn the_same_key_with_other_content_conflicts(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let first = put_one(&*backend, event("t", 1)?.digest("p#1", 1)).await?;
    if !is_told(backend.capabilities().dedup) {
        return Ok(());
    }
    let other = put(&*backend, vec![event("t", 2)?.digest("p#1", 2), event("t", 3)?]).await?;
    ensure_eq!(other[0], Err(PublishError::Conflict), "another content under the same key");
    ensure!(other[1].is_ok(), "the neighbour of a conflict was not stored");
    let again = put_one(&*backend, event("t", 1)?.digest("p#1", 1)).await?;
    ensure_eq!(again.position, first.position, "after a conflict the first still stands");
    Ok(())
}

async fn without_a_digest_the_first_stands_whatever_its_content(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let first = put_one(&*backend, event("t", 1)?.id("evt-1").once("out")).await?;
    let second = put_one(&*backend, event("t", 2)?.id("evt-2").once("out")).await?;
    if is_told(backend.capabilities().dedup) {
        ensure_eq!((second.duplicate, &second.id), (true, &first.id), "a second run's output");
    }
    let records = read_all(&*backend, from(&*backend, Start::Oldest)).await?;
    ensure_eq!(numbers(&records), [1], "what is stored");
    Ok(())
}

async fn a_number_sent_late_is_stored(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let draft = |n: u64| Ok(event("t", n)?.digest(&format!("p#{n}"), n));
    put_all(&*backend, (6..3_000).map(draft).collect::<Outcome<_>>()?).await?;
    let late = put_one(&*backend, draft(5)?).await?;
    ensure!(!late.duplicate, "number 5, sent after 2,999, is told as a duplicate");
    let records = read_all(&*backend, from(&*backend, Start::Oldest)).await?;
    ensure!(numbers(&records).contains(&5), "number 5 was dropped");
    Ok(())
}

async fn the_same_event_id_twice_is_two_events(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    for (n, key) in [(1, Some("mallory#1")), (2, Some("alice#1")), (3, None), (4, None)] {
        let draft = event("t", n)?.key("k").id("order-17");
        let stored = put_one(&*backend, if let Some(key) = key { draft.once(key) } else { draft }).await?;
        ensure!(!stored.duplicate, "number {n} is told as a duplicate of another agent's event");
    }
    let records = read_all(&*backend, from(&*backend, Start::Oldest)).await?;
    ensure_eq!(numbers(&records), [1, 2, 3, 4], "events with one ID");
    Ok(())
}

async fn classes_have_dedup_keys_of_their_own(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    for (n, class) in (1..).zip(EVERY_CLASS) {
        let stored = put_one(&*backend, event("t", n)?.class(class).once("same")).await?;
        ensure!(!stored.duplicate, "a key of another class makes {class:?} a duplicate");
    }
    for (n, class) in (1..).zip(EVERY_CLASS) {
        let records = read_all(&*backend, all_of(&*backend, class, Lane::Regular, Start::Oldest)).await?;
        ensure_eq!(numbers(&records), [n], "class {class:?}");
    }
    Ok(())
}

async fn dedup_keys_survive_a_crash(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let drafts = |extra: u64| (0..100 + extra).map(|n| Ok(event("t", n)?.key("k").digest(&format!("p#{n}"), n)));
    let first = put_all(&*backend, drafts(0).collect::<Outcome<_>>()?).await?;
    let backend = bench.crash().await?;
    let again = put_all(&*backend, drafts(10).collect::<Outcome<_>>()?).await?;
    if is_told(backend.capabilities().dedup) {
        for (first, again) in first.iter().zip(&again) {
            ensure!(again.duplicate, "sent again after a crash, {} is told as fresh", first.position);
            ensure_eq!(again.position, first.position, "the position of a duplicate after a crash");
        }
    }
    let records = read_all(&*backend, from(&*backend, Start::Oldest)).await?;
    ensure_eq!(numbers(&records), (0..110).collect::<Vec<_>>(), "what is stored");
    ensure!(again[100..].iter().all(|fresh| !fresh.duplicate), "fresh ones are told as duplicates");
    Ok(())
}
