//! What the server holds of a device's journal, so that the device can compare and offer again what
//! was lost.

use deadpool_postgres::Transaction;
use motomind_protocol::wire::{Custody, LifeInCustody, MissingPhotos};
use motomind_protocol::{DeviceId, Hash, Incarnation, Millis, Role, TenantId, limits};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::App;
use crate::auth::Caller;
use crate::error::Error;

/// The photos that a device was the first to name and whose originals are not here: by its statements,
/// or as captured with its events. What a colleague put on an event first is on the colleague's way,
/// whoever describes it meanwhile or corrects that event. One that was taken off every event is not
/// asked for.
const MISSING: &str = "
    WITH named AS (
        SELECT p.photo FROM event_photos p WHERE p.tenant_id = $1 AND p.device_id = $2
        UNION
        SELECT photo FROM vehicle_events e
          JOIN event_registry r ON r.tenant_id = e.tenant_id AND r.event_id = e.id
          JOIN event_registry first ON first.tenant_id = r.tenant_id AND first.event_id = r.root_id
          JOIN vehicle_events root ON root.tenant_id = first.tenant_id AND root.date = first.date
                                  AND root.id = first.event_id,
               LATERAL jsonb_array_elements_text(CASE jsonb_typeof(e.payload -> 'photos')
                   WHEN 'array' THEN e.payload -> 'photos' ELSE '[]' END) AS photo
         WHERE e.tenant_id = $1 AND e.device_id = $2 AND e.payload ? 'photos'
           AND photo ~ '^[0-9a-f]{64}$'
           AND (root.device_id IS NOT DISTINCT FROM $2 OR NOT COALESCE(root.payload -> 'photos' ? photo, false))
    )
    SELECT n.photo, m.bytes FROM named n
      LEFT JOIN photo_metadata m ON m.tenant_id = $1 AND m.sha256 = n.photo
     WHERE NOT EXISTS (SELECT FROM photos s WHERE s.tenant_id = $1 AND s.sha256 = n.photo)
       AND COALESCE((SELECT p.device_id IS NOT DISTINCT FROM $2 FROM event_photos p
                      WHERE p.tenant_id = $1 AND p.photo = n.photo ORDER BY p.arrival LIMIT 1), true)
       AND (SELECT NOT bool_and(newest.removed) FROM (
               SELECT DISTINCT ON (p.root_id) p.removed FROM event_photos p
                WHERE p.tenant_id = $1 AND p.photo = n.photo
                ORDER BY p.root_id, p.arrival DESC) AS newest) IS NOT FALSE
     ORDER BY n.photo";

/// Reads what is held of the device that the caller names.
///
/// # Errors
/// [`Error::Malformed`] where none is named, [`Error::Forbidden`] where it is someone else's and the
/// caller no manager.
pub(crate) async fn custody(app: &App, caller: &Caller, now: Millis) -> Result<Custody, Error> {
    let device = caller.device_id.ok_or_else(|| {
        let header = motomind_protocol::wire::DEVICE_HEADER;
        Error::Malformed(format!("name the device: {header}"))
    })?;
    let mut client = app.client().await?;
    let transaction = crate::database::begin(&mut client, caller.tenant_id).await?;
    crate::log::admit(&transaction, caller).await?;
    admit(&transaction, caller, device).await?;
    let lives = lives(&transaction, caller.tenant_id, device).await?;
    let missing_photos = missing_photos(&transaction, caller.tenant_id, device).await?;
    transaction.commit().await?;
    let protocol = limits::PROTOCOL_VERSION;
    Ok(Custody { protocol, lives, missing_photos, server_time_ms: now })
}

