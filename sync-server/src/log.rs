//! A tenant's change log: its head, and whether a cursor still points into it.

use deadpool_postgres::Transaction;
use motomind_protocol::{DeviceId, TenantId};
use uuid::Uuid;

use crate::App;
use crate::auth::Caller;
use crate::cursor::Cursor;
use crate::error::Error;

/// The counter row of a tenant.
pub(crate) struct Counter {
    /// Newest sequence.
    pub(crate) head: i64,
    /// Entries up to here are gone.
    pub(crate) compacted_to: i64,
    /// Which life of the log.
    pub(crate) epoch: Uuid,
    /// Authenticates cursors.
    pub(crate) secret: Vec<u8>,
    /// Whether rows wait that other SQL clients wrote.
    pub(crate) queued: bool,
}

/// Reads the counter; a tenant that is not there or not active is refused.
pub(crate) async fn counter(
    transaction: &Transaction<'_>,
    tenant: TenantId,
) -> Result<Counter, Error> {
    read_counter(transaction, tenant, None).await
}

/// Reads the counter for a caller, who is also refused on a device that was revoked.
pub(crate) async fn admit(
    transaction: &Transaction<'_>,
    caller: &Caller,
) -> Result<Counter, Error> {
    read_counter(transaction, caller.tenant_id, caller.device_id).await
}

async fn read_counter(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    device: Option<DeviceId>,
) -> Result<Counter, Error> {
    let statement = transaction
        .prepare_cached(
            "SELECT c.head, c.compacted_to, c.epoch, c.cursor_secret,
                    EXISTS (SELECT FROM devices d
                            WHERE d.tenant_id = $1 AND d.id = $2 AND d.revoked_at IS NOT NULL),
                    EXISTS (SELECT FROM record_queue q WHERE q.tenant_id = $1)
             FROM tenant_counters c JOIN tenants t ON t.id = c.tenant_id
             WHERE c.tenant_id = $1 AND t.is_active",
        )
        .await?;
    let row = transaction
        .query_opt(&statement, &[&tenant.0, &device.map(|device| device.0)])
        .await?
        .ok_or_else(|| Error::Forbidden("this tenant does not exist or is not active".into()))?;
    if row.get(4) {
        return Err(Error::DeviceRevoked);
    }
    Ok(Counter {
        head: row.get(0),
        compacted_to: row.get(1),
        epoch: row.get(2),
        secret: row.get(3),
        queued: row.get(5),
    })
}

/// The tenant's newest sequence.
pub(crate) async fn head(app: &App, tenant: TenantId) -> Result<u64, Error> {
    let mut client = app.client().await?;
    let transaction = crate::database::begin(&mut client, tenant).await?;
    let counter = counter(&transaction, tenant).await?;
    transaction.commit().await?;
    Ok(counter.head.unsigned_abs())
}

/// The newest sequence for a caller, who is refused as in [`admit`], with what other SQL clients
/// have written.
pub(crate) async fn head_for(app: &App, caller: &Caller) -> Result<u64, Error> {
    let mut client = app.client().await?;
    let transaction = crate::database::begin(&mut client, caller.tenant_id).await?;
    let counter = admit(&transaction, caller).await?;
    transaction.commit().await?;
    if counter.queued {
        drop(client);
        crate::records::absorb_before_serving(app, caller.tenant_id).await;
        return head(app, caller.tenant_id).await;
    }
    Ok(counter.head.unsigned_abs())
}

/// What a cursor turned out to be.
pub(crate) enum Place {
    /// Everything after this sequence is new.
    After(i64),
    /// The log was replaced, and nobody had noticed yet: the database was restored from a backup.
    Restored,
}

/// Judges the cursor that a device brought.
pub(crate) async fn locate(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    counter: &Counter,
    text: Option<&str>,
) -> Result<Place, Error> {
    let Some(text) = text else {
        if counter.compacted_to > 0 {
            return Err(Error::Resnapshot("the beginning of the log is gone; a snapshot has it"));
        }
        return Ok(Place::After(0));
    };
    let cursor = Cursor::decode(text, tenant, &counter.secret).ok_or(Error::BadCursor)?;
    if cursor.epoch != counter.epoch {
        return Err(Error::Resnapshot("the log was replaced; pull it from its beginning"));
    }
    if cursor.seq > counter.head {
        return Ok(Place::Restored);
    }
    if cursor.seq < counter.compacted_to {
        return Err(Error::Resnapshot("the log after this cursor is gone; a snapshot has it"));
    }
    if cursor.seq > counter.compacted_to
        && tag_at(transaction, tenant, cursor.seq).await? != cursor.tag
    {
        return Ok(Place::Restored);
    }
    Ok(Place::After(cursor.seq))
}

/// The tag of a logged change; 0 where there is none.
pub(crate) async fn tag_at(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    seq: i64,
) -> Result<i64, Error> {
    let statement = transaction
        .prepare_cached("SELECT tag FROM change_log WHERE tenant_id = $1 AND seq = $2")
        .await?;
    let row = transaction.query_opt(&statement, &[&tenant.0, &seq]).await?;
    Ok(row.map_or(0, |row| row.get(0)))
}

/// Starts a new epoch after a restored database was noticed, so that every device of the tenant
/// hears of it. Two requests that notice at once start one.
pub(crate) async fn start_epoch(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    old: Uuid,
) -> Result<(), Error> {
    let statement = transaction
        .prepare_cached(
            "UPDATE tenant_counters SET epoch = gen_random_uuid()
             WHERE tenant_id = $1 AND epoch = $2",
        )
        .await?;
    transaction.execute(&statement, &[&tenant.0, &old]).await?;
    tracing::warn!(%tenant, "the log was restored from an older state: a new epoch begins");
    Ok(())
}
