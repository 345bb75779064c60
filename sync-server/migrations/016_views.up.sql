-- Purpose: what readers ask for: live records, the events that count, the mileage of today.
-- Why:     policies do not filter deleted rows (the soft-delete UPDATE itself would be refused), so
--          readers use these views. All are security_invoker: a view of the owner's rights would
--          show every tenant. None is materialised: a materialised view has no RLS.
-- Time:    under a second, no rows touched.
CREATE VIEW active_garages WITH (security_invoker = true) AS
    SELECT * FROM garages WHERE deleted_at IS NULL;
CREATE VIEW active_vehicles WITH (security_invoker = true) AS
    SELECT * FROM vehicles WHERE deleted_at IS NULL;

-- Events that count: neither corrected, nor retracted, nor a retraction.
CREATE VIEW active_events WITH (security_invoker = true) AS
    SELECT e.*, r.seq, r.root_id
      FROM event_registry r
      JOIN vehicle_events e ON e.tenant_id = r.tenant_id AND e.date = r.date AND e.id = r.event_id
     WHERE r.effective;

-- The timeline of live vehicles, fresh at once. Page by (occurred_at, id) below the last row seen.
CREATE VIEW timeline_feed WITH (security_invoker = true) AS
    SELECT e.tenant_id, e.vehicle_id, e.id, e.type, e.occurred_at, e.date, e.timezone, e.miles, e.total_minor,
           COALESCE(e.currency, 'USD') AS currency, e.vendor, e.notes, e.payload, e.fix, r.seq,
           r.root_id <> r.event_id AS corrected
      FROM vehicle_events e
      JOIN event_registry r ON r.tenant_id = e.tenant_id AND r.event_id = e.id AND r.effective
      JOIN vehicles v ON v.tenant_id = e.tenant_id AND v.id = e.vehicle_id AND v.deleted_at IS NULL;

-- Current mileage: the override, else the newest effective reading of any type. NULL when unknown.
CREATE VIEW vehicle_current_mileage WITH (security_invoker = true) AS
    SELECT v.tenant_id, v.id AS vehicle_id,
           COALESCE(v.current_mileage_override, newest.miles) AS miles,
           CASE WHEN v.current_mileage_override IS NOT NULL THEN 'override'
                WHEN newest.miles IS NOT NULL THEN 'event' END AS computed_from,
           CASE WHEN v.current_mileage_override IS NULL THEN newest.event_id END AS event_id
      FROM vehicles v
      LEFT JOIN LATERAL (
           SELECT r.event_id, r.miles FROM event_registry r
            WHERE r.tenant_id = v.tenant_id AND r.vehicle_id = v.id AND r.effective AND r.miles IS NOT NULL
            ORDER BY r.at_ms DESC, r.arrival DESC LIMIT 1) newest ON true
     WHERE v.deleted_at IS NULL;

-- Every event as devices receive it, with its sequence: what a snapshot is built from.
CREATE VIEW event_records WITH (security_invoker = true) AS
    SELECT e.tenant_id, e.id, e.vehicle_id, r.seq,
           event_record(COALESCE(e.body,
                            event_body(e.id, e.vehicle_id, e.type, e.occurred_at, e.date, e.timezone, e.miles,
                                       e.total_minor, e.currency, e.vendor, e.notes, e.payload, e.fix,
                                       e.fix_absent, e.session_id, e.corrects, e.reason)),
                        e.received_at, e.op_id, e.device_id, e.user_id, e.corrects, e.clock_ahead) AS record
      FROM vehicle_events e
      JOIN event_registry r ON r.tenant_id = e.tenant_id AND r.event_id = e.id;

GRANT SELECT ON active_garages, active_vehicles, active_events, timeline_feed, vehicle_current_mileage
    TO motomind_server, motomind_client;
GRANT SELECT ON event_records TO motomind_server;
