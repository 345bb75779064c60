//! Opening: the one place that decides pragmas, key and migrations.
//!
//! One connection holds both files, the journal as `main` and the mirror attached, each in WAL
//! with an exclusive lock (no shared memory, so that it works on OPFS). The journal is synced at
//! every commit, the mirror only at checkpoints: it is a cache.

use motomind_protocol::{DeviceId, Identity, Incarnation, Millis, TenantId, UserId, uuid_v7};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::device::Device;
use crate::error::{OpenError, StoreError};
use crate::ids::{blob, read_id};
use crate::photos::blobs;
use crate::{mirror, overlay, sync, transfer};

/// Numbered journal migrations; the file's `user_version` is the last one applied.
pub(crate) const JOURNAL_MIGRATIONS: &[&str] = &[
    include_str!("journal/001_journal.sql"),
    include_str!("journal/002_records.sql"),
    include_str!("journal/003_photos.sql"),
    include_str!("journal/004_settings.sql"),
];

/// How to open a device.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The journal: a path, or a file name of `vfs`.
    pub journal: String,
    /// The mirror: likewise.
    pub mirror: String,
    /// A registered SQLite VFS; the platform's default when absent.
    pub vfs: Option<String>,
    /// Who uses the device. Required at the first opening, remembered afterwards, checked when
    /// given again.
    pub identity: Option<Identity>,
    /// Passphrase for encryption at rest (feature `encryption`).
    pub key: Option<String>,
    /// Entropy for this opening; take it from the system, never twice the same.
    pub seed: [u8; 32],
    /// Device clock, UTC ms.
    pub now: Millis,
}

/// Who this device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceIdentity {
    /// Whose data it holds.
    pub identity: Identity,
    /// The installation.
    pub device_id: DeviceId,
    /// The present life of its journal.
    pub incarnation: Incarnation,
}

impl Device {
    /// Opens or creates a device. Needs no network.
    ///
    /// # Errors
    /// [`OpenError`]; in no case has anything captured been changed.
    pub fn open(options: OpenOptions) -> Result<Self, OpenError> {
        let mut rng = ChaCha20Rng::from_seed(options.seed);
        let conn = open_connection(&options)?;
        migrate_journal(&conn)?;
        check_journal(&conn)?;
        blobs::remove_half_written(&conn, &[])?;
        attach_mirror(&conn, &options)?;
        let who = identify(&conn, &options, &mut rng)?;
        let now = options.now;
        let mut device = Self::assemble(conn, who, rng, options)?;
        transfer::restore_settings(&mut device)?;
        sync::restore_settings(&mut device)?;
        match device.start(now) {
            // The journal has just been checked: it is the cache that is damaged.
            Err(StoreError::Damaged(_)) => {
                device.mirror_is_damaged.set(true);
                overlay::mend(&mut device)?;
                device.start(now)?;
            }
            started => started?,
        }
        Ok(device)
    }

    /// Makes the overlay true again and offers what may be offered.
    fn start(&mut self, now: Millis) -> Result<(), StoreError> {
        overlay::check_log(&self.conn)?;
        overlay::rebuild(self)?;
        sync::reoffer_released(self, now)
    }
}

/// Empties a damaged mirror in place; it is pulled again.
pub(crate) fn reset_mirror(conn: &Connection, options: &OpenOptions) -> Result<(), StoreError> {
    conn.flush_prepared_statement_cache();
    // Not attached at all when its first page made no sense.
    let _ = conn.execute_batch("DETACH DATABASE mirror");
    empty_database(options)?;
    attach(conn, options)
}

fn open_connection(options: &OpenOptions) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = open_file(&options.journal, options.vfs.as_deref(), options.key.as_deref(), flags)?;
    conn.set_prepared_statement_cache_capacity(128);
    // Plans are made once, not again for every value that is bound.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Whoever holds the lock holds it for good: say so at once.
    conn.busy_timeout(std::time::Duration::ZERO)?;
    settle_durability(&conn).map_err(|error| unreadable(error, options))?;
    conn.execute_batch(
        "PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF;",
    )?;
    Ok(conn)
}

