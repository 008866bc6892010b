//! The database's tables, its format's version, and what a connection is set to.
//!
//! Format 1. Offsets are SQLite row IDs of one table for all namespaces; none is
//! ever used again. Counts and ends of channels are stored now and then, and
//! whenever records are removed, "as of" an offset (`meta.counted`): what lies
//! behind it is counted when the log is opened, and the next offset is above both.

use handbell_backend::{Incarnation, PartitionCount};
use rusqlite::{Connection, OptionalExtension};

/// `HBEL`: what marks a database as a Handbell log.
pub(crate) const APPLICATION: i64 = 0x4842_454c;
/// The newest format that this build knows.
pub(crate) const FORMAT: i64 = 1;

const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE channels (
    id INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL, class TEXT NOT NULL, lane TEXT NOT NULL, topic TEXT NOT NULL,
    records INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
    last INTEGER NOT NULL DEFAULT 0, last_time INTEGER NOT NULL DEFAULT 0,
    UNIQUE (namespace, class, lane, topic));
CREATE TABLE log (
    offset INTEGER PRIMARY KEY,
    channel INTEGER NOT NULL, partition INTEGER NOT NULL, time INTEGER NOT NULL,
    digest INTEGER, dedup BLOB, headers BLOB, head BLOB NOT NULL, payload BLOB NOT NULL);
CREATE INDEX log_channel ON log (channel, offset, partition);
CREATE UNIQUE INDEX log_dedup ON log (dedup) WHERE dedup IS NOT NULL;
CREATE TABLE ends (
    namespace TEXT NOT NULL, class TEXT NOT NULL, lane TEXT NOT NULL, partition INTEGER NOT NULL,
    offset INTEGER NOT NULL, time INTEGER NOT NULL,
    PRIMARY KEY (namespace, class, lane, partition)) WITHOUT ROWID;
CREATE TABLE trims (
    channel INTEGER NOT NULL, partition INTEGER NOT NULL, upto INTEGER NOT NULL, time INTEGER NOT NULL,
    PRIMARY KEY (channel, partition)) WITHOUT ROWID;
CREATE TABLE cells (
    id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL,
    version INTEGER NOT NULL, value BLOB NOT NULL,
    UNIQUE (namespace, name));
CREATE TABLE queues (
    id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, class TEXT NOT NULL,
    express INTEGER NOT NULL, regular INTEGER NOT NULL,
    UNIQUE (namespace, name));
CREATE TABLE items (
    queue INTEGER NOT NULL, offset INTEGER NOT NULL, lane TEXT NOT NULL,
    leased INTEGER NOT NULL, attempt INTEGER NOT NULL, suspect INTEGER NOT NULL, due INTEGER NOT NULL,
    PRIMARY KEY (queue, offset)) WITHOUT ROWID;
";

/// What a database turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A log of this format, made now or before.
    Log { incarnation: Incarnation, partitions: u16 },
    /// Something else's database.
    Foreign,
    /// A log of a newer format.
    Newer(i64),
}

/// Sets up a connection that writes.
pub(crate) fn prepare_writer(conn: &Connection) -> rusqlite::Result<()> {
    prepare_reader(conn)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    // The writer checkpoints by itself, after it has answered; this is the net below.
    conn.pragma_update(None, "wal_autocheckpoint", 65_536)?;
    conn.pragma_update(None, "journal_size_limit", 67_108_864)?;
    conn.pragma_update(None, "cache_size", -4_096)
}

/// Sets up any connection.
pub(crate) fn prepare_reader(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(64);
    conn.busy_timeout(std::time::Duration::from_secs(5))
}

/// Makes the tables in an empty database, and tells what is there.
pub(crate) fn settle(conn: &mut Connection, partitions: PartitionCount, random: u64) -> rusqlite::Result<Found> {
    if is_empty(conn)? {
        create(conn, partitions, random)?;
    }
    if pragma(conn, "application_id")? != APPLICATION {
        return Ok(Found::Foreign);
    }
    match pragma(conn, "user_version")? {
        FORMAT => {}
        newer => return Ok(Found::Newer(newer)),
    }
    let incarnation = Incarnation(meta(conn, "incarnation")?.cast_unsigned());
    let partitions = u16::try_from(meta(conn, "partitions")?).unwrap_or_default();
    Ok(Found::Log { incarnation, partitions })
}

/// A number of the log's own.
pub(crate) fn meta(conn: &Connection, key: &str) -> rusqlite::Result<i64> {
    conn.prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()
        .map(Option::unwrap_or_default)
}

/// Sets a number of the log's own.
pub(crate) fn set_meta(conn: &Connection, key: &str, value: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?.execute((key, value)).map(drop)
}

fn is_empty(conn: &Connection) -> rusqlite::Result<bool> {
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(tables == 0 && pragma(conn, "application_id")? == 0)
}

fn create(conn: &mut Connection, partitions: PartitionCount, random: u64) -> rusqlite::Result<()> {
    let tx = conn.transaction()?;
    tx.execute_batch(TABLES)?;
    set_meta(&tx, "incarnation", random.cast_signed())?;
    set_meta(&tx, "partitions", i64::from(partitions.get()))?;
    tx.pragma_update(None, "application_id", APPLICATION)?;
    tx.pragma_update(None, "user_version", FORMAT)?;
    tx.commit()
}

fn pragma(conn: &Connection, name: &str) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, name, |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(conn: &mut Connection, random: u64) -> Found {
        settle(conn, PartitionCount::default(), random).unwrap()
    }

    #[test]
    fn an_empty_database_becomes_a_log_and_stays_that_log() {
        let mut conn = Connection::open_in_memory().unwrap();
        let first = settled(&mut conn, u64::MAX - 1);
        assert_eq!(first, Found::Log { incarnation: Incarnation(u64::MAX - 1), partitions: 32 });
        assert_eq!(settled(&mut conn, 7), first);
    }

    #[test]
    fn a_foreign_database_is_left_alone() {
        let mut conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert_eq!(settled(&mut conn, 1), Found::Foreign);
    }

    #[test]
    fn a_newer_format_is_told() {
        let mut conn = Connection::open_in_memory().unwrap();
        settled(&mut conn, 1);
        conn.pragma_update(None, "user_version", 9).unwrap();
        assert_eq!(settled(&mut conn, 1), Found::Newer(9));
    }

    /// No test can cut the power; this is what survives it.
    #[test]
    fn a_commit_is_on_the_disk_before_it_answers() {
        let dir = tempfile::tempdir().unwrap();
        let conn = Connection::open(dir.path().join("log.db")).unwrap();
        prepare_writer(&conn).unwrap();
        let mode: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!((mode.as_str(), pragma(&conn, "synchronous").unwrap()), ("wal", 2));
    }

    /// A tail far behind, and a count of its lag, must not read whole records.
    #[test]
    fn a_channels_offsets_are_read_from_the_index_alone_and_in_order() {
        let mut conn = Connection::open_in_memory().unwrap();
        settled(&mut conn, 1);
        let plan: String = conn
            .query_row(&format!("EXPLAIN QUERY PLAN {}", crate::scan::OFFSETS), (1, 2, 3), |row| row.get(3))
            .unwrap();
        assert!(plan.contains("USING COVERING INDEX log_channel (channel=? AND offset>? AND offset<?)"), "{plan}");
    }
}
