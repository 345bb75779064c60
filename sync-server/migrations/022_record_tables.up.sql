-- Purpose: what every further table of records needs, in one call, and the people's profiles as
--          records.
-- Why:     a new collection is one declaration in protocol and one table here; what somebody would
--          forget (wall, stamps, queue, soft delete, the view of live rows) is this one function.
-- Time:    under a second, plus one queued row per profile already there.

-- Behind the tenant's wall; readable and writable, never deletable; stamped; queued; live rows only
-- for other SQL clients, who delete and restore by delete_record() and restore_record().
CREATE FUNCTION furnish_records(target regclass) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM raise_tenant_wall(target), admit_system(target), track_records(target);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %s TO motomind_server, motomind_client', target);
    EXECUTE format('GRANT SELECT, UPDATE ON %s TO motomind_system', target);
    EXECUTE format('CREATE POLICY live_only ON %s AS RESTRICTIVE FOR SELECT TO motomind_client
                    USING (deleted_at IS NULL)', target);
    EXECUTE format('CREATE TRIGGER stamp BEFORE UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION stamp_record()', target);
    EXECUTE format('CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON %s EXECUTE FUNCTION refuse_delete()', target);
    EXECUTE format('CREATE VIEW %I WITH (security_invoker = true) AS SELECT * FROM %s WHERE deleted_at IS NULL',
                   'active_' || target::text, target);
    EXECUTE format('GRANT SELECT ON %I TO motomind_server, motomind_client', 'active_' || target::text);
END
$$;
COMMENT ON FUNCTION furnish_records(regclass) IS 'Makes a table one of records: wall, grants, stamps, queue, soft delete, view of live rows.';
REVOKE ALL ON FUNCTION furnish_records(regclass) FROM PUBLIC;

-- Profiles: people edit their names and preferences; what they may do and their address stay the
-- operator's.
SELECT track_records('profiles');
SELECT admit_system('profiles');
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON profiles EXECUTE FUNCTION refuse_delete();
GRANT INSERT (tenant_id, id, full_name, preferences, created_by, updated_by, deleted_at, deleted_by),
      UPDATE (full_name, preferences, deleted_at, deleted_by) ON profiles TO motomind_server, motomind_client;
GRANT SELECT, UPDATE ON profiles TO motomind_system;
CREATE VIEW active_profiles WITH (security_invoker = true) AS SELECT * FROM profiles WHERE deleted_at IS NULL;
GRANT SELECT ON active_profiles TO motomind_server, motomind_client;

-- Records with a natural key get their id from it, UUIDv5(namespace, table | value | value …) as
-- protocol computes it, so that whoever makes one, offline or here, makes the same. Postgres has
-- SHA-256 but no SHA-1, and no extension is to be needed for it.
CREATE FUNCTION sha1(message bytea) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    word constant bigint := 4294967295;
    len  constant integer := octet_length(message);
    m    bytea := message || '\x80'::bytea || decode(repeat('00', (119 - len % 64) % 64), 'hex') || int8send(len::bigint * 8);
    h    bigint[] := ARRAY[1732584193, 4023233417, 2562383102, 271733878, 3285377520];
    w    bigint[];
    a bigint; b bigint; c bigint; d bigint; e bigint; f bigint; k bigint; t bigint; x bigint;
BEGIN
    FOR block IN 0 .. octet_length(m) / 64 - 1 LOOP
        w := NULL;
        FOR i IN 0 .. 15 LOOP
            x := block * 64 + i * 4;
            w[i] := (get_byte(m, x::integer)::bigint << 24) | (get_byte(m, x::integer + 1) << 16)
                  | (get_byte(m, x::integer + 2) << 8) | get_byte(m, x::integer + 3);
        END LOOP;
        FOR i IN 16 .. 79 LOOP
            x := w[i - 3] # w[i - 8] # w[i - 14] # w[i - 16];
            w[i] := ((x << 1) | (x >> 31)) & word;
        END LOOP;
        a := h[1]; b := h[2]; c := h[3]; d := h[4]; e := h[5];
        FOR i IN 0 .. 79 LOOP
            IF i < 20 THEN f := (b & c) | ((~b) & word & d); k := 1518500249;
            ELSIF i < 40 THEN f := b # c # d; k := 1859775393;
            ELSIF i < 60 THEN f := (b & c) | (b & d) | (c & d); k := 2400959708;
            ELSE f := b # c # d; k := 3395469782;
            END IF;
            t := ((((a << 5) | (a >> 27)) & word) + f + e + k + w[i]) & word;
            e := d; d := c; c := ((b << 30) | (b >> 2)) & word; b := a; a := t;
        END LOOP;
        h := ARRAY[(h[1] + a) & word, (h[2] + b) & word, (h[3] + c) & word, (h[4] + d) & word, (h[5] + e) & word];
    END LOOP;
    RETURN (SELECT decode(string_agg(lpad(to_hex(part), 8, '0'), '' ORDER BY at), 'hex')
              FROM unnest(h) WITH ORDINALITY AS parts (part, at));
END
$$;

CREATE FUNCTION natural_record_id(key text) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT encode(set_byte(set_byte(hash, 6, get_byte(hash, 6) & 15 | 80), 8, get_byte(hash, 8) & 63 | 128), 'hex')::uuid
              FROM (SELECT substr(sha1('\x6d6f746f6d696e6480007265636f7264'::bytea || convert_to(key, 'UTF8')), 1, 16) AS hash) AS h);

