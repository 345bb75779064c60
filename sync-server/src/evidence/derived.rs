//! What follows from several events or statements together: who is of which family, which of it
//! counts, in which order it came, and who corrected what.

use tokio_postgres::Client;
use uuid::Uuid;

use super::{Evidence, query};
use crate::error::with_source;

/// The registry's rows of a device's events, against the events: each column that follows from the
/// row itself, from the event that it names, and from the log.
const REGISTRY: &str = "
    WITH mine AS (
        SELECT e.*, COALESCE(c.seq, CASE WHEN o.seq <= k.compacted_to THEN o.seq END) AS logged
          FROM vehicle_events e
          LEFT JOIN tenant_counters k ON k.tenant_id = e.tenant_id
          LEFT JOIN operations o ON o.tenant_id = e.tenant_id AND o.op_id = e.op_id
          LEFT JOIN change_log c ON c.tenant_id = o.tenant_id AND c.seq = o.seq AND c.entity_id = e.id
         WHERE e.tenant_id = $1 AND e.device_id = $2
    )
    SELECT e.id::text, CASE WHEN r.event_id IS NULL THEN ARRAY['event_id'] ELSE array_remove(ARRAY[
        CASE WHEN r.vehicle_id <> e.vehicle_id THEN 'vehicle_id' END,
        CASE WHEN r.date <> e.date THEN 'date' END,
        CASE WHEN r.user_id IS DISTINCT FROM e.user_id THEN 'user_id' END,
        CASE WHEN r.corrects IS DISTINCT FROM e.corrects THEN 'corrects' END,
        CASE WHEN r.root_id <> COALESCE(t.root_id, e.id) THEN 'root_id' END,
        CASE WHEN r.seq IS DISTINCT FROM e.logged THEN 'seq' END,
        CASE WHEN r.at_ms <> epoch_ms(CASE WHEN e.clock_ahead THEN e.received_at ELSE e.occurred_at END) THEN 'at_ms' END,
        CASE WHEN r.miles IS DISTINCT FROM e.miles THEN 'miles' END,
        CASE WHEN r.starts_segment <> COALESCE(e.payload -> 'odometer_replaced' = 'true', false) THEN 'starts_segment' END,
        CASE WHEN r.overrides <> (e.corrects IS NOT NULL AND COALESCE(e.payload -> 'correction' = 'true', false))
             THEN 'overrides' END,
        CASE WHEN r.is_retraction <> (e.corrects IS NOT NULL AND e.type = 'retraction') THEN 'is_retraction' END,
        CASE WHEN r.is_restoration <> (e.corrects IS NOT NULL AND e.type = 'restoration') THEN 'is_restoration' END,
        CASE WHEN r.retracted <> COALESCE(act.is_retraction, false) THEN 'retracted' END,
        CASE WHEN r.effective <> (r.event_id IS NOT DISTINCT FROM counts.event_id) THEN 'effective' END
        ], NULL) END
      FROM mine e
      LEFT JOIN event_registry r ON r.tenant_id = e.tenant_id AND r.event_id = e.id
      LEFT JOIN event_registry t ON t.tenant_id = e.tenant_id AND t.event_id = e.corrects
      LEFT JOIN LATERAL (
           SELECT a.is_retraction FROM event_registry a
            WHERE a.tenant_id = r.tenant_id AND a.root_id = r.root_id AND a.corrects = r.event_id
              AND (a.is_retraction OR a.is_restoration)
            ORDER BY a.seq DESC LIMIT 1) act ON true
      LEFT JOIN LATERAL (
           SELECT CASE WHEN NOT root.retracted THEN COALESCE((
                      SELECT m.event_id FROM event_registry m
                       WHERE m.tenant_id = root.tenant_id AND m.root_id = root.event_id AND m.corrects IS NOT NULL
                         AND NOT m.retracted AND NOT m.is_retraction AND NOT m.is_restoration
                       ORDER BY m.seq DESC LIMIT 1), root.event_id) END AS event_id
             FROM event_registry root
            WHERE root.tenant_id = r.tenant_id AND root.event_id = r.root_id) counts ON true
     ORDER BY e.id";

