-- Purpose: other SQL clients never see deleted records by accident, and can delete and restore.
-- Why:     permissive policies are OR-ed, so the filter must be RESTRICTIVE; and with a filtering
--          read policy the soft-delete UPDATE is refused, so deleting goes through functions. The
--          serving role's reads are not filtered.
-- Time:    under a second, no rows touched.
CREATE POLICY live_only ON garages AS RESTRICTIVE FOR SELECT TO motomind_client USING (deleted_at IS NULL);
CREATE POLICY live_only ON vehicles AS RESTRICTIVE FOR SELECT TO motomind_client USING (deleted_at IS NULL);

SET LOCAL ROLE motomind_system;

-- Every function here touches the transaction's own tenant only, and says whether a row was found.
CREATE FUNCTION delete_vehicle(vehicle uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    UPDATE vehicles SET deleted_at = now(), deleted_by = current_user_id()
     WHERE tenant_id = current_tenant_id() AND id = vehicle AND deleted_at IS NULL;
    RETURN FOUND;
END
$$;

-- Within 30 days; later it stays deleted (nothing is purged, an operator can still bring it back).
CREATE FUNCTION restore_vehicle(vehicle uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    UPDATE vehicles SET deleted_at = NULL
     WHERE tenant_id = current_tenant_id() AND id = vehicle AND deleted_at > now() - interval '30 days';
    RETURN FOUND;
END
$$;

-- What happens to a garage that is deleted, whoever deletes it (the sync server calls this too): its
-- vehicles go to another garage or to none, deleted ones as well, for they may come back; and it is
-- no longer the default one. The rows are queued for their documents whoever calls.
CREATE FUNCTION empty_garage(garage uuid, move_vehicles_to uuid DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    projecting constant text := COALESCE(current_setting('app.projecting', true), '');
BEGIN
    PERFORM set_config('app.projecting', 'off', true);
    UPDATE vehicles SET garage_id = move_vehicles_to WHERE tenant_id = current_tenant_id() AND garage_id = garage;
    UPDATE garages SET is_default = false WHERE tenant_id = current_tenant_id() AND id = garage AND is_default;
    PERFORM set_config('app.projecting', projecting, true);
END
$$;

CREATE FUNCTION delete_garage(garage uuid, move_vehicles_to uuid DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF move_vehicles_to = garage OR (move_vehicles_to IS NOT NULL AND NOT EXISTS (
           SELECT FROM garages WHERE tenant_id = current_tenant_id() AND id = move_vehicles_to AND deleted_at IS NULL)) THEN
        RAISE EXCEPTION 'garage % cannot take the vehicles', move_vehicles_to
            USING ERRCODE = 'foreign_key_violation', TABLE = 'garages';
    END IF;
    IF NOT EXISTS (SELECT FROM garages WHERE tenant_id = current_tenant_id() AND id = garage AND deleted_at IS NULL) THEN
        RETURN false;
    END IF;
    PERFORM empty_garage(garage, move_vehicles_to);
    UPDATE garages SET deleted_at = now(), deleted_by = current_user_id()
     WHERE tenant_id = current_tenant_id() AND id = garage AND deleted_at IS NULL;
    RETURN FOUND;
END
$$;

CREATE FUNCTION restore_garage(garage uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    UPDATE garages SET deleted_at = NULL
     WHERE tenant_id = current_tenant_id() AND id = garage AND deleted_at > now() - interval '30 days';
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION delete_vehicle(uuid), restore_vehicle(uuid), empty_garage(uuid, uuid), delete_garage(uuid, uuid),
    restore_garage(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION empty_garage(uuid, uuid) TO motomind_server;
GRANT EXECUTE ON FUNCTION delete_vehicle(uuid), restore_vehicle(uuid), delete_garage(uuid, uuid), restore_garage(uuid)
    TO motomind_server, motomind_client;
