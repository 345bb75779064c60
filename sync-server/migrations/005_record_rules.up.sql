-- Purpose: what holds for every write to a record row, whoever writes.
-- Why:     VINs arrive in small letters, "next year" is no CHECK, audit columns are forgotten, an
--          id is changed, and a DELETE would leave devices with a vehicle that no longer exists anywhere.
-- Time:    under a second, no rows touched.
CREATE FUNCTION stamp_record() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.tenant_id, NEW.id) IS DISTINCT FROM (OLD.tenant_id, OLD.id) THEN
        RAISE EXCEPTION 'a record keeps its id and its tenant: devices know it by them'
            USING ERRCODE = 'restrict_violation', TABLE = TG_TABLE_NAME;
    END IF;
    NEW.updated_at := now();
    NEW.updated_by := COALESCE(current_user_id(), NEW.updated_by);
    IF NEW.deleted_at IS NOT NULL AND OLD.deleted_at IS NULL THEN
        NEW.deleted_by := COALESCE(NEW.deleted_by, current_user_id());
    ELSIF NEW.deleted_at IS NULL THEN
        NEW.deleted_by := NULL;
    END IF;
    RETURN NEW;
END
$$;

CREATE FUNCTION stamp_vehicle() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    NEW.vin := upper(NEW.vin);
    IF NEW.year > extract(year FROM now()) + 2 THEN
        RAISE EXCEPTION 'year % lies more than two years ahead', NEW.year
            USING ERRCODE = 'check_violation', CONSTRAINT = 'vehicles_year_check', TABLE = 'vehicles', COLUMN = 'year';
    END IF;
    RETURN NEW;
END
$$;

CREATE FUNCTION refuse_delete() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% rows are never deleted: set deleted_at', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', TABLE = TG_TABLE_NAME;
END
$$;

CREATE TRIGGER stamp BEFORE UPDATE ON garages FOR EACH ROW EXECUTE FUNCTION stamp_record();
CREATE TRIGGER stamp BEFORE UPDATE ON vehicles FOR EACH ROW EXECUTE FUNCTION stamp_record();
CREATE TRIGGER stamp BEFORE UPDATE ON profiles FOR EACH ROW EXECUTE FUNCTION stamp_record();
CREATE TRIGGER stamp_vehicle BEFORE INSERT OR UPDATE ON vehicles FOR EACH ROW EXECUTE FUNCTION stamp_vehicle();
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON garages EXECUTE FUNCTION refuse_delete();
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON vehicles EXECUTE FUNCTION refuse_delete();
