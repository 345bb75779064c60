-- Purpose: what was looked up about a vehicle, by category.
-- Why:     its id follows from vehicle and category, so that there is one of each.
-- Time:    under a second, no rows touched.
CREATE TABLE vehicle_spec_enhancements (
    tenant_id   uuid        NOT NULL DEFAULT current_tenant_id() REFERENCES tenants (id),
    id          uuid        NOT NULL,                    -- follows from the key, see trigger
    vehicle_id  uuid        NOT NULL,
    category    text        NOT NULL CHECK (category IN
        ('engine', 'drivetrain', 'dimensions', 'fuel_economy', 'safety', 'features', 'maintenance_intervals',
         'fluids_capacities', 'tire_specifications')),
    status      text        CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
    data        jsonb       CHECK (octet_length(data::text) <= 1048576),     -- bytes as Postgres writes it; the
    sources     jsonb       CHECK (octet_length(sources::text) <= 1048576),  -- declaration's limit is for the compact text
    confidence  text        CHECK (confidence IN ('high', 'medium', 'low')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    created_by  uuid        DEFAULT current_user_id(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    updated_by  uuid        DEFAULT current_user_id(),
    deleted_at  timestamptz,
    deleted_by  uuid,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, vehicle_id) REFERENCES vehicles (tenant_id, id)
);
COMMENT ON TABLE vehicle_spec_enhancements IS 'What was looked up about a vehicle, by category.';
CREATE INDEX vehicle_spec_enhancements_by_vehicle ON vehicle_spec_enhancements (tenant_id, vehicle_id);
SELECT furnish_records('vehicle_spec_enhancements');
CREATE TRIGGER key BEFORE INSERT ON vehicle_spec_enhancements FOR EACH ROW EXECUTE FUNCTION key_record('vehicle_id', 'category');
