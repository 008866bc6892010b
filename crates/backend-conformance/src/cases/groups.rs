//! Durable groups: made once, there while nobody is, whole for every member.

use std::time::Duration;

use handbell_backend::Backend;
use handbell_delivery::{GroupSettings, Leave};
use handbell_protocol::{
    Timestamp,
    frame::{From, Order},
};

use crate::{
    Bench, Case, Failure, Outcome,
    case::case,
    fixture::{Crew, Hand, event, eventually, group, put_all, put_one},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Groups,
        what_is_published_after_joining_is_delivered,
        "Subscribed is sent only when the group is durable: everything published after it is delivered, from new included, from any process."
    ),
    case!(
        Groups,
        a_group_begins_where_it_was_told_when_it_was_made,
        "From is start, new, a time or a position; for a group it counts only when the group is made."
    ),
    case!(
        Groups,
        a_group_goes_on_where_it_was_after_nobody_was_there,
        "A durable group is kept while nobody is there, also one that never settled anything."
    )
    .schedules(&[18]),
    case!(Groups, every_group_gets_every_event_once, "An acknowledged publish is delivered to every durable group."),
    case!(
        Groups,
        members_share_the_work_of_a_group,
        "A durable group is shared by its consumers over all members: each event goes to one of them."
    ),
    case!(
        Groups,
        a_topic_that_begins_to_match_later_is_read_from_its_beginning,
        "A topic that begins to match a pattern later is read from its beginning."
    )
    .schedules(&[39]),
    case!(
        Groups,
        an_operator_sees_settings_members_and_lag,
        "The groups with their stored settings, their members, and how many events they have not passed."
    ),
];

async fn publish(backend: &dyn Backend, numbers: std::ops::Range<u64>) -> Outcome {
    let drafts = numbers.map(|n| Ok(event("t", n)?.key(&format!("k{}", n % 7)))).collect::<Outcome<_>>()?;
    put_all(backend, drafts).await.map(drop)
}

async fn what_is_published_after_joining_is_delivered(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    publish(&*backend, 0..10).await?;
    let settings = GroupSettings { from: From::New, ..group("g", &["t"])? };
    let mut hand = Hand::group(&member, settings, 64).await?;
    publish(&*backend, 10..20).await?;
    let mut done = hand.work(10).await?;
    done.sort_unstable();
    ensure_eq!(done, (10..20).collect::<Vec<_>>(), "what is published after joining");
    hand.nothing("it was published before").await
}

async fn a_group_begins_where_it_was_told_when_it_was_made(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    let draft = |n| Ok(event("t", n)?.key("k"));
    put_all(&*backend, (0..5).map(draft).collect::<Outcome<_>>()?).await?;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let later = put_all(&*backend, (5..10).map(draft).collect::<Outcome<_>>()?).await?;
    let rows = [
        ("start", From::Start, 0),
        ("time", From::Time(later[0].position.time), 5),
        ("ever", From::Time(Timestamp::from_millis(0)), 0),
        ("position", From::Position(later[3].position.to_string()), 8),
        ("new", From::New, 10),
    ];
    for (name, from, first) in rows {
        let settings = GroupSettings { from: from.clone(), ..group(name, &["t"])? };
        let mut hand = Hand::group(&member, settings, 64).await?;
        let done = hand.work(10 - first).await?;
        ensure_eq!(done, (first as u64..10).collect::<Vec<_>>(), "from {from:?}");
        hand.nothing("it lies before the beginning").await?;
        hand.leave(Leave::Clean);
        // Made already: another beginning means nothing.
        let mut again = Hand::group(&member, group(name, &["t"])?, 64).await?;
        again.nothing("the group has been made and is done").await?;
    }
    Ok(())
}

async fn a_group_goes_on_where_it_was_after_nobody_was_there(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    for order in [Order::Key, Order::None] {
        let name = format!("{order:?}");
        let settings = GroupSettings { from: From::New, order: Some(order), ..group(&name, &["t"])? };
        // Made, and nothing ever settled.
        let member = bench.member().await?;
        Hand::group(&member, settings.clone(), 8).await?.leave(Leave::Clean);
        member.leave().await;
        publish(&*backend, 0..4).await?;
        for first in [0, 4, 8] {
            let member = bench.member().await?;
            let mut hand = Hand::group(&member, settings.clone(), 8).await?;
            let mut done = hand.work(4).await?;
            done.sort_unstable();
            ensure_eq!(done, (first..first + 4).collect::<Vec<_>>(), "what came while nobody was there");
            hand.nothing("it was acked").await?;
            hand.leave(Leave::Clean);
            member.leave().await;
            publish(&*backend, first + 4..first + 8).await?;
        }
    }
    Ok(())
}

