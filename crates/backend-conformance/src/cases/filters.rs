//! Filters of groups: one for all members, for good, without credit.

use handbell_delivery::{GroupSettings, JoinError, Leave};
use handbell_protocol::{Json, frame::Order};

use crate::{
    Bench, Case, Failure, Outcome,
    case::case,
    fixture::{Crew, Hand, event, eventually, group, put_all},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Groups,
        what_a_filter_refuses_is_passed_over_for_good,
        "Events that the filter refuses are passed over for good and use no credit."
    ),
    case!(
        Groups,
        every_member_passes_over_by_the_groups_filter_alone,
        "A member passes over events by no filter but the group's."
    )
    .schedules(&[13]),
    case!(
        Groups,
        filters_look_into_event_routing_and_payload,
        "type is event.type, another key is looked for in event, routing, then the payload's top level; anything else is CEL; an error is no match."
    ),
    case!(Groups, an_unreadable_filter_is_refused, "Unreadable: bad_filter, and no group is made."),
];

fn filtered(name: &str, order: Order, filter: &str) -> Outcome<GroupSettings> {
    Ok(GroupSettings { filter: Some(filter.into()), order: Some(order), ..group(name, &["t"])? })
}

async fn what_a_filter_refuses_is_passed_over_for_good(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    let draft = |n: u64| {
        let event_type = if n % 10 == 9 { "WantedEvent" } else { "Other" };
        Ok(event("t", n)?.key(&format!("k{}", n % 3)).of_type(event_type))
    };
    put_all(&*backend, (0..100).map(draft).collect::<Outcome<_>>()?).await?;
    for order in [Order::Key, Order::None] {
        let name = format!("{order:?}");
        let settings = filtered(&name, order, "type=Wanted")?;
        let mut hand = Hand::group(&member, settings.clone(), 1).await?;
        let mut done = hand.work(10).await?;
        done.sort_unstable();
        ensure_eq!(done, (0..10).map(|n| n * 10 + 9).collect::<Vec<_>>(), "what passes, with a credit of 1");
        hand.nothing("the filter refuses the rest").await?;
        hand.leave(Leave::Clean);
        let mut again = Hand::group(&member, settings, 1).await?;
        again.nothing("it was passed over for good").await?;
        again.leave(Leave::Clean);
    }
    Ok(())
}

async fn every_member_passes_over_by_the_groups_filter_alone(bench: Bench) -> Outcome {
    let (one, two) = (bench.member().await?, bench.member().await?);
    let backend = bench.open().await?;
    let settings = filtered("g", Order::Key, "payload.n % 2 == 0")?;
    let hands = [Hand::group(&one, settings.clone(), 8).await?, Hand::group(&two, settings, 8).await?];
    let mut crew = Crew::new(hands);
    // Types of which a member with a filter of its own would want only some.
    let draft = |n: u64| Ok(event("t", n)?.of_type(if n.is_multiple_of(4) { "A" } else { "B" }));
    let mut seen = [false; 2];
    for round in 0..100_u64 {
        put_all(&*backend, (round * 100..round * 100 + 100).map(draft).collect::<Outcome<_>>()?).await?;
        let wanted = (round * 100..round * 100 + 100).filter(|n| n % 2 == 0);
        crew.exactly(wanted).await?.iter().for_each(|done| seen[done.who] = true);
        if seen == [true, true] {
            return Ok(());
        }
    }
    Err(Failure::new("one of two members never had anything to do"))
}

async fn filters_look_into_event_routing_and_payload(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    let payload = |text: &str| Json::from_text(text.to_owned());
    put_all(
        &*backend,
        vec![
            event("t", 0)?.key("k").of_type("ReviewRequestedEvent").payload(payload(r#"{"n":0,"severity":"high"}"#)?),
            event("t", 1)?.key("k").of_type("ReviewRequested").payload(payload(r#"{"n":1,"severity":"low"}"#)?),
            event("t", 2)?.key("other").payload(payload(r#"{"n":2,"a":{"b":5}}"#)?),
            event("t", 3)?.key("other").payload(payload("[3]")?),
        ],
    )
    .await?;
    let rows: [(&str, &str, &[u64]); 6] = [
        ("a", "type=ReviewRequested", &[0, 1]),
        ("b", "severity=high", &[0]),
        ("c", "type=ReviewRequestedEvent,severity=low", &[1]),
        ("d", "partition_key=k", &[0, 1]),
        ("e", "payload.a.b=5", &[2]),
        ("f", "payload.n >= 1 && payload.n < 3", &[1, 2]),
    ];
    for (name, filter, expected) in rows {
        let mut hand = Hand::group(&member, filtered(name, Order::Key, filter)?, 64).await?;
        let mut done = hand.work(expected.len()).await?;
        done.sort_unstable();
        ensure_eq!(done, expected, "what passes {filter}");
        hand.nothing("the filter refuses it").await?;
    }
    Ok(())
}

async fn an_unreadable_filter_is_refused(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    for filter in ["payload.n >", "((", "type="] {
        match Hand::try_group(&member, filtered("g", Order::Key, filter)?, 1).await? {
            Err(JoinError::BadFilter(_)) => {}
            Err(other) => return Err(Failure::new(format!("filter {filter:?}: {other}"))),
            Ok(_) => return Err(Failure::new(format!("filter {filter:?} was taken"))),
        }
    }
    eventually("no group was made", || async { Ok(member.groups().await?.is_empty()) }).await
}
