-- Purpose: every write to vehicles and garages reaches devices, whoever writes.
-- Why:     the web backend updates rows with plain SQL. A statement's trigger appends one entry
--          per row that really changed, with the row's own tenant.
-- Time:    under a second, plus one log entry per vehicle and garage already there (100,000: 2 s).

-- A vehicle as protocol's `Vehicle`. concat() leaves NULL parts out, so absent stays absent.
CREATE FUNCTION vehicle_json(v vehicles) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN concat('{"id":"', v.id, '"',
        ',"garage_id":"' || v.garage_id || '"',
        ',"year":' || v.year,
        ',"make":' || to_json(v.make),
        ',"model":' || to_json(v.model),
        ',"trim":' || to_json(v.trim),
        ',"color":' || to_json(v.color),
        ',"vin":' || to_json(v.vin),
        ',"license_plate":' || to_json(v.license_plate),
        ',"nickname":' || to_json(v.nickname),
        ',"manufacturer_mpg":' || v.manufacturer_mpg,
        ',"manufacturer_service_interval_miles":' || v.manufacturer_service_interval_miles,
        ',"current_mileage_override":' || v.current_mileage_override,
        ',"timezone":' || to_json(v.timezone),
        ',"hero_photo":' || to_json(v.hero_photo),
        ',"deleted_at":' || epoch_ms(v.deleted_at), '}');
COMMENT ON FUNCTION vehicle_json(vehicles) IS 'A vehicle encoded as the protocol''s Vehicle.';

-- A garage as protocol's `Garage`.
CREATE FUNCTION garage_json(g garages) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN concat('{"id":"', g.id, '"',
        ',"name":' || to_json(g.name),
        ',"address":' || to_json(g.address),
        ',"lat":' || g.lat,
        ',"lng":' || g.lng,
        ',"timezone":' || to_json(g.timezone),
        ',"is_default":' || to_json(g.is_default),
        ',"deleted_at":' || epoch_ms(g.deleted_at), '}');
COMMENT ON FUNCTION garage_json(garages) IS 'A garage encoded as the protocol''s Garage.';

SET LOCAL ROLE motomind_system;

-- Appends one entry per changed row; an UPDATE that changes nothing a device sees appends nothing.
CREATE FUNCTION log_vehicles() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    mine  constant xid8   := pg_current_xact_id();
    place constant bigint := nextval('arrivals');
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO change_pending
        SELECT f.tenant_id, mine, nextval('arrivals'), 'vehicle', f.id, vehicle_json(ROW (f.*)::vehicles) FROM fresh f;
    ELSE
        INSERT INTO change_pending
        SELECT v.tenant_id, mine, nextval('arrivals'), 'vehicle', v.id, vehicle_json(v)
          FROM fresh f JOIN vehicles v ON v.tenant_id = f.tenant_id AND v.id = f.id;
    END IF;
    INSERT INTO change_marks
    SELECT DISTINCT f.tenant_id, mine, place FROM fresh f ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE FUNCTION log_garages() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    mine  constant xid8   := pg_current_xact_id();
    place constant bigint := nextval('arrivals');
BEGIN
    INSERT INTO change_pending
    SELECT g.tenant_id, mine, nextval('arrivals'), 'garage', g.id, garage_json(g)
      FROM fresh f JOIN garages g ON g.tenant_id = f.tenant_id AND g.id = f.id;
    INSERT INTO change_marks
    SELECT DISTINCT f.tenant_id, mine, place FROM fresh f ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION log_vehicles(), log_garages() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log_vehicles(), log_garages() TO motomind_owner;

SET LOCAL ROLE motomind_owner;
CREATE TRIGGER log_insert AFTER INSERT ON vehicles REFERENCING NEW TABLE AS fresh EXECUTE FUNCTION log_vehicles();
CREATE TRIGGER log_update AFTER UPDATE ON vehicles REFERENCING NEW TABLE AS fresh EXECUTE FUNCTION log_vehicles();
CREATE TRIGGER log_insert AFTER INSERT ON garages REFERENCING NEW TABLE AS fresh EXECUTE FUNCTION log_garages();
CREATE TRIGGER log_update AFTER UPDATE ON garages REFERENCING NEW TABLE AS fresh EXECUTE FUNCTION log_garages();

-- Rows that were there before: devices learn of them now.
SET LOCAL ROLE motomind_system;
INSERT INTO change_marks SELECT id, pg_current_xact_id(), 0 FROM tenants;
INSERT INTO change_pending
SELECT tenant_id, pg_current_xact_id(), nextval('arrivals'), 'garage', id, garage_json(g) FROM garages g;
INSERT INTO change_pending
SELECT tenant_id, pg_current_xact_id(), nextval('arrivals'), 'vehicle', id, vehicle_json(v) FROM vehicles v;
SELECT count(*) FROM number_changes();
