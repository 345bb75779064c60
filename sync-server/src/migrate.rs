//! The migration runner: numbered SQL files, a rollback beside each, embedded in the binary.
//!
//! Each migration is one transaction together with its row in `schema_migrations`; an advisory
//! lock lets one runner work at a time. A file that changed after it was applied, and a database
//! that is newer than this binary, are errors and nothing is done.

use std::time::Instant;

use chrono::{DateTime, Utc};
use motomind_protocol::Hash;
use tokio_postgres::Client;

/// One numbered step and its way back.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// The number at the front of the file's name.
    pub version: i32,
    /// The rest of the file's name.
    pub name: &'static str,
    /// The step.
    pub up: &'static str,
    /// Its way back.
    pub down: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal),+ $(,)?) => {
        /// Every migration of this build, in order.
        pub const MIGRATIONS: &[Migration] = &[$(Migration {
            version: $version,
            name: $name,
            up: include_str!(concat!("../migrations/", $name, ".up.sql")),
            down: include_str!(concat!("../migrations/", $name, ".down.sql")),
        }),+];
    };
}

migrations! {
    0 "000_baseline",
    1 "001_tenants",
    2 "002_profiles",
    3 "003_garages",
    4 "004_vehicles",
    5 "005_record_rules",
    6 "006_change_log",
    7 "007_record_changes",
    8 "008_event_shape",
    9 "009_event_registry",
    10 "010_vehicle_events",
    11 "011_event_log",
    12 "012_event_partitions",
    13 "013_operations",
    14 "014_quarantine",
    15 "015_devices",
    16 "016_views",
    17 "017_soft_delete",
    18 "018_maintenance_log",
    19 "019_imported_rows",
    20 "020_event_audit",
    22 "022_record_tables",
    23 "023_reminders",
    24 "024_user_maintenance_preferences",
    25 "025_vehicle_spec_enhancements",
    26 "026_vehicle_images",
    27 "027_conversation_threads",
    28 "028_earlier_documents",
    40 "040_photos",
    41 "041_uploads",
    42 "042_sealed_texts",
    43 "043_photo_metadata",
    44 "044_event_photos",
    45 "045_location_corrections",
    46 "046_capture_sessions",
    47 "047_places_and_captures",
    50 "050_photo_facts",
    51 "051_vehicle_places",
    52 "052_upload_steps",
}

/// The advisory lock that runners take, so that two never work on one database.
const LOCK: i64 = 0x6d6f_746f_6d69_6e64; // "motomind"

/// What went wrong, by what the operator can do.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A step failed; it was rolled back and nothing after it was tried.
    #[error("migration {name} failed and was rolled back: {source}")]
    Failed {
        /// The file.
        name: &'static str,
        /// What Postgres said.
        source: tokio_postgres::Error,
    },
    /// An applied file is not the one in this binary.
    #[error("migration {name} was changed after it was applied; restore the file it was")]
    Changed {
        /// The file.
        name: String,
    },
    /// The database has had migrations that this binary does not know.
    #[error(
        "the database is at migration {database}, this binary knows up to {known}; use the newer binary"
    )]
    Newer {
        /// Highest version applied.
        database: i32,
        /// Highest version embedded.
        known: i32,
    },
    /// The database could not be asked.
    #[error("database: {0}")]
    Postgres(#[from] tokio_postgres::Error),
}

/// Where one migration stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its number.
    pub version: i32,
    /// Its name.
    pub name: String,
    /// When it was applied; `None` while it is not.
    pub applied_at: Option<DateTime<Utc>>,
    /// How long it took, ms.
    pub duration_ms: Option<i64>,
}

/// Where every migration stands, embedded ones first, in order.
///
/// # Errors
/// [`MigrateError::Changed`], [`MigrateError::Newer`], or the database.
pub async fn status(client: &Client) -> Result<Vec<Status>, MigrateError> {
    let applied = applied(client).await?;
    check(&applied)?;
    Ok(MIGRATIONS
        .iter()
        .map(|migration| {
            let row = applied.iter().find(|row| row.version == migration.version);
            Status {
                version: migration.version,
                name: migration.name.into(),
                applied_at: row.map(|row| row.applied_at),
                duration_ms: row.map(|row| row.duration_ms),
            }
        })
        .collect())
}

/// Whether the database has exactly this binary's migrations.
///
/// # Errors
/// As [`status`].
pub async fn is_current(client: &Client) -> Result<bool, MigrateError> {
    let all = status(client).await?;
    Ok(all.iter().all(|one| one.applied_at.is_some()))
}

/// Applies what is missing, up to `to` (all when `None`); returns the names of what it applied.
///
/// The connection's role must be a superuser or a member of `motomind_owner` and
/// `motomind_system` with CREATEROLE. It must not be inside a transaction.
///
/// # Errors
/// [`MigrateError`]; steps before a failed one stay applied.
pub async fn up(client: &mut Client, to: Option<i32>) -> Result<Vec<&'static str>, MigrateError> {
    locked(client, async |client| {
        let applied = applied(client).await?;
        check(&applied)?;
        let mut done = Vec::new();
        for migration in MIGRATIONS {
            let wanted = to.is_none_or(|to| migration.version <= to);
            if wanted && applied.iter().all(|row| row.version != migration.version) {
                apply(client, migration).await?;
                done.push(migration.name);
            }
        }
        Ok(done)
    })
    .await
}

