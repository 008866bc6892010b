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
pub(super) async fn settle(end: &End, settlements: Vec<(QueueToken, Settlement)>) -> Result<Vec<bool>, BackendError> {
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

fn finish(end: &End, settlements: &[(QueueToken, Settlement)], found: &[Found], results: &[Result<bool, Trouble>]) {
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

/// Sets the ends of leases. The broker's wait begins again with each; where it
/// can't be told, the ends stay what they were.
pub(super) async fn extend(end: &End, tokens: &[(&QueueToken, Duration)]) -> Result<Vec<bool>, BackendError> {
    const DOING: &str = "extend leases in a queue";
    end.core.open(DOING)?;
    let extended: Vec<_> = {
        let (mut state, now) = (end.state(), Instant::now());
        tokens.iter().map(|(token, lease)| state.extend(token, now, *lease, end.ack_wait())).collect()
    };
    end.work.notify_one();
    // One that ends at once is given back, which must not be overtaken.
    let lasting = extended.iter().zip(tokens).filter(|(_, (_, lease))| !lease.is_zero());
    let told = join_all(
        lasting
            .filter_map(|(extended, _)| extended.as_ref())
            .map(|(reply, _)| async { end.core.asker.answer(reply.clone(), None, Bytes::from_static(b"+WPI")).await }),
    );
    if let Some(trouble) = told.await.into_iter().find_map(Result::err) {
        let mut state = end.state();
        for ((token, _), (_, before)) in tokens.iter().zip(&extended).filter_map(|(t, e)| Some((t, e.as_ref()?))) {
            state.set_end(token, *before);
        }
        return Err(trouble.writing(DOING));
    }
    Ok(extended.iter().map(Option::is_some).collect())
}
