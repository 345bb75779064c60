//! Building a snapshot: one consistent look at the tenant's rows, written with core's own mirror
//! module, so that the file is what a device would have made of the log.

use std::io::{self, Read};
use std::path::Path;

use deadpool_postgres::Transaction;
use motomind_core::mirror;
use motomind_protocol::records::{Collection, Document};
use motomind_protocol::wire::RecordChange;
use motomind_protocol::{Hash, TenantId};
use rusqlite::Connection;
use serde_json::Map;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tokio_postgres::{IsolationLevel, Portal, Row};
use uuid::Uuid;

use super::Snapshot;
use crate::App;
use crate::cursor::Cursor;
use crate::error::Error;
use crate::log::{self, Counter};
use crate::records::{Key, find_in, tell_unreadable};

/// Rows moved at a time.
const ROWS_AT_ONCE: i32 = 2_000;

/// The generation of a fresh mirror.
const GENERATION: i64 = 1;

/// What a snapshot is made of, in this order. `seq` of records only puts them in order: a mirror
/// keeps none for them.
const PARTS: [(Part, &str); 3] = [
    (
        Part::Records,
        "SELECT row_number() OVER (ORDER BY collection, record_id), collection, record_id, document
         FROM record_documents WHERE tenant_id = $1 ORDER BY collection, record_id",
    ),
    (Part::Events, "SELECT seq, record FROM event_records WHERE tenant_id = $1 ORDER BY seq"),
    // Facts beside events, from the log, which is whole: nothing compacts it (ADR 6).
    (
        Part::Entries,
        "SELECT seq, entry FROM change_log
         WHERE tenant_id = $1
           AND kind IN ('photo', 'photo_stored', 'location_correction', 'session')
         ORDER BY seq",
    ),
];

