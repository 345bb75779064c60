//! Reading what the judge must know, set by set: a batch costs a handful of statements however
//! many operations it carries.

use std::collections::HashSet;

use deadpool_postgres::Transaction;
use motomind_protocol::effective::{Act, Member};
use motomind_protocol::limits::AMENDMENTS_FOLLOWED_MAX;
use motomind_protocol::odometer::Reading;
use motomind_protocol::{
    DeviceId, EventId, Hash, Identity, Incarnation, OpId, TenantId, UserId, VehicleId,
};
use tokio_postgres::Row;
use uuid::Uuid;

use super::judge::Bench;
use super::known::{Family, FamilyMember, Known, KnownEvent, KnownOperation, KnownState};
use super::read::Received;
use crate::error::Error;

/// Registers the device, or refuses it. Its row stays locked: pushes of one device come one after
/// the other. Returns whether the device is this caller's.
pub(crate) async fn admit_device(
    transaction: &Transaction<'_>,
    bench: &Bench,
    device: DeviceId,
) -> Result<bool, Error> {
    let statement = transaction
        .prepare_cached(
            "INSERT INTO devices AS d (tenant_id, id, user_id, incarnation) VALUES ($1, $2, $3, $4)
             ON CONFLICT (tenant_id, id) DO UPDATE
               SET last_seen = now(), incarnation = excluded.incarnation
             RETURNING d.user_id, d.revoked_at IS NOT NULL",
        )
        .await?;
    let caller = &bench.caller;
    let row = transaction
        .query_one(
            &statement,
            &[&caller.tenant_id.0, &device.0, &caller.user_id.0, &bench.incarnation.0],
        )
        .await?;
    let owner: Uuid = row.get(0);
    if row.get(1) {
        return Err(Error::DeviceRevoked);
    }
    Ok(owner == caller.user_id.0)
}

/// Locks vehicles, in one order for everyone. Returns the live ones among them.
pub(crate) async fn lock_vehicles(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    vehicles: &HashSet<VehicleId>,
) -> Result<HashSet<VehicleId>, Error> {
    let ids: Vec<Uuid> = vehicles.iter().map(|vehicle| vehicle.0).collect();
    let statement = transaction
        .prepare_cached(
            "SELECT id, deleted_at IS NULL FROM vehicles
             WHERE tenant_id = $1 AND id = ANY($2) ORDER BY id FOR NO KEY UPDATE",
        )
        .await?;
    let rows = transaction.query(&statement, &[&tenant.0, &ids]).await?;
    Ok(rows.iter().filter(|row| row.get(1)).map(|row| VehicleId(row.get(0))).collect())
}

/// The vehicles of garages, deleted ones too.
pub(crate) async fn vehicles_in(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    garages: &[Uuid],
) -> Result<Vec<VehicleId>, Error> {
    let statement = transaction
        .prepare_cached(
            "SELECT id FROM vehicles
             WHERE tenant_id = $1 AND garage_id = ANY($2) ORDER BY id",
        )
        .await?;
    let rows = transaction.query(&statement, &[&tenant.0, &garages]).await?;
    Ok(rows.iter().map(|row| VehicleId(row.get(0))).collect())
}

/// Reads the hashes of operations with these sequences of the device's present life.
pub(crate) async fn sequences(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    device: DeviceId,
    incarnation: Incarnation,
    wanted: &[i64],
    known: &mut Known,
) -> Result<(), Error> {
    let statement = transaction
        .prepare_cached(
            "SELECT device_seq, hash FROM operations
             WHERE tenant_id = $1 AND device_id = $2 AND incarnation = $3 AND device_seq = ANY($4)",
        )
        .await?;
    let rows =
        transaction.query(&statement, &[&tenant.0, &device.0, &incarnation.0, &wanted]).await?;
    for row in &rows {
        let device_seq: i64 = row.get(0);
        if let Some(hash) = read_hash(row, 1)? {
            known.sequences.insert(device_seq.unsigned_abs(), hash);
        }
    }
    Ok(())
}

