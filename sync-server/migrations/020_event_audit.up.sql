-- Purpose: who corrected, retracted or restored which event, when, why, and what that changed.
-- Why:     the events themselves say it all, but spread over two rows and a payload. An auditor asks
--          one table; it is written by a trigger, so that no client can forget it, and it is never
--          altered.
-- Time:    under a second, plus one row per correcting event already there (100,000: 5 s).
CREATE TABLE vehicle_event_audit_logs (
    tenant_id  uuid        NOT NULL,
    event_id   uuid        NOT NULL,  -- the event that corrects, retracts or restores
    vehicle_id uuid        NOT NULL,
    target_id  uuid        NOT NULL,  -- the event that it names, as resolved
    root_id    uuid        NOT NULL,  -- first event of the family
    action     text        NOT NULL CHECK (action IN ('corrected', 'retracted', 'restored')),
    user_id    uuid,                  -- who, where known
    device_id  uuid,                  -- NULL where another SQL client wrote it
    reason     text,                  -- in the person's words
    changes    jsonb       NOT NULL,  -- of a correction: {"miles": {"from": 0, "to": 120}}; what was or is absent has no key
    at         timestamptz NOT NULL,  -- server clock
    PRIMARY KEY (tenant_id, event_id),
    FOREIGN KEY (tenant_id, event_id) REFERENCES event_registry (tenant_id, event_id),
    FOREIGN KEY (tenant_id, target_id) REFERENCES event_registry (tenant_id, event_id)
);
COMMENT ON TABLE vehicle_event_audit_logs IS 'One entry for each correction, retraction and restoration of an event; append-only.';
CREATE INDEX vehicle_event_audit_logs_family ON vehicle_event_audit_logs (tenant_id, root_id, at);
CREATE INDEX vehicle_event_audit_logs_target ON vehicle_event_audit_logs (tenant_id, target_id);
SELECT raise_tenant_wall('vehicle_event_audit_logs');
SELECT admit_system('vehicle_event_audit_logs');
GRANT SELECT ON vehicle_event_audit_logs TO motomind_server, motomind_client;
GRANT SELECT, INSERT ON vehicle_event_audit_logs TO motomind_system;

CREATE FUNCTION refuse_audit_change() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log of events is append-only: no %', TG_OP
        USING ERRCODE = 'restrict_violation', TABLE = TG_TABLE_NAME, CONSTRAINT = 'vehicle_event_audit_logs_immutable';
END
$$;
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON vehicle_event_audit_logs
    FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON vehicle_event_audit_logs EXECUTE FUNCTION refuse_audit_change();

-- Everything that an event states, by field. Zero, false and the empty text are values; what is
-- absent has no key. Who logged it is a column of its own.
CREATE FUNCTION event_fields(e vehicle_events) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN jsonb_strip_nulls(jsonb_build_object(
            'type', e.type, 'occurred_at', epoch_ms(e.occurred_at), 'date', e.date, 'timezone', e.timezone,
            'miles', e.miles, 'total_minor', e.total_minor, 'currency', e.currency, 'vendor', e.vendor,
            'notes', e.notes, 'fix_absent', e.fix_absent, 'session_id', e.session_id))
        || CASE WHEN e.fix IS NULL THEN '{}' ELSE jsonb_build_object('fix', e.fix) END
        || COALESCE((SELECT jsonb_object_agg('payload.' || key, value) FROM jsonb_each(e.payload)
                      WHERE key <> 'logged_by'), '{}');
COMMENT ON FUNCTION event_fields(vehicle_events) IS 'What an event states, by field; absent fields have no key.';

-- What differs between two sets of fields: {"field": {"from": …, "to": …}}.
CREATE FUNCTION field_changes(old jsonb, new jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT COALESCE(jsonb_object_agg(key,
                       CASE WHEN old ? key THEN jsonb_build_object('from', old -> key) ELSE '{}' END
                    || CASE WHEN new ? key THEN jsonb_build_object('to', new -> key) ELSE '{}' END), '{}')
              FROM jsonb_object_keys(old || new) AS key
             WHERE old -> key IS DISTINCT FROM new -> key);

SET LOCAL ROLE motomind_system;
-- Appends the entries of these events, those that name another one. Each is looked up from what is
-- known of it: whatever the planner believes of the tables' sizes, it is a handful of probes.
CREATE FUNCTION audit_corrections(tenants uuid[], events uuid[]) RETURNS void
    LANGUAGE sql
    SET enable_seqscan = off SET enable_bitmapscan = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
    INSERT INTO vehicle_event_audit_logs (tenant_id, event_id, vehicle_id, target_id, root_id, action, user_id, device_id,
                                          reason, changes, at)
    SELECT r.tenant_id, r.event_id, r.vehicle_id, r.corrects, r.root_id,
           CASE WHEN r.is_retraction THEN 'retracted' WHEN r.is_restoration THEN 'restored' ELSE 'corrected' END,
           (new.event).user_id, (new.event).device_id, (new.event).reason,
           CASE WHEN r.is_retraction OR r.is_restoration THEN '{}'
                ELSE field_changes(event_fields(old.event), event_fields(new.event)) END,
           (new.event).received_at
      FROM unnest(tenants, events) AS named (tenant_id, event_id)
     CROSS JOIN LATERAL (SELECT * FROM event_registry m
                          WHERE m.tenant_id = named.tenant_id AND m.event_id = named.event_id LIMIT 1) r
     CROSS JOIN LATERAL (SELECT m.date FROM event_registry m
                          WHERE m.tenant_id = r.tenant_id AND m.event_id = r.corrects LIMIT 1) t
     CROSS JOIN LATERAL (SELECT e AS event FROM vehicle_events e
                          WHERE e.tenant_id = r.tenant_id AND e.date = r.date AND e.id = r.event_id LIMIT 1) new
     CROSS JOIN LATERAL (SELECT e AS event FROM vehicle_events e
                          WHERE e.tenant_id = r.tenant_id AND e.date = t.date AND e.id = r.corrects LIMIT 1) old
$$;

CREATE FUNCTION audit_events() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    tenants uuid[];
    events  uuid[];
BEGIN
    SELECT array_agg(tenant_id), array_agg(id) INTO tenants, events FROM fresh WHERE corrects IS NOT NULL;
    IF events IS NOT NULL THEN
        PERFORM audit_corrections(tenants, events);
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION audit_corrections(uuid[], uuid[]), audit_events() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_events() TO motomind_owner;
-- What was corrected before.
SELECT audit_corrections(array_agg(tenant_id), array_agg(event_id)) FROM event_registry WHERE corrects IS NOT NULL;

SET LOCAL ROLE motomind_owner;
SELECT on_event_tables('CREATE TRIGGER on_insert_4_audit AFTER INSERT ON %s
    REFERENCING NEW TABLE AS fresh EXECUTE FUNCTION audit_events()');