async fn every_group_gets_every_event_once(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    publish(&*backend, 0..100).await?;
    let mut crews = vec![];
    for (name, order) in [("a", Order::Key), ("b", Order::None), ("c", Order::Key)] {
        let settings = GroupSettings { order: Some(order), ..group(name, &["t"])? };
        crews.push(Crew::new([Hand::group(&member, settings, 16).await?]));
    }
    publish(&*backend, 100..200).await?;
    for crew in &mut crews {
        crew.exactly(0..200).await?;
    }
    Ok(())
}

async fn members_share_the_work_of_a_group(bench: Bench) -> Outcome {
    let (one, two) = (bench.member().await?, bench.member().await?);
    let backend = bench.open().await?;
    let settings = group("g", &["t"])?;
    let hands = [Hand::group(&one, settings.clone(), 4).await?, Hand::group(&two, settings, 4).await?];
    let mut crew = Crew::new(hands);
    let (mut n, mut seen) = (0, [false; 2]);
    // How soon both work is up to them; what is handed out twice is not.
    for _ in 0..100 {
        let drafts = (n..n + 100).map(|n| event("t", n)).collect::<Outcome<_>>()?;
        put_all(&*backend, drafts).await?;
        for done in crew.exactly(n..n + 100).await? {
            seen[done.who] = true;
            ensure_eq!(done.attempt, 1, "the attempt of number {}", done.number);
        }
        n += 100;
        if seen == [true, true] {
            return Ok(());
        }
    }
    Err(Failure::new("one of two members never had anything to do"))
}

async fn a_topic_that_begins_to_match_later_is_read_from_its_beginning(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    let settings = GroupSettings { from: From::New, ..group("g", &["tasks.*"])? };
    let mut crew = Crew::new([Hand::group(&member, settings, 16).await?]);
    for n in 0..10 {
        // While the group is busy, topics are made that nobody knew.
        let drafts = (0..20).map(|i| event(&format!("tasks.t{n}"), n * 20 + i)).collect::<Outcome<_>>()?;
        put_all(&*backend, drafts).await?;
    }
    crew.exactly(0..200).await.map(drop)
}

async fn an_operator_sees_settings_members_and_lag(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    publish(&*backend, 0..10).await?;
    let settings = GroupSettings {
        filter: Some("type=TaskCompleted".into()),
        ack_wait: Some(Duration::from_secs(9)),
        ..group("g", &["t"])?
    };
    let mut hand = Hand::group(&member, settings.clone(), 1).await?;
    let held = hand.delivery().await?;
    let groups = member.groups().await?;
    ensure_eq!(groups.len(), 1, "groups");
    let info = &groups[0];
    ensure_eq!((info.group.as_str(), info.filter.as_str()), ("g", "type=TaskCompleted"), "group and filter");
    ensure_eq!((&info.topics, info.order, &info.from), (&settings.topics, Order::Key, &From::Start), "settings");
    ensure_eq!((info.ack_wait, Some(&info.retry)), (Duration::from_secs(9), settings.retry.as_ref()), "settings");
    ensure_eq!(info.members, [member.id().clone()], "members");
    ensure!(info.lag.is_none_or(|lag| lag > 0), "a group that is behind has no lag");
    hand.ack(&held).await?;
    hand.work(9).await?;
    eventually("a group that is done has no lag", || async {
        let groups = member.groups().await?;
        Ok(groups.iter().all(|info| info.lag.is_none_or(|lag| lag == 0) && info.unsettled == 0))
    })
    .await?;
    hand.leave(Leave::Clean);
    eventually("a group that nobody serves has no members", || async {
        Ok(member.groups().await?.iter().all(|info| info.members.is_empty()))
    })
    .await?;
    put_one(&*backend, event("t", 10)?).await?;
    let groups = member.groups().await?;
    ensure!(groups[0].lag.is_none_or(|lag| lag == 1), "the lag of one event: {:?}", groups[0].lag);
    Ok(())
}
