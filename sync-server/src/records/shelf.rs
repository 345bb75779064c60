//! The records that a transaction works on, locked, their documents in memory.

use std::collections::{HashMap, HashSet};

use deadpool_postgres::Transaction;
use motomind_protocol::records::{Claim, Collection, Document, claims};
use motomind_protocol::wire::RecordChange;
use motomind_protocol::{Millis, OpId, TenantId};
use serde_json::Map;
use uuid::Uuid;

use super::claims::Claims;
use super::{ClaimKey, GARAGES, Key, table};
use crate::error::Error;

/// A record, locked.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Its document; none where there is no record.
    pub(crate) document: Option<Document>,
    /// The document as it was before it last began again without its history.
    pub(crate) earlier: Option<Vec<u8>>,
    /// About how many bytes the document takes.
    pub(crate) bytes: usize,
    pub(super) has_row: bool,
    pub(super) is_written: bool,
}

/// An entry of the log, not appended yet.
#[derive(Debug)]
pub(super) struct Entry {
    /// The operation that it came from; the record, where none did.
    pub(super) entity: Uuid,
    /// A [`RecordChange`], encoded.
    pub(super) data: String,
}

/// The records that a transaction works on.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(super) tenant: TenantId,
    /// The life of the tenant's log: the server's name in documents.
    pub(crate) epoch: Uuid,
    /// Server clock, UTC ms.
    pub(crate) now: Millis,
    /// What records there are.
    pub(crate) collections: &'static [Collection],
    pub(super) records: HashMap<Key, Record>,
    pub(super) claims: Claims,
    /// Rows that were asked for: whether they are there to be referred to.
    there: HashMap<Key, bool>,
    pub(super) entries: Vec<Entry>,
    /// Whether this transaction has said that it writes projections.
    pub(super) projecting: bool,
}

impl Shelf {
    /// An empty one.
    pub(crate) fn new(
        tenant: TenantId,
        epoch: Uuid,
        now: Millis,
        collections: &'static [Collection],
    ) -> Self {
        Self {
            tenant,
            epoch,
            now,
            collections,
            records: HashMap::new(),
            claims: Claims::default(),
            there: HashMap::new(),
            entries: Vec::new(),
            projecting: false,
        }
    }

    /// Forgets everything, after the database has: it is read again when it is needed.
    pub(crate) fn forget(&mut self) {
        self.records.clear();
        self.claims.forget();
        self.there.clear();
        self.entries.clear();
        self.projecting = false;
    }

    /// Locks records and reads their documents, those that are not here yet. What other SQL
    /// clients wrote into their rows is taken in first.
    pub(crate) async fn load(
        &mut self,
        transaction: &Transaction<'_>,
        keys: impl IntoIterator<Item = Key>,
    ) -> Result<(), Error> {
        let keys: HashSet<Key> =
            keys.into_iter().filter(|key| !self.records.contains_key(key)).collect();
        let mut keys: Vec<Key> = keys.into_iter().collect();
        if keys.is_empty() {
            return Ok(());
        }
        keys.sort_unstable();
        for group in keys.chunk_by(|one, other| one.collection.name == other.collection.name) {
            let statement = transaction.prepare_cached(&table::lock(group[0].collection)).await?;
            let ids: Vec<Uuid> = group.iter().map(|key| key.id).collect();
            let there = transaction.query(&statement, &[&self.tenant.0, &ids]).await?;
            let there: HashSet<Uuid> = there.iter().map(|row| row.get(0)).collect();
            for key in group {
                let has_row = there.contains(&key.id);
                self.records
                    .insert(*key, Record { has_row, is_written: true, ..Record::default() });
            }
        }
        let queued = self.read_documents(transaction, &keys).await?;
        self.take_in(transaction, &queued).await
    }

    /// Reads the documents; returns the records whose rows say something that they do not.
    async fn read_documents(
        &mut self,
        transaction: &Transaction<'_>,
        keys: &[Key],
    ) -> Result<Vec<Key>, Error> {
        let statement = transaction
            .prepare_cached(
                "SELECT w.nth, d.document, d.earlier, q.record_id IS NOT NULL
                 FROM unnest($2::text[], $3::uuid[]) WITH ORDINALITY AS w (collection, id, nth)
                 LEFT JOIN record_documents d
                   ON d.tenant_id = $1 AND d.collection = w.collection AND d.record_id = w.id
                 LEFT JOIN record_queue q
                   ON q.tenant_id = $1 AND q.collection = w.collection AND q.record_id = w.id",
            )
            .await?;
        let names: Vec<&str> = keys.iter().map(|key| key.collection.name).collect();
        let ids: Vec<Uuid> = keys.iter().map(|key| key.id).collect();
        let mut behind = Vec::new();
        for row in transaction.query(&statement, &[&self.tenant.0, &names, &ids]).await? {
            let nth: i64 = row.get(0);
            let found = usize::try_from(nth - 1).ok().and_then(|at| keys.get(at));
            let Some((key, record)) = found.and_then(|key| Some((key, self.records.get_mut(key)?)))
            else {
                continue;
            };
            if let Some(bytes) = row.get::<_, Option<&[u8]>>(1) {
                let document = Document::load(key.collection, key.id, bytes);
                let document = document.map_err(|error| unreadable(*key, &error))?;
                record.document = Some(document);
                record.bytes = bytes.len();
            }
            record.earlier = row.get(2);
            if record.has_row && (row.get(3) || record.document.is_none()) {
                behind.push(*key);
            }
        }
        behind.sort_unstable();
        Ok(behind)
    }