/// Reads the operations with these ids, and the events with the same ids. An id that another user
/// closed before it came is closed to that one alone: it is none that is known.
pub(crate) async fn operations(
    transaction: &Transaction<'_>,
    caller: Identity,
    ids: &[Uuid],
    known: &mut Known,
) -> Result<(), Error> {
    let operations = transaction
        .prepare_cached(
            "SELECT op_id, hash, outcome, seq, superseded_by, user_id FROM operations
             WHERE tenant_id = $1 AND op_id = ANY($2)
               AND (outcome <> 'closed' OR hash IS NOT NULL OR coalesce(user_id, $3) = $3)",
        )
        .await?;
    let events = transaction
        .prepare_cached(
            "SELECT event_id, vehicle_id, user_id, corrects, is_retraction, is_restoration
             FROM event_registry
             WHERE tenant_id = $1 AND event_id = ANY($2)",
        )
        .await?;
    let tenant = caller.tenant_id;
    for row in transaction.query(&operations, &[&tenant.0, &ids, &caller.user_id.0]).await? {
        // What this batch has changed itself is newer than what is stored.
        let operation = read_operation(&row)?;
        known.operations.entry(OpId(row.get(0))).or_insert(operation);
    }
    for row in transaction.query(&events, &[&tenant.0, &ids]).await? {
        let event = KnownEvent {
            vehicle_id: VehicleId(row.get(1)),
            user_id: row.get::<_, Option<Uuid>>(2).map(UserId),
            corrects: row.get::<_, Option<Uuid>>(3).map(EventId),
            act: read_act(&row, 4),
        };
        known.events.insert(EventId(row.get(0)), event);
    }
    Ok(())
}

/// Reads an operation that names others, and on along the chain of amendments.
pub(crate) async fn chain(
    transaction: &Transaction<'_>,
    caller: Identity,
    received: &Received,
    known: &mut Known,
) -> Result<(), Error> {
    let operation = &received.operation;
    let corrects = operation.event().and_then(|event| event.corrects);
    let mut wanted: Vec<Uuid> = vec![operation.op_id.0];
    wanted.extend(operation.supersedes.iter().map(|op| op.0));
    wanted.extend(corrects.map(|event| event.0));
    let mut asked: HashSet<Uuid> = HashSet::new();
    for _ in 0..AMENDMENTS_FOLLOWED_MAX {
        wanted.retain(|id| asked.insert(*id));
        if wanted.is_empty() {
            break;
        }
        operations(transaction, caller, &wanted, known).await?;
        wanted = wanted
            .iter()
            .filter_map(|id| match known.operations.get(&OpId(*id)).map(|op| op.state) {
                Some(KnownState::Closed { by }) => Some(by.0),
                // What takes the place of a retraction may be about the same event.
                _ => {
                    known.events.get(&EventId(*id)).and_then(|event| event.corrects).map(|id| id.0)
                }
            })
            .collect();
    }
    Ok(())
}

/// Reads the family of an event.
pub(crate) async fn family(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    event: EventId,
) -> Result<Family, Error> {
    let statement = transaction
        .prepare_cached(
            "WITH root AS (SELECT root_id AS id FROM event_registry
                           WHERE tenant_id = $1 AND event_id = $2)
             SELECT m.event_id, m.arrival, m.corrects, m.is_retraction, m.is_restoration,
                    m.at_ms, m.miles, m.starts_segment, m.root_id
             FROM root JOIN event_registry m ON m.tenant_id = $1 AND m.event_id = root.id
             UNION
             SELECT m.event_id, m.arrival, m.corrects, m.is_retraction, m.is_restoration,
                    m.at_ms, m.miles, m.starts_segment, m.root_id
             FROM root JOIN event_registry m
               ON m.tenant_id = $1 AND m.root_id = root.id AND m.corrects IS NOT NULL",
        )
        .await?;
    let rows = transaction.query(&statement, &[&tenant.0, &event.0]).await?;
    Ok(Family {
        root: rows.first().map(|row| EventId(row.get(8))),
        members: rows
            .iter()
            .map(|row| FamilyMember {
                kin: Member {
                    event_id: EventId(row.get(0)),
                    seq: row.get::<_, i64>(1).unsigned_abs(),
                    corrects: row.get::<_, Option<Uuid>>(2).map(EventId),
                    act: read_act(row, 3),
                },
                reading: read_reading(row, [0, 5, 1, 6, 7]),
            })
            .collect(),
    })
}

