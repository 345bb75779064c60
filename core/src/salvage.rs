//! Salvage: reading what can be read of a damaged journal into a new one. The damaged file stays
//! as it is.

use motomind_protocol::{Hash, OpId};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::error::OpenError;
use crate::ids::read_id;
use crate::journal;
use crate::open::{migrate_journal, open_file, settle_durability};

mod pictures;

/// What was recovered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Operations read whole, their hashes right.
    pub recovered: u64,
    /// Operations whose bytes do not have their hash; left behind.
    pub altered: Vec<OpId>,
    /// Positions that could not be read at all.
    pub unreadable: u64,
    /// Photos and previews whose bytes are whole.
    pub pictures: u64,
    /// Those whose bytes are not what their hash says, or cannot be read; left behind.
    pub pictures_damaged: Vec<Hash>,
}

const COLUMNS: &str = "pos, op_id, incarnation, device_seq, lane, supersedes, captured_at, hash, \
     text, state, seq, settled_at, attempts, retry_at, awaits, reason";

/// Reads a damaged journal row by row into a new file at `into`, which must not exist. Open the
/// device with `into` as its journal afterwards.
///
/// # Errors
/// [`OpenError`] when not even identity can be read, or `into` cannot be written.
pub fn salvage(
    damaged: &str,
    into: &str,
    vfs: Option<&str>,
    key: Option<&str>,
) -> Result<Salvaged, OpenError> {
    // A WAL cannot be read without shared memory through a read-only handle: open for writing,
    // allow no writes, and leave the WAL where it is at the end.
    let old = open_file(damaged, vfs, key, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    old.execute_batch("PRAGMA query_only = ON")?;
    old.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let create = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let new = open_file(into, vfs, key, create)?;
    settle_durability(&new)?;
    migrate_journal(&new)?;
    let tx = new.unchecked_transaction()?;
    copy_table(&old, &tx, "device")?;
    copy_table(&old, &tx, "incarnations")?;
    copy_table(&old, &tx, "checkpoints")?;
    let mut salvaged = copy_operations(&old, &tx)?;
    pictures::copy(&old, &tx, &mut salvaged)?;
    pictures::copy_readable(&old, &tx, "settings")?;
    tx.commit()?;
    Ok(salvaged)
}

fn copy_table(old: &Connection, new: &Connection, table: &str) -> Result<(), OpenError> {
    let mut select = old.prepare(&format!("SELECT * FROM {table}"))?;
    let columns = select.column_count();
    let slots = vec!["?"; columns].join(", ");
    let mut insert = new.prepare(&format!("INSERT INTO {table} VALUES ({slots})"))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let values: Vec<rusqlite::types::Value> =
            (0..columns).map(|index| row.get(index)).collect::<Result<_, _>>()?;
        insert.execute(rusqlite::params_from_iter(values))?;
    }
    Ok(())
}

/// One position at a time, so that an unreadable page costs only what lies on it.
fn copy_operations(old: &Connection, new: &Connection) -> Result<Salvaged, OpenError> {
    let mut salvaged = Salvaged::default();
    let slots = ["?"; 18].join(", ");
    let mut insert = new.prepare(&format!(
        "INSERT OR IGNORE INTO operations ({COLUMNS}, action, kind) VALUES ({slots})"
    ))?;
    let mut select = old.prepare(&format!("SELECT {COLUMNS} FROM operations WHERE pos = ?1"))?;
    for pos in 1..=last_position(old)? {
        let row = select
            .query_row([pos], |row| {
                let text: String = row.get(8)?;
                let intact = row.get::<_, [u8; 32]>(7)? == Hash::of(text.as_bytes()).0;
                let mut values: Vec<rusqlite::types::Value> =
                    (0..16).map(|index| row.get(index)).collect::<Result<_, _>>()?;
                // A journal of an older version does not say; the text does.
                let operation = serde_json::from_str(&text).ok();
                let action = operation.as_ref().and_then(journal::action_of).map(str::to_owned);
                values.push(action.into());
                let kind = operation.as_ref().and_then(journal::kind_of).map(str::to_owned);
                values.push(kind.into());
                Ok((OpId(read_id(row, 1)?), intact, values))
            })
            .optional();
        match row {
            Ok(Some((_, true, values))) => {
                insert.execute(rusqlite::params_from_iter(values))?;
                salvaged.recovered += 1;
            }
            Ok(Some((op_id, false, _))) => salvaged.altered.push(op_id),
            // A gap that pruning left is no loss.
            Ok(None) => {}
            Err(_) => salvaged.unreadable += 1,
        }
    }
    Ok(salvaged)
}

/// The last position that anything still tells of: the table itself, or where its right edge is
/// damaged, the small indexes beside it.
fn last_position(old: &Connection) -> Result<i64, OpenError> {
    let sources = [
        "SELECT max(pos) FROM operations",
        "SELECT max(pos) FROM operations INDEXED BY operations_unsettled
         WHERE state NOT IN ('accepted', 'superseded')",
        "SELECT max(rowid) FROM operations INDEXED BY sqlite_autoindex_operations_1
         WHERE op_id > x''",
    ];
    let told = sources.map(|sql| old.query_row(sql, [], |row| row.get::<_, Option<i64>>(0)));
    let readable = told.iter().filter_map(|told| told.as_ref().ok());
    match readable.map(|last| last.unwrap_or(0)).max() {
        Some(last) => Ok(last),
        None => Err(OpenError::JournalDamaged("none of its indexes can be read".into())),
    }
}
