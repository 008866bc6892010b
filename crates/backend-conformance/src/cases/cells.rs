//! Cells: one winner, durable, versions never used again.

use std::collections::BTreeSet;

use bytes::Bytes;
use handbell_backend::{Backend, CellName, CellVersion, StoreOutcome};

use crate::{Bench, Case, Failure, Need, Outcome, case::case, fixture::within};

pub(super) const CASES: &[Case] = &[
    case!(Cells, a_cell_holds_what_was_stored_last, "Load MUST see every store that was answered before the call."),
    case!(
        Cells,
        a_stale_version_is_fenced_and_changes_nothing,
        "Stores a cell if it still has the version expected; Fenced: somebody else stored since, nothing happened."
    )
    .schedules(&[36]),
    case!(Cells, one_of_concurrent_stores_wins, "Of stores that name the same version exactly one MUST succeed.")
        .schedules(&[38]),
    case!(Cells, versions_grow_with_every_store, "A version grows with every store, so that none is used twice."),
    case!(
        Cells,
        stores_take_effect_in_the_order_of_their_calls,
        "Stores of one cell that are called one after the other take effect in that order."
    ),
    case!(Cells, cells_survive_a_crash, "A store MUST be durable before it answers; versions go on behind it.")
        .needs(&[Need::Crash]),
    case!(Cells, large_and_empty_values_pass, "What a cell holds: the bytes as stored, at most 512 KiB."),
    case!(Cells, cells_are_listed_below_a_prefix_in_order, "The names of the cells below a prefix, in order."),
];

async fn store(
    backend: &dyn Backend,
    name: &CellName,
    value: impl Into<Bytes>,
    expected: Option<CellVersion>,
) -> Outcome<StoreOutcome> {
    Ok(within("a cell's store", backend.cell_store(name, value.into(), expected)).await??)
}

/// A store that must succeed.
async fn must_store(
    backend: &dyn Backend,
    name: &CellName,
    value: impl Into<Bytes>,
    expected: Option<CellVersion>,
) -> Outcome<CellVersion> {
    match store(backend, name, value, expected).await? {
        StoreOutcome::Stored(version) => Ok(version),
        StoreOutcome::Fenced => Err(Failure::new(format!("the store of {name} at {expected:?} was fenced"))),
    }
}

/// What a cell holds must be this.
async fn holds(backend: &dyn Backend, name: &CellName, value: &[u8], version: CellVersion) -> Outcome {
    let cell = within("a cell's load", backend.cell_load(name)).await??;
    let cell = cell.ok_or_else(|| Failure::new(format!("cell {name} is empty")))?;
    ensure_eq!(cell.version, version, "the version of {name}");
    ensure!(cell.value == value, "{name} holds {} other bytes", cell.value.len());
    Ok(())
}

async fn a_cell_holds_what_was_stored_last(bench: Bench) -> Outcome {
    let (one, two) = (bench.open().await?, bench.open().await?);
    let name = CellName::of(&["group", "g", "settings"]);
    ensure!(one.cell_load(&name).await?.is_none(), "a cell that nobody stored");
    let mut version = None;
    for n in 0..50_u64 {
        let (writer, reader) = if n % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let stored = must_store(&**writer, &name, n.to_string(), version).await?;
        holds(&**reader, &name, n.to_string().as_bytes(), stored).await?;
        version = Some(stored);
    }
    Ok(())
}

async fn a_stale_version_is_fenced_and_changes_nothing(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let name = CellName::of(&["c"]);
    let first = must_store(&*backend, &name, "one", None).await?;
    let second = must_store(&*backend, &name, "two", Some(first)).await?;
    for stale in [None, Some(first), Some(CellVersion(second.0 + 1)), Some(CellVersion(0))] {
        let outcome = store(&*backend, &name, "stale", stale).await?;
        ensure_eq!(outcome, StoreOutcome::Fenced, "a store that names {stale:?}");
        holds(&*backend, &name, b"two", second).await?;
    }
    let nowhere = store(&*backend, &CellName::of(&["d"]), "x", Some(first)).await?;
    ensure_eq!(nowhere, StoreOutcome::Fenced, "a store that names a version of a cell that isn't there");
    ensure!(backend.cell_load(&CellName::of(&["d"])).await?.is_none(), "a fenced store made a cell");
    Ok(())
}