/// Reads the effective readings next to these places on their vehicles' timelines.
pub(crate) async fn neighbours(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    places: &[(VehicleId, Reading)],
    known: &mut Known,
) -> Result<(), Error> {
    if places.is_empty() {
        return Ok(());
    }
    let vehicles: Vec<Uuid> = places.iter().map(|(vehicle, _)| vehicle.0).collect();
    let ats: Vec<i64> = places.iter().map(|(_, reading)| reading.at).collect();
    let seqs: Vec<i64> =
        places.iter().map(|(_, reading)| i64::try_from(reading.seq).unwrap_or(i64::MAX)).collect();
    let statement = transaction
        .prepare_cached(
            "SELECT p.vehicle, n.event_id, n.at_ms, n.arrival, n.miles, n.starts_segment
             FROM unnest($2::uuid[], $3::bigint[], $4::bigint[]) AS p (vehicle, at, place)
             CROSS JOIN LATERAL odometer_neighbours($1, p.vehicle, p.at, p.place) AS n",
        )
        .await?;
    let rows = transaction.query(&statement, &[&tenant.0, &vehicles, &ats, &seqs]).await?;
    for row in &rows {
        if let Some(reading) = read_reading(row, [1, 2, 3, 4, 5]) {
            let timeline = known.timelines.entry(VehicleId(row.get(0))).or_default();
            timeline.insert(reading);
        }
    }
    Ok(())
}

/// Columns: whether it is a retraction, whether a restoration.
fn read_act(row: &Row, at: usize) -> Act {
    match (row.get(at), row.get(at + 1)) {
        (true, _) => Act::Retracts,
        (false, true) => Act::Restores,
        (false, false) => Act::Corrects,
    }
}

/// Columns: event, instant, arrival, miles, starts_segment.
fn read_reading(row: &Row, columns: [usize; 5]) -> Option<Reading> {
    let [event, at, arrival, miles, starts_segment] = columns;
    Some(Reading {
        event_id: EventId(row.get(event)),
        at: row.get(at),
        seq: row.get::<_, i64>(arrival).unsigned_abs(),
        miles: row.get::<_, Option<i32>>(miles)?.into(),
        starts_segment: row.get(starts_segment),
    })
}

fn read_operation(row: &Row) -> Result<KnownOperation, Error> {
    let name: &str = row.get(2);
    let state = match (name, row.get::<_, Option<Uuid>>(4)) {
        ("accepted", _) => {
            KnownState::Accepted { seq: row.get::<_, Option<i64>>(3).unwrap_or(0).unsigned_abs() }
        }
        ("rejected", _) => KnownState::Rejected,
        ("closed", Some(by)) => KnownState::Closed { by: OpId(by) },
        _ => return Err(Error::Internal(format!("an operation is {name}"))),
    };
    let user_id = row.get::<_, Option<Uuid>>(5).map(UserId);
    Ok(KnownOperation { hash: read_hash(row, 1)?, state, user_id })
}

fn read_hash(row: &Row, column: usize) -> Result<Option<Hash>, Error> {
    let Some(bytes) = row.get::<_, Option<&[u8]>>(column) else {
        return Ok(None);
    };
    let hash: [u8; 32] = bytes
        .try_into()
        .map_err(|_| Error::Internal("a stored hash does not have 32 bytes".into()))?;
    Ok(Some(Hash(hash)))
}
