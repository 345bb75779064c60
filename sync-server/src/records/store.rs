//! Writing what has changed: documents, rows and log entries, set by set.

use deadpool_postgres::Transaction;
use motomind_protocol::records::{Document, compacted};
use motomind_protocol::{UserId, limits};
use serde_json::Value;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{Key, Shelf, fields, table};
use crate::error::Error;

impl Shelf {
    /// Says once for the transaction that what follows is written from documents, and by whom.
    pub(crate) async fn project_as(
        &mut self,
        transaction: &Transaction<'_>,
        user: UserId,
    ) -> Result<(), Error> {
        if !self.projecting {
            let settings = format!(
                "SET LOCAL app.projecting = 'on'; SET LOCAL app.current_user_id = '{user}'"
            );
            transaction.batch_execute(&settings).await?;
            self.projecting = true;
        }
        Ok(())
    }

    /// Writes every changed document with its row, and appends to the log what there is to tell.
    pub(crate) async fn write(&mut self, transaction: &Transaction<'_>) -> Result<(), Error> {
        let mut changed: Vec<Key> = self
            .records
            .iter()
            .filter(|(_, record)| !record.is_written)
            .map(|(key, _)| *key)
            .collect();
        changed.sort_unstable();
        // What others refer to is written first, as it is declared.
        let all = self.collections;
        let place = |key: &Key| all.iter().position(|one| one.name == key.collection.name);
        changed.sort_by_key(place);
        for group in changed.chunk_by(|one, other| one.collection.name == other.collection.name) {
            self.write_rows(transaction, group).await?;
        }
        self.write_documents(transaction, &changed).await?;
        self.append_entries(transaction).await?;
        for key in &changed {
            if let Some(record) = self.records.get_mut(key) {
                record.is_written = true;
                record.has_row = true;
            }
        }
        self.claims.written();
        Ok(())
    }

    async fn write_rows(&self, transaction: &Transaction<'_>, keys: &[Key]) -> Result<(), Error> {
        let Some(first) = keys.first() else {
            return Ok(());
        };
        let mut fresh = Vec::new();
        let mut there = Vec::new();
        for key in keys {
            let Some(record) = self.records.get(key) else { continue };
            let Some(document) = &record.document else { continue };
            let rows = if record.has_row { &mut there } else { &mut fresh };
            rows.push(fields::row_of(key.id, document));
        }
        // Changed rows first: they may give up what a new one claims.
        let (update, insert) = (table::update(first.collection), table::insert(first.collection));
        for (sql, rows) in [(update, there), (insert, fresh)] {
            if rows.is_empty() {
                continue;
            }
            let statement = transaction.prepare_cached(&sql).await?;
            let rows = Value::Array(rows).to_string();
            transaction.execute(&statement, &[&self.tenant.0, &rows]).await.map_err(race)?;
        }
        Ok(())
    }

    /// Writes documents. One that has grown long begins again without its history, if that helps.
    pub(super) async fn write_documents(
        &mut self,
        transaction: &Transaction<'_>,
        keys: &[Key],
    ) -> Result<(), Error> {
        let mut columns = Columns::default();
        let mut ended = Columns::default();
        for key in keys {
            let Some(document) = self.document(*key).cloned() else {
                continue;
            };
            let bytes = document.save();
            let (document, bytes) = match shortened(&document, key.id, bytes.len()) {
                Some((short, saved)) => {
                    self.tell(*key, None, short.changes_since(&[]), true)?;
                    ended.push(*key, &document, bytes);
                    (short, saved)
                }
                None => (document, bytes),
            };
            let length = bytes.len();
            columns.push(*key, &document, bytes);
            if let Some(record) = self.records.get_mut(key) {
                record.bytes = length;
                record.document = Some(document);
                record.earlier = None; // asked again, with the one that ends here
            }
        }
        ended.keep(transaction, self.tenant.0).await?;
        columns.write(transaction, self.tenant.0).await
    }

    pub(super) async fn append_entries(
        &mut self,
        transaction: &Transaction<'_>,
    ) -> Result<(), Error> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let (entities, datas): (Vec<Uuid>, Vec<String>) =
            self.entries.drain(..).map(|entry| (entry.entity, entry.data)).unzip();
        let append = "SELECT append_record_changes($1, $2)";
        let append = transaction.prepare_cached(append).await?;
        transaction.execute(&append, &[&entities, &datas]).await?;
        Ok(())
    }
}

/// The document without its history, and saved, where that is worth it.
fn shortened(document: &Document, id: Uuid, bytes: usize) -> Option<(Document, Vec<u8>)> {
    let operations = document.operations();
    let is_small = operations <= limits::DOCUMENT_COMPACT_OPERATIONS;
    if bytes <= limits::DOCUMENT_COMPACT_BYTES && is_small {
        return None;
    }
    let short = compacted(document, id)?;
    let saved = short.save();
    let is_worth_it = saved.len() < bytes / 2 || short.operations() < operations / 2;
    is_worth_it.then_some((short, saved))
}

/// Two who make the same record, or claim the same, at once: the second one looks again.
fn race(error: tokio_postgres::Error) -> Error {
    match error.code() {
        Some(&SqlState::UNIQUE_VIOLATION) => Error::Conflict(crate::error::with_source(&error)),
        _ => error.into(),
    }
}

/// Documents, column by column.
#[derive(Default)]
struct Columns {
    names: Vec<&'static str>,
    ids: Vec<Uuid>,
    documents: Vec<Vec<u8>>,
    heads: Vec<Vec<u8>>,
}

impl Columns {
    fn push(&mut self, key: Key, document: &Document, bytes: Vec<u8>) {
        self.names.push(key.collection.name);
        self.ids.push(key.id);
        self.documents.push(bytes);
        self.heads.push(document.heads().iter().flat_map(|head| head.0).collect());
    }

    async fn write(self, transaction: &Transaction<'_>, tenant: Uuid) -> Result<(), Error> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let statement = transaction
            .prepare_cached(
                "INSERT INTO record_documents AS d
                   (tenant_id, collection, record_id, document, heads)
                 SELECT $1, w.* FROM unnest($2::text[], $3::uuid[], $4::bytea[], $5::bytea[]) AS w
                 ON CONFLICT (tenant_id, collection, record_id) DO UPDATE
                   SET document = excluded.document, heads = excluded.heads, updated_at = now()",
            )
            .await?;
        let parameters: [&(dyn ToSql + Sync); 5] =
            [&tenant, &self.names, &self.ids, &self.documents, &self.heads];
        transaction.execute(&statement, &parameters).await.map_err(race)?;
        Ok(())
    }

    /// Keeps documents that end here, because their records begin again without the history.
    async fn keep(&self, transaction: &Transaction<'_>, tenant: Uuid) -> Result<(), Error> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let statement = transaction
            .prepare_cached(
                "INSERT INTO earlier_documents
                   (tenant_id, collection, record_id, nth, document, heads)
                 SELECT $1, w.collection, w.id,
                        1 + (SELECT COALESCE(max(e.nth), 0) FROM earlier_documents e
                             WHERE e.tenant_id = $1 AND e.collection = w.collection
                               AND e.record_id = w.id),
                        w.document, w.heads
                 FROM unnest($2::text[], $3::uuid[], $4::bytea[], $5::bytea[])
                   AS w (collection, id, document, heads)",
            )
            .await?;
        let parameters: [&(dyn ToSql + Sync); 5] =
            [&tenant, &self.names, &self.ids, &self.documents, &self.heads];
        transaction.execute(&statement, &parameters).await?;
        Ok(())
    }
}