/// Events of vehicles that a device wrote about whose order of arrival is not the log's.
const EVENTS_OUT_OF_ORDER: &str = "
    SELECT o.event_id::text FROM (
        SELECT r.event_id, r.arrival, lag(r.arrival) OVER (PARTITION BY r.vehicle_id ORDER BY r.seq) AS before
          FROM event_registry r
         WHERE r.tenant_id = $1 AND r.vehicle_id IN (
               SELECT DISTINCT e.vehicle_id FROM vehicle_events e WHERE e.tenant_id = $1 AND e.device_id = $2)) o
     WHERE o.arrival <= o.before ORDER BY 1";

/// Statements of a device whose vehicle or family is not their event's, and statements about the
/// same family whose order of arrival is not the log's.
fn statements(table: &str) -> String {
    format!(
        "WITH mine AS (SELECT s.* FROM {table} s WHERE s.tenant_id = $1 AND s.device_id = $2)
         SELECT s.id::text, array_remove(ARRAY[
                CASE WHEN r.event_id IS NULL THEN 'event_id' END,
                CASE WHEN s.vehicle_id <> r.vehicle_id THEN 'vehicle_id' END,
                CASE WHEN s.root_id <> r.root_id THEN 'root_id' END], NULL)
           FROM mine s LEFT JOIN event_registry r ON r.tenant_id = s.tenant_id AND r.event_id = s.event_id
         UNION ALL
         SELECT n.id::text, ARRAY['arrival'] FROM (
                SELECT a.id, a.arrival, lag(a.arrival) OVER (PARTITION BY a.root_id ORDER BY o.seq) AS before
                  FROM {table} a JOIN operations o ON o.tenant_id = a.tenant_id AND o.op_id = a.op_id
                 WHERE a.tenant_id = $1 AND a.root_id IN (SELECT m.root_id FROM mine m)) n
          WHERE n.arrival <= n.before"
    )
}

/// Rows of a device that no operation of its made, and sessions out of the log's order.
const ROWS_WITHOUT_OPERATION: &str = "
    SELECT made.op_id::text, made.place FROM (
        SELECT op_id, 'vehicle_events' AS place FROM vehicle_events WHERE tenant_id = $1 AND device_id = $2
        UNION ALL SELECT op_id, 'event_photos' FROM event_photos WHERE tenant_id = $1 AND device_id = $2
        UNION ALL SELECT op_id, 'location_corrections' FROM location_corrections WHERE tenant_id = $1 AND device_id = $2
        UNION ALL SELECT op_id, 'capture_sessions' FROM capture_sessions WHERE tenant_id = $1 AND device_id = $2) AS made
     WHERE made.op_id IS NOT NULL
       AND NOT EXISTS (SELECT FROM operations o
                        WHERE o.tenant_id = $1 AND o.op_id = made.op_id AND o.device_id = $2)
     ORDER BY 1";

/// The first entry of the log that is not there.
const LOG_GAP: &str = "
    SELECT n::text FROM tenant_counters t, generate_series(t.compacted_to + 1, t.head) AS n
     WHERE t.tenant_id = $1
       AND (SELECT count(*) FROM change_log c WHERE c.tenant_id = $1 AND c.seq BETWEEN t.compacted_to + 1 AND t.head)
           < t.head - t.compacted_to
       AND NOT EXISTS (SELECT FROM change_log c WHERE c.tenant_id = $1 AND c.seq = n)
     ORDER BY n LIMIT 1";

/// Sessions of a device that did not arrive in the order of the log.
const SESSIONS_OUT_OF_ORDER: &str = "
    SELECT s.id::text FROM (
        SELECT c.id, c.arrival, lag(c.arrival) OVER (ORDER BY o.seq) AS before
          FROM capture_sessions c JOIN operations o ON o.tenant_id = c.tenant_id AND o.op_id = c.op_id
         WHERE c.tenant_id = $1 AND c.device_id = $2) s
     WHERE s.arrival <= s.before ORDER BY 1";

