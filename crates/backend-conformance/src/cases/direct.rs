//! Direct work: inboxes, pools and capabilities.

use std::{collections::BTreeSet, time::Duration};

use handbell_backend::{Backend, header};
use handbell_delivery::{DirectSpec, Leave, Member, Presence, Verdict, inbox};
use handbell_protocol::{AgentName, Segment, Target};

use crate::{
    Bench, Case, Failure, Outcome,
    case::case,
    fixture::{Crew, Draft, Hand, ack, bounded, event, eventually, nack_in, number, put_all, put_one, reject},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Direct,
        an_inbox_keeps_work_while_nobody_is_there,
        "An inbox is kept while nobody is there; direct work needs no subscription."
    ),
    case!(
        Direct,
        sessions_of_one_agent_share_its_inbox,
        "Sessions of one name share its inbox, over all members: each piece of work goes to one of them."
    ),
    case!(
        Direct,
        work_for_a_pool_or_a_capability_goes_to_one_who_has_it,
        "routing.to a pool or a capability: one of those who have it, and nobody else."
    ),
    case!(Direct, all_direct_work_is_under_one_credit, "Direct work (inbox, pools, capabilities) is under one credit."),
    case!(
        Direct,
        direct_work_comes_again_like_any_other,
        "Nack, reject, release, a lost session and a lost connection work on direct work as on groups."
    ),
    case!(
        Direct,
        direct_work_of_a_killed_member_comes_again_elsewhere,
        "A lost session's direct work comes to another session of the name, the attempt counted."
    ),
    case!(
        Direct,
        expired_commands_are_never_handed_out,
        "Commands carry their deadline; expired ones are dropped and counted."
    )
    .schedules(&[26]),
    case!(
        Direct,
        who_is_there_is_known_to_all,
        "Members: sidecars with their agents, pools and capabilities; one that is killed is missed when its lease ends."
    ),
];

pub(super) fn agent(name: &str) -> Outcome<AgentName> {
    Ok(AgentName::parse(name)?)
}

pub(super) fn segments(names: &[&str]) -> Outcome<Vec<Segment>> {
    names.iter().map(|name| Ok(Segment::parse(name)?)).collect()
}

pub(super) fn spec(name: &str, pools: &[&str], capabilities: &[&str]) -> Outcome<DirectSpec> {
    Ok(DirectSpec {
        agent: agent(name)?,
        producer: format!("{name}#n1"),
        pools: segments(pools)?,
        capabilities: segments(capabilities)?,
    })
}

/// Work number `n` for a target.
fn work(to: &str, n: u64) -> Outcome<Draft> {
    let target = Target::parse(to)?;
    let topic = inbox::topic_of(&target).ok_or_else(|| Failure::new("no inbox of its own"))?;
    Ok(event(topic.as_str(), n)?.of_type("DoItCommand").direct(&target))
}

async fn send(backend: &dyn Backend, to: &str, numbers: std::ops::Range<u64>) -> Outcome {
    put_all(backend, numbers.map(|n| work(to, n)).collect::<Outcome<_>>()?).await.map(drop)
}

async fn an_inbox_keeps_work_while_nobody_is_there(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    send(&*backend, "/a", 0..3).await?;
    send(&*backend, "/a/b", 10..12).await?;
    send(&*backend, "pool:builders", 20..22).await?;
    let member = bench.member().await?;
    let mut hand = Hand::direct(&member, spec("/a", &["builders"], &[])?, 16).await?;
    let mut done = hand.work(5).await?;
    done.sort_unstable();
    ensure_eq!(done, [0, 1, 2, 20, 21], "what waited for /a and the pool");
    hand.nothing("the rest is for /a/b").await?;
    hand.leave(Leave::Clean);
    send(&*backend, "/a", 3..5).await?;
    let mut again = Hand::direct(&member, spec("/a", &["builders"], &[])?, 16).await?;
    ensure_eq!(again.work(2).await?.len(), 2, "what came while nobody was there");
    again.nothing("the rest was acked").await?;
    let mut other = Hand::direct(&member, spec("/a/b", &[], &[])?, 16).await?;
    ensure_eq!(other.work(2).await?.len(), 2, "what waited for /a/b");
    Ok(())
}

