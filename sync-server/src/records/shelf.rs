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

/// So many new beginnings are followed back. Heads of what came before count as unknown.
const EARLIER_MAX: i64 = 16;

/// A record, locked.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Its document; none where there is no record, or where it cannot be read.
    pub(crate) document: Option<Document>,
    /// Whether its document cannot be read, or its row not be taken into it.
    pub(crate) is_unreadable: bool,
    /// Whether its document was given up, so that devices take the next one in place of theirs.
    pub(super) begins_anew: bool,
    /// Its documents before each new beginning, the newest first, once somebody has asked.
    pub(super) earlier: Option<Vec<Document>>,
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
                self.put_up(*key, there.contains(&key.id));
            }
        }
        self.read(transaction, &keys).await
    }

    /// As [`Shelf::load`], for records whose rows this transaction has locked already.
    pub(crate) async fn load_locked(
        &mut self,
        transaction: &Transaction<'_>,
        keys: &[Key],
    ) -> Result<(), Error> {
        for key in keys {
            self.put_up(*key, true);
        }
        self.read(transaction, keys).await
    }

    fn put_up(&mut self, key: Key, has_row: bool) {
        self.records.insert(key, Record { has_row, is_written: true, ..Record::default() });
    }

    async fn read(&mut self, transaction: &Transaction<'_>, keys: &[Key]) -> Result<(), Error> {
        let queued = self.read_documents(transaction, keys).await?;
        self.take_in(transaction, &queued).await
    }

    /// Reads again what a statement of this transaction has written into rows. Everything that
    /// was changed is written.
    pub(crate) async fn load_again(
        &mut self,
        transaction: &Transaction<'_>,
        keys: &[Key],
    ) -> Result<(), Error> {
        for key in keys {
            self.records.remove(key);
        }
        self.load(transaction, keys.iter().copied()).await
    }

    /// Reads the documents; returns the records whose rows say something that they do not. A
    /// document that cannot be read concerns its own record alone.
    async fn read_documents(
        &mut self,
        transaction: &Transaction<'_>,
        keys: &[Key],
    ) -> Result<Vec<Key>, Error> {
        let statement = transaction
            .prepare_cached(
                "SELECT w.nth, d.document, q.record_id IS NOT NULL
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
            match row.get::<_, Option<&[u8]>>(1) {
                None => {}
                // An operator has given it up: what the row says is where it begins anew.
                Some([]) => record.begins_anew = true,
                Some(bytes) => match Document::load(key.collection, key.id, bytes) {
                    Ok(document) => {
                        record.document = Some(document);
                        record.bytes = bytes.len();
                    }
                    Err(error) => {
                        self.cannot_use(*key, &error);
                        continue;
                    }
                },
            }
            if record.has_row && (row.get(2) || record.document.is_none()) {
                behind.push(*key);
            }
        }
        behind.sort_unstable();
        Ok(behind)
    }

    /// Reads the documents of a record before each new beginning, so that [`Shelf::earlier`] has
    /// them.
    pub(crate) async fn load_earlier(
        &mut self,
        transaction: &Transaction<'_>,
        key: Key,
    ) -> Result<(), Error> {
        let Some(record) = self.records.get_mut(&key).filter(|record| record.earlier.is_none())
        else {
            return Ok(());
        };
        let statement = transaction
            .prepare_cached(
                "SELECT document FROM earlier_documents
                 WHERE tenant_id = $1 AND collection = $2 AND record_id = $3
                 ORDER BY nth DESC LIMIT $4",
            )
            .await?;
        let name = key.collection.name;
        let rows =
            transaction.query(&statement, &[&self.tenant.0, &name, &key.id, &EARLIER_MAX]).await?;
        let mut earlier = Vec::with_capacity(rows.len());
        for row in &rows {
            match Document::load(key.collection, key.id, row.get(0)) {
                Ok(document) => earlier.push(document),
                Err(error) => {
                    // What came before it is not reached any more: heads of it count as unknown.
                    tell_unreadable(self.tenant, key, &error);
                    break;
                }
            }
        }
        record.earlier = Some(earlier);
        Ok(())
    }

    /// The documents of a record before each new beginning, the newest first, where they were
    /// loaded.
    pub(crate) fn earlier(&self, key: Key) -> &[Document] {
        self.record(key).and_then(|record| record.earlier.as_deref()).unwrap_or_default()
    }

    /// The record, where it was loaded.
    pub(crate) fn record(&self, key: Key) -> Option<&Record> {
        self.records.get(&key)
    }

    /// The document of a record.
    pub(crate) fn document(&self, key: Key) -> Option<&Document> {
        self.record(key)?.document.as_ref()
    }

    /// Remembers that nothing can be done with a record, and calls the operator.
    pub(super) fn cannot_use(&mut self, key: Key, error: &dyn std::fmt::Display) {
        if let Some(record) = self.records.get_mut(&key) {
            record.is_unreadable = true;
        }
        tell_unreadable(self.tenant, key, error);
    }

    /// Whether the document of the record cannot be read, or its row not be taken into it.
    pub(crate) fn is_unreadable(&self, key: Key) -> bool {
        self.record(key).is_some_and(|record| record.is_unreadable)
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

/// Calls the operator: `docs/data-model.md` says what to do.
pub(crate) fn tell_unreadable(tenant: TenantId, key: Key, error: &dyn std::fmt::Display) {
    let (collection, id) = (key.collection.name, key.id);
    metrics::counter!("motomind_documents_unreadable_total").increment(1);
    tracing::error!(%tenant, collection, %id, %error, "a record's document or row cannot be read");
}