/// A device that never pushed is nobody's yet, and nothing of it is held.
async fn admit(
    transaction: &Transaction<'_>,
    caller: &Caller,
    device: DeviceId,
) -> Result<(), Error> {
    let statement = transaction
        .prepare_cached("SELECT user_id FROM devices WHERE tenant_id = $1 AND id = $2")
        .await?;
    let row = transaction.query_opt(&statement, &[&caller.tenant_id.0, &device.0]).await?;
    let owner: Option<Uuid> = row.map(|row| row.get(0));
    if caller.role < Role::Manager && owner.is_some_and(|owner| owner != caller.user_id.0) {
        return Err(Error::Forbidden("this device is someone else's; a manager may ask".into()));
    }
    Ok(())
}

async fn lives(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    device: DeviceId,
) -> Result<Vec<LifeInCustody>, Error> {
    // Runs of sequences without gaps: within one, sequence minus rank stays the same. After a fork
    // two operations may have one sequence.
    let statement = transaction
        .prepare_cached(
            "WITH held AS (
                 SELECT incarnation, device_seq, bytes, received_at,
                        device_seq - dense_rank() OVER (PARTITION BY incarnation
                                                        ORDER BY device_seq) AS run
                 FROM operations
                 WHERE tenant_id = $1 AND device_id = $2 AND hash IS NOT NULL
             ), runs AS (
                 SELECT incarnation, min(device_seq) AS first, max(device_seq) AS last,
                        count(*) AS count, COALESCE(sum(bytes), 0)::bigint AS bytes,
                        min(received_at) AS since
                 FROM held GROUP BY incarnation, run
             ), oldest AS (
                 SELECT incarnation, min(since) AS since FROM runs GROUP BY incarnation
             )
             SELECT r.incarnation, r.first, r.last, r.count, r.bytes,
                    CASE WHEN r.first = 1 THEN (
                        SELECT o.hash FROM operations o
                        WHERE o.tenant_id = $1 AND o.device_id = $2
                          AND o.incarnation = r.incarnation AND o.device_seq = r.last
                        ORDER BY o.received_at, o.op_id LIMIT 1) END
             FROM runs r JOIN oldest USING (incarnation)
             ORDER BY oldest.since, r.incarnation, r.first",
        )
        .await?;
    let mut lives: Vec<LifeInCustody> = Vec::new();
    for row in transaction.query(&statement, &[&tenant.0, &device.0]).await? {
        take_run(&mut lives, &row)?;
    }
    Ok(lives)
}

/// Adds a run of sequences to its life; runs come life by life, ascending.
fn take_run(lives: &mut Vec<LifeInCustody>, row: &Row) -> Result<(), Error> {
    let incarnation = Incarnation(row.get(0));
    let number = |column: usize| row.get::<_, i64>(column).unsigned_abs();
    let (first, last) = (number(1), number(2));
    if lives.last().is_none_or(|life| life.incarnation != incarnation) {
        let head = row.get::<_, Option<&[u8]>>(5);
        let head: Option<[u8; 32]> = head
            .map(<[u8; 32]>::try_from)
            .transpose()
            .map_err(|_| Error::Internal("a stored hash does not have 32 bytes".into()))?;
        lives.push(LifeInCustody {
            incarnation,
            high_water: if first == 1 { last } else { 0 },
            head: head.map(Hash),
            count: 0,
            bytes: 0,
            held: Vec::new(),
        });
    }
    if let Some(life) = lives.last_mut() {
        life.count += number(3);
        life.bytes += number(4);
        if life.held.len() < limits::CUSTODY_RUNS_MAX {
            life.held.push((first, last));
        }
    }
    Ok(())
}

async fn missing_photos(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    device: DeviceId,
) -> Result<MissingPhotos, Error> {
    let statement = transaction.prepare_cached(MISSING).await?;
    let mut missing = MissingPhotos::default();
    for row in transaction.query(&statement, &[&tenant.0, &device.0]).await? {
        missing.count += 1;
        missing.bytes += row.get::<_, Option<i64>>(1).unwrap_or(0).unsigned_abs();
        if missing.photos.len() < limits::CUSTODY_PHOTOS_MAX
            && let Ok(photo) = row.get::<_, &str>(0).parse()
        {
            missing.photos.push(photo);
        }
    }
    Ok(missing)
}