async fn sessions_of_one_agent_share_its_inbox(bench: Bench) -> Outcome {
    let (one, two) = (bench.member().await?, bench.member().await?);
    let backend = bench.open().await?;
    let mut hands = vec![];
    for member in [&one, &one, &two] {
        hands.push(Hand::direct(member, spec("/a", &[], &[])?, 4).await?);
    }
    send(&*backend, "/a", 0..12).await?;
    // Nobody settles: each must get its share.
    let mut held = vec![];
    for hand in &mut hands {
        held.push(hand.hold(4).await?);
    }
    let numbers: BTreeSet<_> = held.iter().flatten().map(|delivered| number(&delivered.record)).collect();
    ensure_eq!(numbers.len(), 12, "distinct pieces of work in three hands");
    for (hand, held) in hands.iter_mut().zip(&held) {
        hand.consumer.settle(held.iter().map(ack).collect());
    }
    send(&*backend, "/a", 12..200).await?;
    Crew::new(hands).exactly(12..200).await.map(drop)
}

async fn work_for_a_pool_or_a_capability_goes_to_one_who_has_it(bench: Bench) -> Outcome {
    let (one, two) = (bench.member().await?, bench.member().await?);
    let backend = bench.open().await?;
    let mut both = Hand::direct(&one, spec("/both", &["builders"], &["rust"])?, 0).await?;
    let mut builder = Hand::direct(&two, spec("/builder", &["builders"], &[])?, 1).await?;
    let mut rust = Hand::direct(&two, spec("/rust", &[], &["rust"])?, 1).await?;
    send(&*backend, "pool:builders", 0..10).await?;
    send(&*backend, "capability:rust", 100..110).await?;
    // With a credit of 1 and no ack two of them have one each.
    ensure!(number(&builder.delivery().await?.record) < 100, "a builder got work for rust");
    ensure!(number(&rust.delivery().await?.record) >= 100, "rust got work for builders");
    both.consumer.credit(4);
    let mut done = both.work(18).await?;
    done.sort_unstable();
    done.dedup();
    ensure_eq!(done.len(), 18, "what is left for the one who has both");
    both.nothing("two are with others").await
}

async fn all_direct_work_is_under_one_credit(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    for to in ["/a", "pool:p", "capability:c"] {
        send(&*backend, to, 0..5).await?;
    }
    let mut hand = Hand::direct(&member, spec("/a", &["p"], &["c"])?, 2).await?;
    let held = hand.hold(2).await?;
    hand.nothing("the credit is 2").await?;
    for delivered in &held {
        hand.ack(delivered).await?;
    }
    ensure_eq!(hand.work(13).await?.len(), 13, "the rest");
    Ok(())
}

async fn direct_work_comes_again_like_any_other(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    for (n, to) in (0..).zip(["/a", "pool:p"]) {
        send(&*backend, to, n..n + 1).await?;
        let mut hand = Hand::direct(&member, spec("/a", &["p"], &[])?, 1).await?;
        let first = hand.delivery().await?;
        ensure_eq!((number(&first.record), first.attempt), (n, 1), "work for {to}");
        hand.settle((first.token, Verdict::Release)).await?;
        let released = hand.delivery().await?;
        ensure_eq!(released.attempt, 1, "the attempt after a release");
        hand.settle(nack_in(&released, Duration::from_millis(200))).await?;
        let second = hand.delivery().await?;
        ensure_eq!(second.attempt, 2, "the attempt after a nack");
        ensure_eq!(second.idempotency_key, first.idempotency_key, "the idempotency key");
        hand.leave(Leave::Lost);
        let mut hand = Hand::direct(&member, spec("/a", &["p"], &[])?, 1).await?;
        let third = hand.delivery().await?;
        ensure_eq!(third.attempt, 3, "the attempt after a lost session");
        hand.settle(reject(&third, "no")).await?;
        let letters = super::dead_letters::letters(&*backend).await?;
        let of_target = letters.iter().filter(|letter| letter.headers.get(header::DLQ_GROUP) == Some(to));
        ensure_eq!(of_target.count(), 1, "dead letters of {to}");
        hand.nothing("it was rejected").await?;
    }
    Ok(())
}

