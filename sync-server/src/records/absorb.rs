//! Taking into documents what other SQL clients wrote into rows.
//!
//! One absorber works for a tenant at a time. It takes the queued rows that nobody holds, some at a
//! time, and passes over the others: whoever holds a row for long delays that row alone. A push
//! that changes a record takes in what is queued of it by itself, in [`Shelf::load`].

use std::time::{Duration, Instant};

use deadpool_postgres::Transaction;
use motomind_protocol::records::{Actor, Signature, absorb};
use motomind_protocol::{Millis, TenantId, UserId};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Key, Shelf, fields, table};
use crate::App;
use crate::error::Error;
use crate::log;

/// Records of one transaction.
const AT_ONCE: usize = 200;

/// Transactions that whoever wants to be served waits for at most …
const WAITED_FOR_MAX: usize = 10;

/// … and how long, begun ones not counted.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// How long rows that others hold are tried again before what is served lacks them, and how often:
/// a push holds a vehicle's row for as long as it takes to store the vehicle's events.
const HELD_WAIT_MAX: Duration = Duration::from_millis(250);
const HELD_RETRY: Duration = Duration::from_millis(25);

/// Longest wait for another absorber of the tenant, and for its counter.
const LOCK_TIMEOUT_MS: u32 = 2_000;

impl Shelf {
    /// Takes the rows of these records, locked and loaded, into their documents. A row that cannot
    /// be taken in concerns its own record alone, and stays queued.
    pub(super) async fn take_in(
        &mut self,
        transaction: &Transaction<'_>,
        keys: &[Key],
    ) -> Result<(), Error> {
        if keys.is_empty() {
            return Ok(());
        }
        let (mut changed, mut done) = (Vec::new(), Vec::new());
        for group in keys.chunk_by(|one, other| one.collection.name == other.collection.name) {
            let sql = table::read(group[0].collection);
            let statement = transaction.prepare_cached(&sql).await?;
            let ids: Vec<Uuid> = group.iter().map(|key| key.id).collect();
            for row in transaction.query(&statement, &[&self.tenant.0, &ids]).await? {
                let key = Key { collection: group[0].collection, id: row.get(0) };
                match self.take_in_row(key, &row) {
                    Ok(has_changed) => {
                        changed.extend(has_changed.then_some(key));
                        done.push(key);
                    }
                    Err(error) => self.cannot_use(key, &error),
                }
            }
        }
        self.write_documents(transaction, &changed).await?;
        self.append_entries(transaction).await?;
        let unqueue = transaction.prepare_cached("SELECT unqueue_records($1, $2)").await?;
        let names: Vec<&str> = done.iter().map(|key| key.collection.name).collect();
        let ids: Vec<Uuid> = done.iter().map(|key| key.id).collect();
        transaction.execute(&unqueue, &[&names, &ids]).await?;
        metrics::counter!("motomind_rows_absorbed_total").increment(changed.len() as u64);
        Ok(())
    }

    /// Columns: id, fields as JSON, when it was deleted, who wrote it last, when.
    fn take_in_row(&mut self, key: Key, row: &tokio_postgres::Row) -> Result<bool, Unusable> {
        let stated: Map<String, Value> = serde_json::from_str(row.get(1))?;
        let existing = self.document(key);
        let fields = fields::of_row(key.collection, existing, stated, self.now);
        let signature = Signature {
            actor: Actor::Server(self.epoch),
            user: row.get::<_, Option<Uuid>>(3).map(UserId),
            at: fields::instant(row.get::<_, Option<Millis>>(4), self.now),
        };
        let taken = absorb(existing, key.collection, key.id, &fields, row.get(2), &signature)?;
        if taken.changes.is_empty() {
            return Ok(false);
        }
        // The row says this already: there is nothing to project.
        let record = self.records.entry(key).or_default();
        record.document = Some(taken.document);
        let begins_anew = std::mem::take(&mut record.begins_anew);
        self.tell(key, None, taken.changes, begins_anew)?;
        Ok(true)
    }
}

/// Why a row or a document is of no use.
type Unusable = Box<dyn std::error::Error + Send + Sync>;

/// What an absorber does while another one works for the same tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    /// Waits for its turn.
    Waits,
    /// Leaves it all to the other one.
    GoesOn,
}

/// How far an absorber has come.
#[derive(Clone, Copy, Debug)]
enum Progress {
    /// Up to this record; there may be more.
    Until(Key),
    /// Somebody holds the rows that are left.
    Held,
    /// Nothing is left that could be taken in now.
    Done,
}

/// Absorbs before the tenant's records are served, for as long as somebody may be kept waiting; a
/// longer queue is worked off beside. Whoever is at it already is waited for: a device that was
/// told of nothing believes that there is nothing. What cannot be absorbed now stays queued and is
/// served later: nobody's pull fails of it.
pub(crate) async fn absorb_before_serving(app: &App, tenant: TenantId) {
    let begun = Instant::now();
    let mut after = None;
    for _ in 0..WAITED_FOR_MAX {
        match absorb_next(app, tenant, Meanwhile::Waits, after).await {
            Progress::Until(key) => after = Some(key),
            Progress::Held if begun.elapsed() < HELD_WAIT_MAX => {
                tokio::time::sleep(HELD_RETRY).await;
                after = None;
            }
            Progress::Held | Progress::Done => return,
        }
        if begun.elapsed() > WAIT_MAX {
            break;
        }
    }
    let app = app.clone();
    tokio::spawn(async move {
        while !*app.stopping.borrow()
            && let Progress::Until(key) = absorb_next(&app, tenant, Meanwhile::GoesOn, after).await
        {
            after = Some(key);
        }
    });
}

