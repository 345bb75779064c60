-- Purpose: how often a person wants which work done on a vehicle.
-- Why:     its id follows from person, vehicle and kind, so that two devices offline make one.
-- Time:    under a second, no rows touched.
CREATE TABLE user_maintenance_preferences (
    tenant_id   uuid        NOT NULL DEFAULT current_tenant_id() REFERENCES tenants (id),
    id          uuid        NOT NULL,                    -- follows from the key, see trigger
    user_id     uuid        NOT NULL,
    vehicle_id  uuid        NOT NULL,
    interval_type text      NOT NULL CHECK (interval_type IN
        ('oil_change', 'tire_rotation', 'air_filter', 'cabin_filter', 'spark_plugs', 'transmission_service',
         'brake_fluid_flush', 'coolant_flush', 'differential_service', 'brake_inspection', 'serpentine_belt', 'timing_belt')),
    interval_value integer  NOT NULL CHECK (interval_value BETWEEN 1 AND 9999999),
    interval_unit text      NOT NULL CHECK (interval_unit IN ('miles', 'months', 'years')),
    notes       text        CHECK (char_length(notes) <= 10000),
    source      text        CHECK (char_length(source) BETWEEN 1 AND 200),
    created_at  timestamptz NOT NULL DEFAULT now(),
    created_by  uuid        DEFAULT current_user_id(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    updated_by  uuid        DEFAULT current_user_id(),
    deleted_at  timestamptz,
    deleted_by  uuid,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, vehicle_id) REFERENCES vehicles (tenant_id, id)
);
COMMENT ON TABLE user_maintenance_preferences IS 'How often a person wants which work done on a vehicle.';
CREATE INDEX user_maintenance_preferences_by_vehicle ON user_maintenance_preferences (tenant_id, vehicle_id);
SELECT furnish_records('user_maintenance_preferences');
CREATE TRIGGER key BEFORE INSERT ON user_maintenance_preferences FOR EACH ROW EXECUTE FUNCTION key_record('user_id', 'vehicle_id', 'interval_type');