    /// The record, where it was loaded.
    pub(crate) fn record(&self, key: Key) -> Option<&Record> {
        self.records.get(&key)
    }

    /// The document of a record.
    pub(crate) fn document(&self, key: Key) -> Option<&Document> {
        self.record(key)?.document.as_ref()
    }

    /// Whether the record is there and not deleted.
    pub(crate) fn is_live(&self, key: Key) -> bool {
        self.document(key).is_some_and(|document| document.deleted_at().is_none())
    }

    /// Asks which of these rows are there, so that [`Shelf::is_there`] can tell.
    pub(crate) async fn ask_there(
        &mut self,
        transaction: &Transaction<'_>,
        keys: impl IntoIterator<Item = Key>,
    ) -> Result<(), Error> {
        let mut keys: Vec<Key> =
            keys.into_iter().filter(|key| !self.there.contains_key(key)).collect();
        keys.sort_unstable();
        keys.dedup();
        for group in keys.chunk_by(|one, other| one.collection.name == other.collection.name) {
            let sql = table::there(group[0].collection);
            let statement = transaction.prepare_cached(&sql).await?;
            let ids: Vec<Uuid> = group.iter().map(|key| key.id).collect();
            let rows = transaction.query(&statement, &[&self.tenant.0, &ids]).await?;
            let found: HashSet<Uuid> = rows.iter().map(|row| row.get(0)).collect();
            self.there.extend(group.iter().map(|key| (*key, found.contains(&key.id))));
        }
        Ok(())
    }

    /// Whether a record is there to be referred to: a garage only while it is live.
    pub(crate) async fn is_there(
        &mut self,
        transaction: &Transaction<'_>,
        key: Key,
    ) -> Result<bool, Error> {
        if let Some(document) = self.document(key) {
            return Ok(key.collection.name != GARAGES || document.deleted_at().is_none());
        }
        self.ask_there(transaction, [key]).await?;
        Ok(self.there.get(&key).copied().unwrap_or(false))
    }

    /// Takes a changed document, and says so in the log, with the operation that changed it.
    pub(crate) fn change(
        &mut self,
        key: Key,
        op_id: Option<OpId>,
        document: Document,
        changes: Vec<Vec<u8>>,
    ) -> Result<(), Error> {
        let before = claim_keys(key.collection, self.document(key));
        let after = claim_keys(key.collection, Some(&document));
        self.claims.change(key.id, &before, &after);
        let record = self.records.entry(key).or_default();
        record.bytes += changes.iter().map(Vec::len).sum::<usize>();
        record.document = Some(document);
        record.is_written = false;
        self.tell(key, op_id, changes, false)
    }

    pub(super) fn tell(
        &mut self,
        key: Key,
        op_id: Option<OpId>,
        changes: Vec<Vec<u8>>,
        whole: bool,
    ) -> Result<(), Error> {
        let collection = key.collection.name.to_string();
        let extra = Map::new();
        let change = RecordChange { collection, id: key.id, op_id, changes, whole, extra };
        let entity = op_id.map_or(key.id, |op_id| op_id.0);
        self.entries.push(Entry { entity, data: serde_json::to_string(&change)? });
        Ok(())
    }

    /// Asks the rows about claims, so that [`Shelf::holder`] can tell.
    pub(crate) async fn ask(
        &mut self,
        transaction: &Transaction<'_>,
        wanted: Vec<(&'static Collection, Claim)>,
    ) -> Result<(), Error> {
        self.claims.ask(transaction, self.tenant, wanted).await
    }

    /// The other record that holds a claim.
    pub(crate) async fn holder(
        &mut self,
        transaction: &Transaction<'_>,
        key: Key,
        claim: &Claim,
    ) -> Result<Option<Uuid>, Error> {
        let claimed = ClaimKey::of(key.collection, claim);
        if let Ok(holder) = self.claims.holder(&claimed, key.id) {
            if holder.is_none() && self.claims.must_be_written_first(&claimed) {
                self.write(transaction).await?;
            }
            return Ok(holder);
        }
        self.ask(transaction, vec![(key.collection, claim.clone())]).await?;
        Ok(self.claims.holder(&claimed, key.id).unwrap_or(None))
    }
}

/// The claims of a live record.
pub(super) fn claim_keys(
    collection: &'static Collection,
    document: Option<&Document>,
) -> Vec<ClaimKey> {
    match document.filter(|document| document.deleted_at().is_none()) {
        Some(document) if !collection.unique.is_empty() => claims(collection, &document.fields())
            .iter()
            .map(|claim| ClaimKey::of(collection, claim))
            .collect(),
        _ => Vec::new(),
    }
}

pub(super) fn unreadable(key: Key, error: &dyn std::fmt::Display) -> Error {
    let name = key.collection.name;
    Error::Internal(format!("the document of {name} {} cannot be read: {error}", key.id))
}