/// What the log says of records whose documents cannot be read. Nothing compacts it: it has all that
/// they were. It is read through for that; such a record is rare.
const ENTRIES_OF: &str = "SELECT seq, entry FROM change_log
     WHERE tenant_id = $1 AND kind = 'record'
       AND (entry::jsonb #>> '{data,id}')::uuid = ANY($2) ORDER BY seq";

#[derive(Clone, Copy, Debug)]
enum Part {
    Records,
    Events,
    /// Entries of the log, as they are.
    Entries,
}

/// Builds the snapshot at the tenant's head.
pub(super) async fn build(
    app: &App,
    tenant: TenantId,
    directory: &Path,
) -> Result<Snapshot, Error> {
    let file = NamedTempFile::new_in(directory).map_err(|error| fault(&error))?;
    let mut copy = Copy {
        writer: Some(on_thread(move || Writer::create(file)).await?),
        collections: app.settings.collections,
        unreadable: Vec::new(),
    };
    let mut client = app.client().await?;
    // One look: head, vehicles and events as they were at the same instant.
    let transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    let setting = format!("SET LOCAL app.current_tenant_id = '{tenant}'");
    transaction.batch_execute(&setting).await?;
    let counter = log::counter(&transaction, tenant).await?;
    let place = Cursor {
        epoch: counter.epoch,
        seq: counter.head,
        tag: log::tag_at(&transaction, tenant, counter.head).await?,
    };
    for (part, sql) in PARTS {
        let portal = transaction.bind(sql, &[&tenant.0]).await?;
        copy.rows(&transaction, &portal, part).await?;
    }
    if !copy.unreadable.is_empty() {
        let ids: Vec<Uuid> = copy.unreadable.iter().map(|(key, _)| key.id).collect();
        for (key, error) in std::mem::take(&mut copy.unreadable) {
            if let Some(error) = error {
                tell_unreadable(tenant, key, &error);
            }
        }
        let portal = transaction.bind(ENTRIES_OF, &[&tenant.0, &ids]).await?;
        copy.rows(&transaction, &portal, Part::Entries).await?;
    }
    transaction.commit().await?;
    let open = copy.writer.ok_or_else(|| fault(&"the file was closed"))?;
    on_thread(move || open.finish(tenant, &counter, place)).await
}

/// Rows on their way into the file.
struct Copy {
    writer: Option<Writer>,
    collections: &'static [Collection],
    /// Records whose documents cannot be read, and why; without a reason one that was given up.
    unreadable: Vec<(Key, Option<String>)>,
}

impl Copy {
    async fn rows(
        &mut self,
        transaction: &Transaction<'_>,
        portal: &Portal,
        part: Part,
    ) -> Result<(), Error> {
        let mut after = 0;
        loop {
            let rows = transaction.query_portal(portal, ROWS_AT_ONCE).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            let last = last.get::<_, i64>(0).unsigned_abs();
            let mut open = self.writer.take().ok_or_else(|| fault(&"the file was closed"))?;
            let from = std::mem::replace(&mut after, last);
            let collections = self.collections;
            let written = on_thread(move || {
                let mut unreadable = Vec::new();
                let changes = part.changes(&rows, collections, &mut unreadable)?;
                open.append(&changes, from).map(|()| (open, unreadable))
            });
            let (open, unreadable) = written.await?;
            self.writer = Some(open);
            self.unreadable.extend(unreadable);
        }
    }
}

impl Part {
    /// The log entries that rows would be.
    fn changes(
        self,
        rows: &[Row],
        collections: &'static [Collection],
        unreadable: &mut Vec<(Key, Option<String>)>,
    ) -> Result<Vec<Box<RawValue>>, Error> {
        let mut changes = Vec::with_capacity(rows.len());
        for row in rows {
            let seq: i64 = row.get(0);
            let (kind, data) = match self {
                Self::Entries => {
                    changes.push(RawValue::from_string(row.get(1))?);
                    continue;
                }
                Self::Events => ("event", row.get::<_, String>(1)),
                Self::Records => match record_change(row, collections) {
                    None => continue,
                    Some(Ok(change)) => ("record", serde_json::to_string(&change)?),
                    Some(Err(damage)) => {
                        unreadable.push(damage);
                        continue;
                    }
                },
            };
            let entry = format!("{{\"seq\":{seq},\"kind\":\"{kind}\",\"data\":{data}}}");
            changes.push(RawValue::from_string(entry)?);
        }
        Ok(changes)
    }
}

/// A record's document, whole, or that it cannot be read; none of a collection that only a newer
/// server knows.
fn record_change(
    row: &Row,
    collections: &'static [Collection],
) -> Option<Result<RecordChange, (Key, Option<String>)>> {
    let (name, id, bytes): (&str, Uuid, &[u8]) = (row.get(1), row.get(2), row.get(3));
    let collection = find_in(collections, name)?;
    let key = Key { collection, id };
    let why = |error: &dyn std::fmt::Display| (!bytes.is_empty()).then(|| error.to_string());
    let document = Document::load(collection, id, bytes).map_err(|error| (key, why(&error)));
    Some(document.map(|document| RecordChange {
        collection: name.to_string(),
        id,
        op_id: None,
        changes: document.changes_since(&[]),
        whole: true,
        extra: Map::new(),
    }))
}

/// A mirror file that is being written.
struct Writer {
    file: NamedTempFile,
    mirror: Connection,
}

impl Writer {
    fn create(file: NamedTempFile) -> Result<Self, Error> {
        let mirror = Connection::open(file.path()).map_err(|error| fault(&error))?;
        // The file is private until it is whole: nothing here needs to survive a crash.
        mirror
            .execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
            .map_err(|error| fault(&error))?;
        mirror::create(&mirror).map_err(|error| fault(&error))?;
        mirror.execute_batch("BEGIN").map_err(|error| fault(&error))?;
        Ok(Self { file, mirror })
    }

    fn append(&mut self, changes: &[Box<RawValue>], after: u64) -> Result<(), Error> {
        mirror::apply(&self.mirror, changes, after, GENERATION).map_err(|error| fault(&error))?;
        Ok(())
    }

    fn finish(self, tenant: TenantId, counter: &Counter, place: Cursor) -> Result<Snapshot, Error> {
        let cursor = place.encode(tenant, &counter.secret);
        let stands = "UPDATE mirror SET cursor = ?1, seq = ?2, head = ?2";
        self.mirror
            .execute(stands, rusqlite::params![cursor, place.seq])
            .and_then(|_| self.mirror.execute_batch("COMMIT"))
            .map_err(|error| fault(&error))?;
        self.mirror.close().map_err(|(_, error)| fault(&error))?;
        // Reopened: the file itself goes away with its last reader.
        let file = self.file.reopen().map_err(|error| fault(&error))?;
        let (digest, length) = digest(&file).map_err(|error| fault(&error))?;
        Ok(Snapshot { digest, length, place, cursor, file })
    }
}

fn digest(mut file: &std::fs::File) -> io::Result<(Hash, u64)> {
    let mut sha = Sha256::new();
    let mut length = 0;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((Hash(sha.finalize().into()), length));
        }
        sha.update(&buffer[..read]);
        length += read as u64;
    }
}

async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| fault(&error))?
}

fn fault(error: &dyn std::fmt::Display) -> Error {
    Error::Internal(format!("a snapshot cannot be built: {error}"))
}
