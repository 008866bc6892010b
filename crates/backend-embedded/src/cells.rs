//! Reading cells; the writer thread stores them.

use bytes::Bytes;
use handbell_backend::{CellName, CellValue, CellVersion};
use handbell_protocol::Namespace;
use rusqlite::{Connection, OptionalExtension};

use crate::error::ReadFailure;

/// The largest value of a cell: 512 KiB.
pub(crate) const MAX_CELL: usize = 524_288;
/// The longest name of a cell.
pub(crate) const MAX_NAME: usize = 200;

/// Loads a cell.
pub(crate) fn load(
    conn: &Connection,
    namespace: &Namespace,
    name: &CellName,
) -> Result<Option<CellValue>, ReadFailure> {
    let found = conn
        .prepare_cached("SELECT value, version FROM cells WHERE namespace = ?1 AND name = ?2")?
        .query_row((namespace.as_str(), name.as_str()), |row| {
            let version = CellVersion(row.get::<_, i64>(1)?.cast_unsigned());
            Ok(CellValue { value: Bytes::from(row.get::<_, Vec<u8>>(0)?), version })
        })
        .optional()?;
    Ok(found)
}

/// The names below `prefix`, in the order of their bytes.
pub(crate) fn below(conn: &Connection, namespace: &Namespace, prefix: &CellName) -> Result<Vec<CellName>, ReadFailure> {
    // '0' is the byte behind '/': the range holds exactly what begins with "prefix/".
    let range = (namespace.as_str(), format!("{prefix}/"), format!("{prefix}0"));
    let mut statement =
        conn.prepare_cached("SELECT name FROM cells WHERE namespace = ?1 AND name >= ?2 AND name < ?3 ORDER BY name")?;
    let names = statement.query_map(range, |row| row.get::<_, String>(0))?;
    names.map(|name| Ok(CellName::of(&name?.split('/').collect::<Vec<_>>()))).collect()
}