/// Takes back every migration above `keep` (`-1`: all), newest first; returns their names.
/// **Destroys what their tables hold.**
///
/// # Errors
/// [`MigrateError`]; steps before a failed one stay taken back.
pub async fn down(client: &mut Client, keep: i32) -> Result<Vec<&'static str>, MigrateError> {
    locked(client, async |client| {
        let applied = applied(client).await?;
        check(&applied)?;
        let mut done = Vec::new();
        for migration in MIGRATIONS.iter().rev() {
            let there = applied.iter().any(|row| row.version == migration.version);
            if there && migration.version > keep {
                revert(client, migration).await?;
                done.push(migration.name);
            }
        }
        Ok(done)
    })
    .await
}

struct AppliedRow {
    version: i32,
    name: String,
    checksum: String,
    applied_at: DateTime<Utc>,
    duration_ms: i64,
}

async fn applied(client: &Client) -> Result<Vec<AppliedRow>, MigrateError> {
    let there = "SELECT to_regclass('public.schema_migrations') IS NOT NULL";
    if !client.query_one(there, &[]).await?.get::<_, bool>(0) {
        return Ok(Vec::new());
    }
    let all = "SELECT version, name, checksum, applied_at, duration_ms
                 FROM public.schema_migrations ORDER BY version";
    Ok(client
        .query(all, &[])
        .await?
        .iter()
        .map(|row| AppliedRow {
            version: row.get(0),
            name: row.get(1),
            checksum: row.get(2),
            applied_at: row.get(3),
            duration_ms: row.get(4),
        })
        .collect())
}

fn check(applied: &[AppliedRow]) -> Result<(), MigrateError> {
    let known = MIGRATIONS.last().map_or(-1, |last| last.version);
    for row in applied {
        match MIGRATIONS.iter().find(|one| one.version == row.version) {
            None => {
                let database = row.version;
                return Err(MigrateError::Newer { database, known });
            }
            Some(one) if checksum(one) != row.checksum => {
                let name = row.name.clone();
                return Err(MigrateError::Changed { name });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn checksum(migration: &Migration) -> String {
    Hash::of(migration.up.as_bytes()).to_string()
}

/// Runs `work` while this session holds the runners' lock.
async fn locked<T>(
    client: &mut Client,
    work: impl AsyncFnOnce(&mut Client) -> Result<T, MigrateError>,
) -> Result<T, MigrateError> {
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
    let result = work(client).await;
    client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await?;
    result
}

async fn apply(client: &mut Client, migration: &'static Migration) -> Result<(), MigrateError> {
    let name = migration.name;
    let failed = |source| MigrateError::Failed { name, source };
    let started = Instant::now();
    let transaction = client.transaction().await?;
    if migration.version > 0 {
        transaction.batch_execute("SET LOCAL ROLE motomind_owner").await.map_err(failed)?;
    }
    transaction.batch_execute(migration.up).await.map_err(failed)?;
    let duration_ms = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
    transaction.batch_execute("SET LOCAL ROLE motomind_owner").await?;
    transaction
        .execute(
            "INSERT INTO public.schema_migrations (version, name, checksum, duration_ms)
             VALUES ($1, $2, $3, $4)",
            &[&migration.version, &name, &checksum(migration), &duration_ms],
        )
        .await?;
    transaction.commit().await.map_err(failed)
}

async fn revert(client: &mut Client, migration: &'static Migration) -> Result<(), MigrateError> {
    let name = migration.name;
    let failed = |source| MigrateError::Failed { name, source };
    let transaction = client.transaction().await?;
    transaction.batch_execute("SET LOCAL ROLE motomind_owner").await?;
    if migration.version > 0 {
        // The tracker's row first: the rollback may change the role.
        let row = "DELETE FROM public.schema_migrations WHERE version = $1";
        transaction.execute(row, &[&migration.version]).await?;
    }
    transaction.batch_execute(migration.down).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_listed_and_says_why() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".sql"))
            .collect();
        files.sort();
        let mut listed: Vec<String> = MIGRATIONS
            .iter()
            .flat_map(|one| [format!("{}.down.sql", one.name), format!("{}.up.sql", one.name)])
            .collect();
        listed.sort();
        assert_eq!(files, listed);
        assert!(MIGRATIONS.is_sorted_by(|one, next| one.version < next.version));
        for one in MIGRATIONS {
            assert!(one.name.starts_with(&format!("{:03}_", one.version)), "{}", one.name);
            assert!(one.up.starts_with("-- Purpose:"), "{}", one.name);
            assert!(one.up.contains("-- Why:") && one.up.contains("-- Time:"), "{}", one.name);
            assert!(one.down.starts_with("-- "), "{} says nothing", one.name);
        }
    }
}