/// Opens a file with its key, to be held alone.
pub(crate) fn open_file(
    path: &str,
    vfs: Option<&str>,
    key: Option<&str>,
    flags: OpenFlags,
) -> Result<Connection, OpenError> {
    let conn = match vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs)?,
        None => {
            if flags.contains(OpenFlags::SQLITE_OPEN_CREATE) {
                create_private(path);
            }
            Connection::open_with_flags(path, flags)?
        }
    };
    if let Some(key) = key {
        give_key(&conn, key)?;
    }
    // Unqualified, so that it holds for the mirror too, from the moment it is attached: where there
    // is no shared memory, a file in WAL mode cannot even be looked at without it.
    conn.execute_batch("PRAGMA locking_mode = EXCLUSIVE")?;
    Ok(conn)
}

/// How a journal is written: synced at every commit. A new one can give back the space of photos
/// that were freed, which must be said before its first table; an older one uses it again itself.
pub(crate) fn settle_durability(conn: &Connection) -> rusqlite::Result<()> {
    let pages: i64 = conn.pragma_query_value(Some("main"), "page_count", |row| row.get(0))?;
    if pages == 0 {
        conn.execute_batch("PRAGMA main.page_size = 4096; PRAGMA main.auto_vacuum = INCREMENTAL")?;
    }
    conn.execute_batch(
        "PRAGMA main.journal_mode = WAL;
         PRAGMA main.synchronous = FULL;
         PRAGMA fullfsync = ON;
         PRAGMA checkpoint_fullfsync = ON;",
    )
}

/// A file whose first page makes no sense is encrypted, or damaged, or not ours.
fn unreadable(error: rusqlite::Error, options: &OpenOptions) -> OpenError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) if options.key.is_some() => OpenError::WrongKey,
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
            let hint = "; if it is encrypted, open it with its key";
            OpenError::JournalDamaged(format!("{error}{hint}"))
        }
        _ => error.into(),
    }
}

fn give_key(conn: &Connection, key: &str) -> Result<(), OpenError> {
    if !cfg!(feature = "encryption") {
        return Err(OpenError::NoEncryption);
    }
    // SQLCipher writes a wrong key to standard error otherwise; the caller gets it as an error.
    conn.pragma_update(None, "cipher_log_level", "NONE")?;
    conn.pragma_update(None, "key", key)?;
    Ok(())
}

pub(crate) fn migrate_journal(conn: &Connection) -> Result<(), OpenError> {
    let found: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = JOURNAL_MIGRATIONS.len() as i64;
    if found > known {
        return Err(OpenError::NewerSchema { found, known });
    }
    let missing = JOURNAL_MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0));
    if missing.len() == 0 {
        return Ok(());
    }
    let tx = conn.unchecked_transaction()?;
    for migration in missing {
        tx.execute_batch(migration)?;
    }
    tx.pragma_update(None, "user_version", known)?;
    tx.commit()?;
    Ok(())
}

/// Looks for damage where captures rest. Only this table: later ones hold gigabytes of photos,
/// which carry hashes of their own.
fn check_journal(conn: &Connection) -> Result<(), OpenError> {
    let verdict: Result<String, _> =
        conn.query_row("PRAGMA main.quick_check('operations')", [], |row| row.get(0));
    match verdict {
        Ok(verdict) if verdict == "ok" => Ok(()),
        Ok(verdict) => Err(OpenError::JournalDamaged(verdict)),
        Err(error) => match StoreError::from(error) {
            StoreError::Damaged(what) => Err(OpenError::JournalDamaged(what)),
            other => Err(other.into()),
        },
    }
}

/// Attaches the mirror; one that is damaged, of another version or under another key is emptied
/// and pulled again.
fn attach_mirror(conn: &Connection, options: &OpenOptions) -> Result<(), OpenError> {
    match attach(conn, options) {
        Err(StoreError::Damaged(_)) => Ok(reset_mirror(conn, options)?),
        Err(StoreError::Sqlite(error)) => Err(error.into()),
        other => Ok(other?),
    }
}

