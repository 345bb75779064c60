-- Purpose: pictures of a vehicle.
-- Why:     the photo is an object of its own; this says what it shows.
-- Time:    under a second, no rows touched.
CREATE TABLE vehicle_images (
    tenant_id   uuid        NOT NULL DEFAULT current_tenant_id() REFERENCES tenants (id),
    id          uuid        NOT NULL DEFAULT gen_random_uuid(),
    vehicle_id  uuid        NOT NULL,
    photo       text        NOT NULL CHECK (photo ~ '^[0-9a-f]{64}$'),  -- SHA-256 of the photo's original bytes
    image_type  text        NOT NULL CHECK (image_type IN
        ('hero', 'front', 'rear', 'side_left', 'side_right', 'interior', 'engine', 'odometer', 'damage', 'maintenance', 'general')),
    caption     text        CHECK (char_length(caption) <= 1000),
    is_primary  boolean     NOT NULL DEFAULT false,     -- at most one live per vehicle and type
    created_at  timestamptz NOT NULL DEFAULT now(),
    created_by  uuid        DEFAULT current_user_id(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    updated_by  uuid        DEFAULT current_user_id(),
    deleted_at  timestamptz,
    deleted_by  uuid,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, vehicle_id) REFERENCES vehicles (tenant_id, id)
);
COMMENT ON TABLE vehicle_images IS 'Pictures of a vehicle.';
CREATE UNIQUE INDEX vehicle_images_one_primary ON vehicle_images (tenant_id, vehicle_id, image_type)
    WHERE is_primary AND deleted_at IS NULL;
CREATE INDEX vehicle_images_by_vehicle ON vehicle_images (tenant_id, vehicle_id);
SELECT furnish_records('vehicle_images');
