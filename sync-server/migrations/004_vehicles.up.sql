-- Purpose: the vehicles.
-- Why:     every event is about one; its row is also the lock that puts the events of one vehicle
--          in order (see README.md, "Lock order").
-- Time:    under a second, no rows touched.
CREATE TABLE vehicles (
    tenant_id   uuid        NOT NULL DEFAULT current_tenant_id() REFERENCES tenants (id),
    id          uuid        NOT NULL DEFAULT gen_random_uuid(),
    garage_id   uuid,
    year        integer     CHECK (year >= 1900),  -- and at most two years ahead: by trigger, "now" is no CHECK
    make        text        CHECK (char_length(make) BETWEEN 1 AND 200),
    model       text        CHECK (char_length(model) BETWEEN 1 AND 200),
    trim        text        CHECK (char_length(trim) BETWEEN 1 AND 200),
    color       text        CHECK (char_length(color) BETWEEN 1 AND 200),
    vin         text        CHECK (vin ~ '^[A-HJ-NPR-Z0-9]{17}$'),  -- stored in capitals
    license_plate text      CHECK (char_length(license_plate) BETWEEN 1 AND 50),
    nickname    text        CHECK (char_length(nickname) BETWEEN 1 AND 200),
    manufacturer_mpg                    integer CHECK (manufacturer_mpg BETWEEN 1 AND 9999999),
    manufacturer_service_interval_miles integer CHECK (manufacturer_service_interval_miles BETWEEN 1 AND 9999999),
    current_mileage_override            integer CHECK (current_mileage_override BETWEEN 0 AND 9999999),  -- wins over computed mileage
    timezone    text        CHECK (timezone ~ '^[A-Za-z0-9/_+-]{1,64}$'),  -- IANA name
    hero_photo  text        CHECK (hero_photo ~ '^[0-9a-f]{64}$'),  -- SHA-256 of the photo's original bytes
    created_at  timestamptz NOT NULL DEFAULT now(),
    created_by  uuid        DEFAULT current_user_id(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    updated_by  uuid        DEFAULT current_user_id(),
    deleted_at  timestamptz,
    deleted_by  uuid,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, garage_id) REFERENCES garages (tenant_id, id)
);
COMMENT ON TABLE vehicles IS 'Vehicles; the row is also the lock that orders a vehicle''s events.';
CREATE UNIQUE INDEX vehicles_vin_live ON vehicles (tenant_id, vin) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX vehicles_plate_live ON vehicles (tenant_id, license_plate) WHERE deleted_at IS NULL;
CREATE INDEX vehicles_by_garage ON vehicles (tenant_id, garage_id);
SELECT raise_tenant_wall('vehicles');
SELECT admit_system('vehicles');
GRANT SELECT, INSERT, UPDATE ON vehicles TO motomind_server, motomind_client;
GRANT SELECT, UPDATE ON vehicles TO motomind_system;