-- The fields of the key are the trigger's arguments.
CREATE FUNCTION key_record() RETURNS trigger
    LANGUAGE plpgsql AS $$
DECLARE
    fields constant jsonb := to_jsonb(NEW);
    wanted constant uuid  := natural_record_id(concat_ws('|', TG_TABLE_NAME,
        (SELECT string_agg((fields -> name)::text, '|' ORDER BY at) FROM unnest(TG_ARGV) WITH ORDINALITY AS a (name, at))));
BEGIN
    NEW.id := COALESCE(NEW.id, wanted);
    IF NEW.id <> wanted THEN
        RAISE EXCEPTION 'the id of this record follows from what it is about: %', wanted
            USING ERRCODE = 'check_violation', CONSTRAINT = TG_TABLE_NAME || '_natural_key', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END
$$;

SET LOCAL ROLE motomind_system;

-- Deletes a record of the transaction's tenant; says whether there was a live one. A garage's
-- vehicles need delete_garage().
CREATE FUNCTION delete_record(collection regclass, record uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    done boolean;
BEGIN
    IF collection = 'garages'::regclass THEN
        RETURN delete_garage(record);
    END IF;
    PERFORM FROM pg_trigger WHERE tgrelid = collection AND tgfoid = 'queue_records()'::regprocedure;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% holds no records', collection USING ERRCODE = 'wrong_object_type';
    END IF;
    EXECUTE format('WITH gone AS (UPDATE %s SET deleted_at = now(), deleted_by = current_user_id()
                     WHERE tenant_id = current_tenant_id() AND id = $1 AND deleted_at IS NULL RETURNING 1)
                    SELECT EXISTS (SELECT FROM gone)', collection) INTO done USING record;
    RETURN done;
END
$$;

-- Within 30 days; later it stays deleted (nothing is purged, an operator can still bring it back).
CREATE FUNCTION restore_record(collection regclass, record uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    done boolean;
BEGIN
    PERFORM FROM pg_trigger WHERE tgrelid = collection AND tgfoid = 'queue_records()'::regprocedure;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% holds no records', collection USING ERRCODE = 'wrong_object_type';
    END IF;
    EXECUTE format('WITH back AS (UPDATE %s SET deleted_at = NULL
                     WHERE tenant_id = current_tenant_id() AND id = $1 AND deleted_at > now() - interval ''30 days'' RETURNING 1)
                    SELECT EXISTS (SELECT FROM back)', collection) INTO done USING record;
    RETURN done;
END
$$;
REVOKE ALL ON FUNCTION delete_record(regclass, uuid), restore_record(regclass, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delete_record(regclass, uuid), restore_record(regclass, uuid) TO motomind_server, motomind_client;

-- Profiles that were there before: their documents begin now.
INSERT INTO record_queue (tenant_id, collection, record_id) SELECT tenant_id, 'profiles', id FROM profiles
    ON CONFLICT DO NOTHING;
