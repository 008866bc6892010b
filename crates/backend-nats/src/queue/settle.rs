//! Settlements and extensions, each confirmed by the broker.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use handbell_backend::{BackendError, QueueToken, Settlement};
use tokio::time::Instant;

use super::{
    End,
    notes::{self, Note},
    state::{Found, Lent},
};
use crate::error::Trouble;

/// Settles; what the broker has confirmed stays so if the rest must be tried again.
pub(super) async fn settle(
    end: &End,
    settlements: Vec<(QueueToken, Settlement)>,
) -> Result<Vec<bool>, BackendError> {
    const DOING: &str = "settle in a queue";
    end.core.open(DOING)?;
    let now = Instant::now();
    let found: Vec<_> = {
        let mut state = end.state();
        settlements.iter().map(|(token, _)| state.settle(token, now)).collect()
    };
    let results = found.iter().zip(&settlements).map(|(found, (_, how))| async move {
        match found {
            Found::Runs(lent) => tell(end, lent, how).await.map(|()| true),
            Found::Settled => Ok(true),
            Found::Ended => Ok(false),
        }
    });
    let results = join_all(results).await;
    finish(end, &settlements, &found, &results);
    results.into_iter().map(|result| result.map_err(|trouble| trouble.writing(DOING))).collect()
}

fn finish(
    end: &End,
    settlements: &[(QueueToken, Settlement)],
    found: &[Found],
    results: &[Result<bool, Trouble>],
) {
    let all = results.iter().all(Result::is_ok);
    let mut state = end.state();
    for (((token, _), found), result) in settlements.iter().zip(found).zip(results) {
        match found {
            Found::Ended => {}
            _ if all => state.forget(token),
            _ => state.settled(token, result.is_ok()),
        }
    }
    drop(state);
    end.work.notify_one();
}

async fn tell(end: &End, lent: &Lent, how: &Settlement) -> Result<(), Trouble> {
    let word: Bytes = match how {
        Settlement::Ack => Bytes::from_static(b"+ACK"),
        Settlement::Term { reason } => format!("+TERM {}", reason.replace(['\r', '\n'], " ")).into(),
        Settlement::Nak { delay, counted } => {
            notes::store(&end.core, &end.spec.name, lent, Note::of(lent, *counted)).await?;
            give_back(*delay)
        }
    };
    end.core.asker.answer(lent.reply.clone(), None, word).await?;
    if let (Some(note), Settlement::Ack | Settlement::Term { .. }) = (lent.note, how) {
        notes::remove(&end.core, note).await;
    }
    Ok(())
}

/// The word that gives a record back.
pub(super) fn give_back(delay: Duration) -> Bytes {
    match u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX / 2) {
        0 => Bytes::from_static(b"-NAK"),
        delay => format!("-NAK {{\"delay\": {delay}}}").into(),
    }
}

/// Sets the ends of leases. The broker's wait begins again with each.
pub(super) async fn extend(end: &End, tokens: &[(&QueueToken, Duration)]) -> Result<Vec<bool>, BackendError> {
    const DOING: &str = "extend leases in a queue";
    end.core.open(DOING)?;
    let replies: Vec<Option<String>> = {
        let (state, now) = (end.state(), Instant::now());
        tokens.iter().map(|(token, _)| state.running(token, now).map(|lent| lent.reply.clone())).collect()
    };
    let told = join_all(replies.iter().map(|reply| async {
        match reply {
            Some(reply) => {
                end.core.asker.answer(reply.clone(), None, Bytes::from_static(b"+WPI")).await.map(|_| true)
            }
            None => Ok(false),
        }
    }));
    let told: Vec<bool> =
        told.await.into_iter().collect::<Result<_, Trouble>>().map_err(|trouble| trouble.writing(DOING))?;
    let mut state = end.state();
    let now = Instant::now();
    let mut answers = Vec::with_capacity(tokens.len());
    for ((token, lease), told) in tokens.iter().zip(told) {
        let runs = told && state.running(token, now).is_some();
        if runs {
            state.extend(token, now, *lease, end.ack_wait());
        }
        answers.push(runs);
    }
    drop(state);
    end.work.notify_one();
    Ok(answers)
}
