//! Taking into documents what other SQL clients wrote into rows.

use deadpool_postgres::Transaction;
use motomind_protocol::records::{Actor, Signature, absorb};
use motomind_protocol::{Millis, TenantId, UserId};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Key, Shelf, fields, find_in, shelf, table};
use crate::App;
use crate::error::Error;
use crate::log;

/// Records of one transaction.
const AT_ONCE: i64 = 200;

/// Attempts when other transactions are in the way.
const ATTEMPTS_MAX: u32 = 4;

/// Longest wait for a row that another transaction holds: whoever pulls does not wait for long.
const LOCK_TIMEOUT_MS: u32 = 2_000;

impl Shelf {
    /// Takes the rows of these records, locked and loaded, into their documents.
    pub(super) async fn take_in(
        &mut self,
        transaction: &Transaction<'_>,
        keys: &[Key],
    ) -> Result<(), Error> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut changed = Vec::new();
        for group in keys.chunk_by(|one, other| one.collection.name == other.collection.name) {
            let sql = table::read(group[0].collection);
            let statement = transaction.prepare_cached(&sql).await?;
            let ids: Vec<Uuid> = group.iter().map(|key| key.id).collect();
            for row in transaction.query(&statement, &[&self.tenant.0, &ids]).await? {
                let key = Key { collection: group[0].collection, id: row.get(0) };
                if self.take_in_row(key, &row)? {
                    changed.push(key);
                }
            }
        }
        self.write_documents(transaction, &changed).await?;
        self.append_entries(transaction).await?;
        let unqueue = transaction.prepare_cached("SELECT unqueue_records($1, $2)").await?;
        let names: Vec<&str> = keys.iter().map(|key| key.collection.name).collect();
        let ids: Vec<Uuid> = keys.iter().map(|key| key.id).collect();
        transaction.execute(&unqueue, &[&names, &ids]).await?;
        Ok(())
    }

    /// Columns: id, fields as JSON, when it was deleted, who wrote it last, when.
    fn take_in_row(&mut self, key: Key, row: &tokio_postgres::Row) -> Result<bool, Error> {
        let stated: Map<String, Value> = serde_json::from_str(row.get(1))?;
        let existing = self.document(key);
        let fields = fields::of_row(key.collection, existing, stated, self.now);
        let signature = Signature {
            actor: Actor::Server(self.epoch),
            user: row.get::<_, Option<Uuid>>(3).map(UserId),
            at: fields::instant(row.get::<_, Option<Millis>>(4), self.now),
        };
        let taken = absorb(existing, key.collection, key.id, &fields, row.get(2), &signature)
            .map_err(|error| shelf::unreadable(key, &error))?;
        if taken.changes.is_empty() {
            return Ok(false);
        }
        // The row says this already: there is nothing to project.
        let record = self.records.entry(key).or_default();
        record.document = Some(taken.document);
        self.tell(key, None, taken.changes, false)?;
        Ok(true)
    }
}

/// Absorbs before the tenant's records are served. What cannot be absorbed now stays queued and is
/// served later: nobody's pull fails of it.
pub(crate) async fn absorb_before_serving(app: &App, tenant: TenantId) {
    match absorb_queue(app, tenant).await {
        Ok(()) => {}
        Err(Error::Internal(error)) => {
            tracing::error!(%tenant, error, "a row cannot be taken into its document");
        }
        Err(error) => tracing::warn!(%tenant, %error, "rows are taken into documents later"),
    }
}

/// Takes everything that is queued for a tenant into documents, some records at a time.
async fn absorb_queue(app: &App, tenant: TenantId) -> Result<(), Error> {
    let mut after: Option<Key> = None;
    loop {
        let keys = queued(app, tenant, after).await?;
        let Some(last) = keys.last() else {
            return Ok(());
        };
        after = Some(*last);
        if let Err(Error::Internal(why)) = absorb_keys(app, tenant, &keys).await {
            tracing::warn!(why, "rows could not be absorbed together; one by one");
            for key in &keys {
                if let Err(error) = absorb_keys(app, tenant, &[*key]).await {
                    let (collection, id) = (key.collection.name, key.id);
                    tracing::error!(%tenant, collection, %id, %error, "a row cannot be absorbed");
                }
            }
        }
    }
}

async fn queued(app: &App, tenant: TenantId, after: Option<Key>) -> Result<Vec<Key>, Error> {
    let mut client = app.client().await?;
    let transaction = crate::database::begin(&mut client, tenant).await?;
    let statement = transaction
        .prepare_cached(
            "SELECT collection, record_id FROM record_queue
             WHERE tenant_id = $1 AND collection = ANY($2)
               AND ($3::text IS NULL OR (collection, record_id) > ($3, $4))
             ORDER BY collection, record_id LIMIT $5",
        )
        .await?;
    let collections = app.settings.collections;
    let known: Vec<&str> = collections.iter().map(|collection| collection.name).collect();
    let (name, id) = (after.map(|key| key.collection.name), after.map(|key| key.id));
    let rows = transaction.query(&statement, &[&tenant.0, &known, &name, &id, &AT_ONCE]).await?;
    transaction.commit().await?;
    let keys = rows.iter().filter_map(|row| {
        let collection = find_in(collections, row.get(0))?;
        Some(Key { collection, id: row.get(1) })
    });
    Ok(keys.collect())
}

async fn absorb_keys(app: &App, tenant: TenantId, keys: &[Key]) -> Result<(), Error> {
    let mut attempt = 1;
    loop {
        match absorb_once(app, tenant, keys).await {
            Err(Error::Conflict(_)) if attempt < ATTEMPTS_MAX => attempt += 1,
            outcome => return outcome,
        }
    }
}

async fn absorb_once(app: &App, tenant: TenantId, keys: &[Key]) -> Result<(), Error> {
    let mut client = app.client().await?;
    let transaction = crate::database::begin(&mut client, tenant).await?;
    let patience = format!("SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}");
    transaction.batch_execute(&patience).await?;
    let epoch = log::counter(&transaction, tenant).await?.epoch;
    let mut shelf = Shelf::new(tenant, epoch, crate::app::now_ms(), app.settings.collections);
    shelf.load(&transaction, keys.iter().copied()).await?;
    transaction.commit().await?;
    Ok(())
}