/// Absorbs the next records of the queue after a place in it.
async fn absorb_next(
    app: &App,
    tenant: TenantId,
    meanwhile: Meanwhile,
    after: Option<Key>,
) -> Progress {
    let mut page = Page { app, tenant, meanwhile, after, at_once: AT_ONCE };
    match page.absorb().await {
        Ok(progress) => progress,
        Err(Error::Internal(why)) => {
            tracing::warn!(%tenant, why, "rows could not be absorbed together; one by one");
            page.one_by_one().await
        }
        Err(error) => {
            tracing::warn!(%tenant, %error, "rows are taken into documents later");
            Progress::Done
        }
    }
}

/// Some records of a tenant's queue, absorbed in one transaction.
#[derive(Clone, Copy)]
struct Page<'a> {
    app: &'a App,
    tenant: TenantId,
    meanwhile: Meanwhile,
    after: Option<Key>,
    at_once: usize,
}

impl Page<'_> {
    async fn absorb(&self) -> Result<Progress, Error> {
        let mut client = self.app.client().await?;
        let transaction = crate::database::begin(&mut client, self.tenant).await?;
        if !self.takes_turn(&transaction).await? {
            tracing::debug!(tenant = %self.tenant, "another absorber is at it");
            return Ok(Progress::Done);
        }
        let (keys, held) = self.lock(&transaction).await?;
        let last = keys.last().copied().filter(|_| keys.len() == self.at_once);
        if !keys.is_empty() {
            let epoch = log::counter(&transaction, self.tenant).await?.epoch;
            let (now, collections) = (crate::app::now_ms(), self.app.settings.collections);
            let mut shelf = Shelf::new(self.tenant, epoch, now, collections);
            shelf.load_locked(&transaction, &keys).await?;
        }
        transaction.commit().await?;
        if held > 0 {
            tracing::debug!(tenant = %self.tenant, held, "rows that others hold are left");
        }
        let end = if held > 0 { Progress::Held } else { Progress::Done };
        Ok(last.map_or(end, Progress::Until))
    }

    /// Takes the tenant's lock of absorbers, until the end of the transaction.
    async fn takes_turn(&self, transaction: &Transaction<'_>) -> Result<bool, Error> {
        const LOCK: &str = "hashtextextended('motomind absorbs ' || $1::uuid::text, 0)";
        let patience = format!("SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}");
        transaction.batch_execute(&patience).await?;
        let sql = match self.meanwhile {
            Meanwhile::GoesOn => format!("SELECT pg_try_advisory_xact_lock({LOCK})"),
            Meanwhile::Waits => {
                format!("SELECT true FROM (SELECT pg_advisory_xact_lock({LOCK})) AS taken")
            }
        };
        let statement = transaction.prepare_cached(&sql).await?;
        Ok(transaction.query_one(&statement, &[&self.tenant.0]).await?.get(0))
    }

    /// Locks queued rows that nobody else has locked, and says how many others have. Collections in
    /// the order of locks.
    async fn lock(&self, transaction: &Transaction<'_>) -> Result<(Vec<Key>, i64), Error> {
        let statement = transaction
            .prepare_cached("SELECT DISTINCT collection FROM record_queue WHERE tenant_id = $1")
            .await?;
        let queued = transaction.query(&statement, &[&self.tenant.0]).await?;
        let queued: Vec<&str> = queued.iter().map(|row| row.get(0)).collect();
        let collections = self.app.settings.collections.iter();
        let mut starts: Vec<Key> = collections
            .filter(|collection| queued.contains(&collection.name))
            .map(|collection| Key { collection, id: Uuid::nil() })
            .collect();
        starts.sort_unstable();
        let (mut keys, mut held): (Vec<Key>, i64) = (Vec::new(), 0);
        for start in starts {
            let collection = start.collection;
            let from = match self.after {
                Some(after) if after.collection.name == collection.name => after,
                Some(after) if after > start => continue,
                _ => start,
            };
            let room = i64::try_from(self.at_once - keys.len()).unwrap_or(0);
            let statement = transaction.prepare_cached(&table::lock_queued(collection)).await?;
            let rows = transaction.query(&statement, &[&self.tenant.0, &from.id, &room]).await?;
            keys.extend(rows.iter().map(|row| Key { collection, id: row.get(0) }));
            let locked = i64::try_from(rows.len()).unwrap_or(room);
            if locked < room {
                let statement =
                    transaction.prepare_cached(&table::count_queued(collection)).await?;
                let row = transaction.query_one(&statement, &[&self.tenant.0, &from.id]).await?;
                held += row.get::<_, i64>(0).saturating_sub(locked);
            }
        }
        Ok((keys, held))
    }

    /// As many as a page has, each in a transaction of its own, so that the one to blame stays
    /// behind alone.
    async fn one_by_one(&mut self) -> Progress {
        self.at_once = 1;
        for _ in 0..AT_ONCE {
            match self.absorb().await {
                Ok(Progress::Until(key)) => self.after = Some(key),
                Ok(end @ (Progress::Held | Progress::Done)) => return end,
                Err(error) => {
                    let Some(key) = self.next().await else {
                        return Progress::Done;
                    };
                    let (tenant, collection, id) = (self.tenant, key.collection.name, key.id);
                    tracing::error!(%tenant, collection, %id, %error, "a row cannot be absorbed");
                    self.after = Some(key);
                }
            }
        }
        self.after.map_or(Progress::Done, Progress::Until)
    }

    /// The record that could not be absorbed just now.
    async fn next(&self) -> Option<Key> {
        let mut client = self.app.client().await.ok()?;
        let transaction = crate::database::begin(&mut client, self.tenant).await.ok()?;
        self.lock(&transaction).await.ok()?.0.pop()
    }
}