fn attach(conn: &Connection, options: &OpenOptions) -> Result<(), StoreError> {
    if options.vfs.is_none() {
        create_private(&options.mirror);
    }
    match &options.key {
        Some(key) => conn
            .execute("ATTACH DATABASE ?1 AS mirror KEY ?2", params![options.mirror, key])
            .map(drop)?,
        None => conn.execute("ATTACH DATABASE ?1 AS mirror", [&options.mirror]).map(drop)?,
    }
    conn.execute_batch("PRAGMA mirror.locking_mode = EXCLUSIVE")?;
    mirror::prepare(conn, "mirror")
}

/// Resets a damaged cache file in place; SQLite's documented way, which works on every VFS.
fn empty_database(options: &OpenOptions) -> Result<(), StoreError> {
    const RESET: DbConfig = DbConfig::SQLITE_DBCONFIG_RESET_DATABASE;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let vfs = options.vfs.as_deref();
    let conn = open_file(&options.mirror, vfs, None, flags).map_err(|error| match error {
        OpenError::Store(error) => error,
        other => StoreError::Damaged(other.to_string()),
    })?;
    conn.set_db_config(RESET, true)?;
    conn.execute_batch("VACUUM")?;
    conn.set_db_config(RESET, false)?;
    Ok(())
}

/// Creates a file that is not there yet, so that nobody but its owner may read a byte of it: SQLite
/// makes what lies beside a file, its log above all, as readable as the file is. One that is there
/// stays as it is. Whatever else goes wrong, SQLite says it better.
#[cfg(unix)]
fn create_private(path: &str) {
    use std::os::unix::fs::OpenOptionsExt;
    if !path.is_empty() && !path.starts_with([':', '?']) && !path.starts_with("file:") {
        let mut file = std::fs::OpenOptions::new();
        let _ = file.write(true).create_new(true).mode(0o600).open(path);
    }
}

#[cfg(not(unix))]
fn create_private(_: &str) {}

fn identify(
    conn: &Connection,
    options: &OpenOptions,
    rng: &mut ChaCha20Rng,
) -> Result<DeviceIdentity, OpenError> {
    let known = conn
        .query_row("SELECT tenant_id, user_id, device_id FROM device", [], |row| {
            Ok((read_id(row, 0)?, read_id(row, 1)?, read_id(row, 2)?))
        })
        .optional()?;
    if let Some((tenant, user, device)) = known {
        let identity = Identity { tenant_id: TenantId(tenant), user_id: UserId(user) };
        if options.identity.is_some_and(|given| given != identity) {
            return Err(OpenError::WrongIdentity(identity));
        }
        let incarnation = conn.query_row(
            "SELECT incarnation FROM incarnations ORDER BY n DESC LIMIT 1",
            [],
            |row| read_id(row, 0),
        )?;
        return Ok(DeviceIdentity {
            identity,
            device_id: DeviceId(device),
            incarnation: Incarnation(incarnation),
        });
    }
    let identity = options.identity.ok_or(OpenError::NoIdentity)?;
    let who = DeviceIdentity {
        identity,
        device_id: DeviceId(new_uuid(rng, options.now)),
        incarnation: Incarnation(new_uuid(rng, options.now)),
    };
    let tx = conn.unchecked_transaction()?;
    tx.execute(
        "INSERT INTO device (one, tenant_id, user_id, device_id, opened_at)
         VALUES (1, ?1, ?2, ?3, ?4)",
        params![
            blob(&identity.tenant_id.0),
            blob(&identity.user_id.0),
            blob(&who.device_id.0),
            options.now
        ],
    )?;
    tx.execute(
        "INSERT INTO incarnations (incarnation, prev_hash, opened_at) VALUES (?1, ?2, ?3)",
        params![blob(&who.incarnation.0), [0u8; 32], options.now],
    )?;
    tx.commit()?;
    Ok(who)
}

pub(crate) fn new_uuid(rng: &mut ChaCha20Rng, now: Millis) -> uuid::Uuid {
    let mut entropy = [0; 10];
    rng.fill_bytes(&mut entropy);
    uuid_v7(now, entropy)
}
