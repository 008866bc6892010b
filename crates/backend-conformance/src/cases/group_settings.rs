//! A group's settings: stored once, compared ever after.

use std::time::Duration;

use handbell_delivery::{GroupSettings, JoinError, Leave};
use handbell_protocol::frame::{Order, RetryPolicy};

use crate::{
    Bench, Case, Failure, Outcome,
    case::case,
    fixture::{Hand, event, group, patterns, put_all},
};

pub(super) const CASES: &[Case] = &[
    case!(
        Groups,
        a_differing_setting_is_refused_and_named,
        "Topics, filter, order, ack_wait and retry are stored when the group is made, and a differing subscribe is refused with the field's name."
    )
    .schedules(&[13]),
    case!(
        Groups,
        a_setting_left_out_means_the_stored_one,
        "A setting left out means the stored one."
    ),
    case!(
        Groups,
        of_two_that_make_a_group_at_once_one_wins,
        "The first to store the settings makes the group; the other is told group_mismatch."
    )
    .schedules(&[38]),
];

async fn a_differing_setting_is_refused_and_named(bench: Bench) -> Outcome {
    let (one, two) = (bench.member().await?, bench.member().await?);
    let made = GroupSettings {
        filter: Some("type=A".into()),
        order: Some(Order::Key),
        ack_wait: Some(Duration::from_secs(10)),
        ..group("g", &["t", "u.*"])?
    };
    let hand = Hand::group(&one, made.clone(), 1).await?;
    let rows = [
        ("filter", GroupSettings { filter: Some("type=B".into()), ..made.clone() }),
        ("filter", GroupSettings { filter: Some(String::new()), ..made.clone() }),
        ("topics", GroupSettings { topics: patterns(&["t"])?, ..made.clone() }),
        ("order", GroupSettings { order: Some(Order::None), ..made.clone() }),
        ("ack_wait", GroupSettings { ack_wait: Some(Duration::from_secs(11)), ..made.clone() }),
        (
            "retry",
            GroupSettings { retry: Some(RetryPolicy { max_retries: 9, ..RetryPolicy::default() }), ..made.clone() },
        ),
    ];
    for (name, settings) in rows {
        for member in [&one, &two] {
            match Hand::try_group(member, settings.clone(), 1).await? {
                Err(JoinError::Mismatch { field, .. }) => ensure_eq!(field, name, "the field that differs"),
                Err(other) => return Err(Failure::new(format!("another {name}: {other}"))),
                Ok(_) => return Err(Failure::new(format!("another {name} was taken"))),
            }
        }
    }
    hand.leave(Leave::Clean);
    // Written otherwise, but the same.
    let same = GroupSettings { topics: patterns(&["u.*", "t", "t"])?, ..made };
    Hand::group(&two, same, 1).await.map(drop)
}

async fn a_setting_left_out_means_the_stored_one(bench: Bench) -> Outcome {
    let (one, two) = (bench.member().await?, bench.member().await?);
    let made = GroupSettings {
        filter: Some("type=A".into()),
        order: Some(Order::None),
        ack_wait: Some(Duration::from_secs(10)),
        ..group("g", &["t"])?
    };
    Hand::group(&one, made.clone(), 1).await?.leave(Leave::Clean);
    let rest = GroupSettings { filter: None, order: None, ack_wait: None, retry: None, ..made };
    let mut hand = Hand::group(&two, rest, 8).await?;
    let backend = bench.open().await?;
    put_all(&*backend, vec![event("t", 1)?.of_type("B"), event("t", 2)?.of_type("A")]).await?;
    ensure_eq!(hand.work(1).await?, [2], "what the stored filter passes");
    hand.nothing("the stored filter refuses it").await
}

async fn of_two_that_make_a_group_at_once_one_wins(bench: Bench) -> Outcome {
    for round in 0..5 {
        let (one, two) = (bench.member().await?, bench.member().await?);
        let settings = |filter: &str| {
            Outcome::Ok(GroupSettings { filter: Some(filter.into()), ..group(&format!("g{round}"), &["t"])? })
        };
        let (a, b) = (settings("type=A")?, settings("type=B")?);
        let (a, b) = tokio::join!(Hand::try_group(&one, a, 1), Hand::try_group(&two, b, 1));
        let refused = match (a?, b?) {
            (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
            (a, b) => return Err(Failure::new(format!("joined: {} and {}", a.is_ok(), b.is_ok()))),
        };
        ensure!(matches!(refused, JoinError::Mismatch { field: "filter", .. }), "the loser was told {refused}");
    }
    Ok(())
}
