//! Cells: entries of a key-value bucket under optimistic concurrency.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use handbell_backend::{BackendError, CellName, CellValue, CellVersion, Fault, StoreOutcome};
use serde::Deserialize;
use serde_json::json;

use crate::{
    api::{ApiError, StreamInfo, parse},
    core::Core,
    error::{Trouble, WRONG_SEQUENCE},
    get::Which,
    message::Raw,
};

/// The most that a cell holds.
const MAX_CELL: usize = 512 * 1_024;
const MAX_NAME: usize = 200;
/// How often a store is tried again that only another one's was in the way of.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Deserialize)]
struct Ack {
    #[serde(default)]
    error: Option<ApiError>,
    #[serde(default)]
    seq: u64,
}

/// Loads a cell from the leader.
pub(crate) async fn load(core: &Core, name: &CellName) -> Result<Option<CellValue>, Trouble> {
    let found = entry(core, name).await?.filter(|raw| !is_deleted(raw));
    Ok(found.map(|raw| CellValue { value: raw.payload, version: CellVersion(raw.sequence) }))
}

async fn entry(core: &Core, name: &CellName) -> Result<Option<Raw>, Trouble> {
    core.asker.get(&core.layout.cells(), &Which::last_of(core.layout.cell(name))).await
}

/// Somebody has deleted the key with a tool: there is no value, but a number.
fn is_deleted(raw: &Raw) -> bool {
    raw.headers.get("KV-Operation").is_some()
}

/// Stores a cell if it still has the version `expected`.
pub(crate) async fn store(
    core: &Core,
    name: &CellName,
    value: Bytes,
    expected: Option<CellVersion>,
) -> Result<StoreOutcome, BackendError> {
    let doing = || format!("store cell {name}");
    if value.len() > MAX_CELL || name.as_str().len() > MAX_NAME {
        let why = format!("it has {} bytes; a cell holds 512 KiB under a name of 200 bytes", value.len());
        return Err(BackendError::new(Fault::Refused, doing(), why));
    }
    // To the broker 0 means that there is none.
    if expected == Some(CellVersion(0)) {
        return Ok(StoreOutcome::Fenced);
    }
    let mut sequence = expected.map_or(0, |version| version.0);
    for _ in 0..TRIES {
        match put(core, name, value.clone(), sequence).await {
            Ok(stored) => return Ok(StoreOutcome::Stored(CellVersion(stored))),
            Err(Trouble::Api { err_code, .. }) if WRONG_SEQUENCE.contains(&err_code) => {}
            Err(trouble) => return Err(trouble.writing(doing())),
        }
        // Another store may only have been on its way, and may have failed.
        let now = entry(core, name).await.map_err(|trouble| trouble.reading(doing()))?;
        sequence = match (now, expected) {
            (None, None) => 0,
            (Some(raw), None) if is_deleted(&raw) => raw.sequence,
            (Some(raw), Some(version)) if raw.sequence == version.0 => raw.sequence,
            _ => return Ok(StoreOutcome::Fenced),
        };
        tokio::time::sleep(PAUSE).await;
    }
    Err(BackendError::new(Fault::Unavailable, doing(), "another store is on its way"))
}

async fn put(core: &Core, name: &CellName, value: Bytes, sequence: u64) -> Result<u64, Trouble> {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Last-Subject-Sequence", sequence.to_string());
    let answer = core.asker.answer(core.layout.cell(name), Some(headers), value).await?;
    let ack: Ack = parse(&answer.payload)?;
    match ack.error {
        Some(error) => Err(error.into()),
        None => Ok(ack.seq),
    }
}

/// The names below a prefix, in order.
pub(crate) async fn below(core: &Core, prefix: &CellName) -> Result<Vec<CellName>, Trouble> {
    let filter = format!("{}.>", core.layout.cell(prefix));
    let subjects = subjects(core, &core.layout.cells(), &filter).await?;
    let mut names: Vec<CellName> = subjects.iter().filter_map(|(subject, _)| core.layout.cell_of(subject)).collect();
    names.sort();
    Ok(names)
}

/// The subjects of a stream that match, and how many messages each has; the
/// server tells them page by page.
pub(crate) async fn subjects(core: &Core, stream: &str, filter: &str) -> Result<Vec<(String, u64)>, Trouble> {
    let mut all = Vec::new();
    loop {
        let body = json!({ "subjects_filter": filter, "offset": all.len() });
        let info: StreamInfo = core.asker.call(&format!("STREAM.INFO.{stream}"), &body).await?;
        let page = info.state.subjects.unwrap_or_default();
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}