/// The audit log's rows of a device's events, against the events.
const AUDIT: &str = "
    SELECT e.id::text, CASE WHEN a.event_id IS NULL THEN ARRAY['event_id'] ELSE array_remove(ARRAY[
        CASE WHEN a.vehicle_id <> e.vehicle_id THEN 'vehicle_id' END,
        CASE WHEN a.target_id <> e.corrects THEN 'target_id' END,
        CASE WHEN a.root_id <> t.root_id THEN 'root_id' END,
        CASE WHEN a.action <> CASE e.type WHEN 'retraction' THEN 'retracted' WHEN 'restoration' THEN 'restored'
                                          ELSE 'corrected' END THEN 'action' END,
        CASE WHEN a.user_id IS DISTINCT FROM e.user_id THEN 'user_id' END,
        CASE WHEN a.device_id IS DISTINCT FROM e.device_id THEN 'device_id' END,
        CASE WHEN a.reason IS DISTINCT FROM e.reason THEN 'reason' END,
        CASE WHEN a.changes <> CASE WHEN e.type IN ('retraction', 'restoration') THEN '{}'
                                    ELSE field_changes(event_fields(old.event), event_fields(e)) END THEN 'changes' END,
        CASE WHEN a.at <> e.received_at THEN 'at' END], NULL) END
      FROM vehicle_events e
      LEFT JOIN vehicle_event_audit_logs a ON a.tenant_id = e.tenant_id AND a.event_id = e.id
      LEFT JOIN event_registry t ON t.tenant_id = e.tenant_id AND t.event_id = e.corrects
      LEFT JOIN LATERAL (SELECT o AS event FROM vehicle_events o
                          WHERE o.tenant_id = t.tenant_id AND o.date = t.date AND o.id = t.event_id) old ON true
     WHERE e.tenant_id = $1 AND e.device_id = $2 AND e.corrects IS NOT NULL
     ORDER BY e.id";

/// Compares all of it.
pub(super) async fn compare(
    client: &Client,
    tenant: Uuid,
    device: Uuid,
    evidence: &mut Evidence,
) -> Result<(), String> {
    for (table, sql) in [
        ("event_registry", REGISTRY.to_string()),
        ("vehicle_event_audit_logs", AUDIT.to_string()),
        ("event_photos", statements("event_photos")),
        ("location_corrections", statements("location_corrections")),
    ] {
        for row in query(client, &sql, tenant, device).await? {
            for column in row.get::<_, Vec<&str>>(1) {
                let why = match column {
                    "event_id" => {
                        format!("its row in {table} is gone, or {table}.event_id altered")
                    }
                    _ => format!("{table}.{column} is not what follows from what was sealed"),
                };
                evidence.find(row.get::<_, &str>(0), why);
            }
        }
    }
    for (table, sql) in
        [("event_registry", EVENTS_OUT_OF_ORDER), ("capture_sessions", SESSIONS_OUT_OF_ORDER)]
    {
        for row in query(client, sql, tenant, device).await? {
            let why = format!("{table}.arrival is not in the order of the log");
            evidence.find(row.get::<_, &str>(0), why);
        }
    }
    let gap = client.query_opt(LOG_GAP, &[&tenant]).await.map_err(|error| with_source(&error))?;
    if let Some(row) = gap {
        evidence.find(row.get::<_, &str>(0), "change_log has no entry with this sequence");
    }
    for row in query(client, ROWS_WITHOUT_OPERATION, tenant, device).await? {
        let why = format!(
            "operations has nothing of this device that made its row in {}",
            row.get::<_, &str>(1)
        );
        evidence.find(row.get::<_, &str>(0), why);
    }
    Ok(())
}