async fn one_of_concurrent_stores_wins(bench: Bench) -> Outcome {
    let name = CellName::of(&["contended"]);
    let mut version = None;
    for round in 0..10 {
        let mut stores = tokio::task::JoinSet::new();
        for n in 0..32 {
            let (backend, name) = (bench.open().await?, name.clone());
            stores.spawn(async move {
                let value = format!("{round} {n}");
                Outcome::Ok((value.clone(), store(&*backend, &name, value, version).await?))
            });
        }
        let mut winners = vec![];
        while let Some(done) = stores.join_next().await {
            if let (value, StoreOutcome::Stored(version)) = done?? {
                winners.push((value, version));
            }
        }
        ensure_eq!(winners.len(), 1, "winners of round {round}");
        let (value, stored) = winners.remove(0);
        holds(&*bench.open().await?, &name, value.as_bytes(), stored).await?;
        version = Some(stored);
    }
    Ok(())
}

async fn versions_grow_with_every_store(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let (name, mut seen) = (CellName::of(&["v"]), BTreeSet::new());
    let mut version = None;
    for n in 0..200 {
        let stored = must_store(&*backend, &name, vec![n], version).await?;
        ensure!(version.is_none_or(|before| before < stored), "{stored:?} after {version:?}");
        ensure!(seen.insert(stored), "{stored:?} was used twice");
        version = Some(stored);
    }
    Ok(())
}

async fn stores_take_effect_in_the_order_of_their_calls(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let name = CellName::of(&["ordered"]);
    let mut version = None;
    for round in 0..30_u8 {
        // Both name the same version: the one that is called first wins.
        let (first, second) = within("two stores", async {
            tokio::join!(
                biased;
                backend.cell_store(&name, vec![round, 1].into(), version),
                backend.cell_store(&name, vec![round, 2].into(), version)
            )
        })
        .await?;
        let (first, second) = (first?, second?);
        let StoreOutcome::Stored(stored) = first else {
            return Err(Failure::new(format!("round {round}: the earlier store was fenced, the later {second:?}")));
        };
        ensure_eq!(second, StoreOutcome::Fenced, "the later store of round {round}");
        holds(&*backend, &name, &[round, 1], stored).await?;
        version = Some(stored);
    }
    Ok(())
}

async fn cells_survive_a_crash(bench: Bench) -> Outcome {
    let mut backend = bench.open().await?;
    let name = CellName::of(&["group", "g", "cursor", "3"]);
    let mut version = None;
    for n in 0..9_u64 {
        let stored = must_store(&*backend, &name, n.to_string(), version).await?;
        ensure!(version.is_none_or(|before| before < stored), "{stored:?} after {version:?}, before a crash");
        if n % 3 == 2 {
            backend = bench.crash().await?;
        }
        holds(&*backend, &name, n.to_string().as_bytes(), stored).await?;
        version = Some(stored);
    }
    Ok(())
}

async fn large_and_empty_values_pass(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let name = CellName::of(&["sizes"]);
    let mut version = None;
    for size in [0, 1, 65_536, 512 * 1_024] {
        let value: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
        let stored = must_store(&*backend, &name, value.clone(), version).await?;
        holds(&*backend, &name, &value, stored).await?;
        version = Some(stored);
    }
    Ok(())
}

async fn cells_are_listed_below_a_prefix_in_order(bench: Bench) -> Outcome {
    let backend = bench.open().await?;
    let names = ["group/b/settings", "group/a/settings", "group/a/cursor", "groups/c", "group_x/d", "other", "group"];
    for name in names {
        must_store(&*backend, &cell(name), "", None).await?;
    }
    let listed = backend.cells(&cell("group")).await?;
    let listed: Vec<_> = listed.iter().map(CellName::as_str).filter(|name| *name != "group").collect();
    ensure_eq!(listed, ["group/a/cursor", "group/a/settings", "group/b/settings"], "cells below group");
    ensure!(backend.cells(&cell("nothing")).await?.is_empty(), "cells below a prefix that nobody used");
    Ok(())
}

fn cell(name: &str) -> CellName {
    CellName::of(&name.split('/').collect::<Vec<_>>())
}