async fn direct_work_of_a_killed_member_comes_again_elsewhere(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    // The lease of direct work is as long as a lost connection may take.
    let (doomed, plug) = bench.plugged_member(bench.options()).await?;
    let mut lost = Hand::direct(&doomed, spec("/a", &[], &[])?, 3).await?;
    send(&*backend, "/a", 0..6).await?;
    let held: BTreeSet<u64> = lost.hold(3).await?.iter().map(|delivered| number(&delivered.record)).collect();
    plug.pull();
    let member = bench.member().await?;
    let mut hand = Hand::direct(&member, spec("/a", &[], &[])?, 16).await?;
    let mut done = vec![];
    while done.len() < 6 {
        // Longer than usual: an inbox's lease is 30 s.
        let delivered = bounded(Duration::from_secs(90), hand.delivery_whenever()).await;
        let delivered = delivered.ok_or_else(|| Failure::new("a dead member's work never came again"))?;
        let was_out = held.contains(&number(&delivered.record));
        ensure_eq!(delivered.attempt, 1 + u32::from(was_out), "the attempt of number {}", number(&delivered.record));
        hand.ack(&delivered).await?;
        done.push(number(&delivered.record));
    }
    done.sort_unstable();
    ensure_eq!(done, [0, 1, 2, 3, 4, 5], "what is done in the end");
    Ok(())
}

async fn expired_commands_are_never_handed_out(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    put_one(&*backend, work("/a", 1)?.header(header::EXPIRY, "2020-01-01T00:00:00Z")).await?;
    put_one(&*backend, work("/a", 2)?.header(header::EXPIRY, "2999-01-01T00:00:00Z")).await?;
    let mut hand = Hand::direct(&member, spec("/a", &[], &[])?, 4).await?;
    ensure_eq!(hand.work(1).await?, [2], "what has not expired");
    hand.nothing("it has expired").await?;
    super::dead_letters::none(&*backend).await
}

async fn who_is_there_is_known_to_all(bench: Bench) -> Outcome {
    let one = bench.member().await?;
    let (two, plug) = bench.plugged_member(bench.options()).await?;
    let presence = |name: &str| {
        Outcome::Ok(Presence {
            agent: agent(name)?,
            pools: segments(&["p"])?,
            capabilities: segments(&["c"])?,
            sessions: 1,
        })
    };
    two.announce(vec![presence("/b")?.into()]);
    let (name, pool, capability) = (agent("/b")?, &segments(&["p"])?[0], &segments(&["c"])?[0]);
    let sees = |member: &Member, there: bool| {
        let view = member.view();
        view.agent_present(&name) == there
            && view.pool_present(pool) == there
            && view.capability_present(capability) == there
    };
    eventually("both see an agent that has come", || async { Ok(sees(&one, true) && sees(&two, true)) }).await?;
    ensure!(one.view().has_agent(two.id(), &name), "the agent is not seen where it is");
    two.announce(vec![]);
    eventually("both see that it has gone", || async { Ok(sees(&one, false) && sees(&two, false)) }).await?;
    two.announce(vec![presence("/b")?.into()]);
    eventually("it is back", || async { Ok(sees(&one, true)) }).await?;
    // Killed: missed when its lease ends.
    plug.pull();
    eventually("a killed member is missed", || async { Ok(sees(&one, false)) }).await?;
    // One that is never silent that long isn't.
    ensure!(one.view().members().any(|(id, _)| id == one.id()), "a member doesn't see itself");
    Ok(())
}
