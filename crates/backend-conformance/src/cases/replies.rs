//! Answers on their way to who called.

use std::time::Duration;

use handbell_backend::{Backend, header};
use handbell_delivery::{DirectSpec, Leave, Member, Presence, inbox};
use handbell_protocol::Target;

use super::direct::{agent, spec};
use crate::{
    Bench, Case, Failure, Outcome,
    case::case,
    fixture::{Draft, Hand, bounded, event, eventually, number, put_one},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Direct,
        an_answer_goes_to_the_session_that_called,
        "Replies prefer the session that called, else any session of the agent."
    ),
    case!(Direct, answers_use_no_credit, "Replies come under no credit: a caller without any still gets them."),
    case!(
        Direct,
        an_answer_finds_a_caller_that_has_moved,
        "A caller that moves to another process while its reply is under way gets the reply."
    )
    .schedules(&[31]),
    case!(
        Direct,
        an_answer_that_was_not_settled_comes_again,
        "A reply is settled by ack of its delivery; until then it is sent again after each resume, anywhere."
    )
    .schedules(&[31]),
];

/// An answer to a call that a session of `/caller` made on `member`.
fn answer(n: u64, session: &str, member: &Member) -> Outcome<Draft> {
    let caller = agent("/caller")?;
    Ok(event(inbox::reply_topic(&caller).as_str(), n)?
        .direct(&Target::Agent(caller))
        .header(header::CALL, &format!("c{n}"))
        .header(header::STATUS, "ok")
        .header(header::CALLER, session)
        .header(inbox::CALLER_MEMBER, member.id().as_str()))
}

fn session(nonce: &str) -> Outcome<DirectSpec> {
    Ok(DirectSpec { producer: format!("/caller#{nonce}"), ..spec("/caller", &[], &[])? })
}

/// Lets every member know where `/caller` is.
async fn announce(at: &Member, seen_by: &[&Member]) -> Outcome {
    let name = agent("/caller")?;
    at.announce(vec![Presence { agent: name.clone(), pools: vec![], capabilities: vec![], sessions: 1 }.into()]);
    eventually("the caller is seen", || async {
        Ok(seen_by.iter().all(|member| member.view().has_agent(at.id(), &name)))
    })
    .await
}

async fn send(backend: &dyn Backend, answer: Draft) -> Outcome {
    put_one(backend, answer).await.map(drop)
}

async fn an_answer_goes_to_the_session_that_called(bench: Bench) -> Outcome {
    let (one, two) = (bench.member().await?, bench.member().await?);
    let backend = bench.open().await?;
    let mut here = Hand::direct(&one, session("here")?, 8).await?;
    let mut beside = Hand::direct(&one, session("beside")?, 8).await?;
    let mut elsewhere = Hand::direct(&two, session("elsewhere")?, 8).await?;
    announce(&one, &[&one, &two]).await?;
    announce(&two, &[&one, &two]).await?;
    for round in 0..5 {
        send(&*backend, answer(round * 10, "/caller#here", &one)?).await?;
        send(&*backend, answer(round * 10 + 1, "/caller#beside", &one)?).await?;
        send(&*backend, answer(round * 10 + 2, "/caller#elsewhere", &two)?).await?;
        ensure_eq!(here.work(1).await?, [round * 10], "the answer to a call from here");
        ensure_eq!(beside.work(1).await?, [round * 10 + 1], "the answer to a call from beside");
        ensure_eq!(elsewhere.work(1).await?, [round * 10 + 2], "the answer to a call from elsewhere");
    }
    Ok(())
}

async fn answers_use_no_credit(bench: Bench) -> Outcome {
    let member = bench.member().await?;
    let backend = bench.open().await?;
    let mut hand = Hand::direct(&member, session("here")?, 0).await?;
    announce(&member, &[&member]).await?;
    for n in 0..10 {
        send(&*backend, answer(n, "/caller#here", &member)?).await?;
    }
    let mut numbers: Vec<_> = hand.hold(10).await?.iter().map(|delivered| number(&delivered.record)).collect();
    numbers.sort_unstable();
    ensure_eq!(numbers, (0..10).collect::<Vec<_>>(), "answers without credit");
    Ok(())
}

async fn an_answer_finds_a_caller_that_has_moved(bench: Bench) -> Outcome {
    let (one, two) = (bench.member().await?, bench.member().await?);
    let backend = bench.open().await?;
    // Still there, with another session of the agent; the caller's is gone.
    let old = Hand::direct(&one, session("caller")?, 8).await?;
    announce(&one, &[&one, &two]).await?;
    old.leave(Leave::Lost);
    one.announce(vec![]);
    send(&*backend, answer(1, "/caller#caller", &one)?).await?;
    let mut moved = Hand::direct(&two, session("caller")?, 8).await?;
    announce(&two, &[&one, &two]).await?;
    ensure_eq!(moved.work(1).await?, [1], "the answer after a move");
    moved.nothing("it is acked").await
}

async fn an_answer_that_was_not_settled_comes_again(bench: Bench) -> Outcome {
    let (one, two) = (bench.member().await?, bench.member().await?);
    let backend = bench.open().await?;
    let mut old = Hand::direct(&one, session("caller")?, 8).await?;
    announce(&one, &[&one, &two]).await?;
    send(&*backend, answer(1, "/caller#caller", &one)?).await?;
    // It was in the socket when the caller went away.
    ensure_eq!(number(&old.delivery().await?.record), 1, "the answer");
    old.leave(Leave::Lost);
    one.announce(vec![]);
    let mut moved = Hand::direct(&two, session("caller")?, 8).await?;
    announce(&two, &[&one, &two]).await?;
    let again = bounded(Duration::from_secs(60), moved.delivery_whenever()).await;
    let again = again.ok_or_else(|| Failure::new("an answer never came again"))?;
    ensure_eq!(number(&again.record), 1, "the answer, again");
    moved.ack(&again).await
}
