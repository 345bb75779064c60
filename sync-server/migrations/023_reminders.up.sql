-- Purpose: what is due, on a day or at a mileage.
-- Why:     people set them offline; two who set the same one get one.
-- Time:    under a second, no rows touched.
CREATE TABLE reminders (
    tenant_id   uuid        NOT NULL DEFAULT current_tenant_id() REFERENCES tenants (id),
    id          uuid        NOT NULL DEFAULT gen_random_uuid(),
    vehicle_id  uuid,
    garage_id   uuid,
    title       text        NOT NULL CHECK (char_length(title) BETWEEN 1 AND 255),
    description text        CHECK (char_length(description) <= 1000),
    category    text        CHECK (category IN ('registration', 'inspection', 'emissions', 'maintenance', 'other')),
    priority    text        CHECK (priority IN ('low', 'medium', 'high')),
    due_date    date        CHECK (due_date BETWEEN '1900-01-01' AND '9999-12-31'),
    due_miles   integer     CHECK (due_miles BETWEEN 0 AND 9999999),
    status      text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'completed', 'dismissed')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    created_by  uuid        DEFAULT current_user_id(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    updated_by  uuid        DEFAULT current_user_id(),
    deleted_at  timestamptz,
    deleted_by  uuid,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, vehicle_id) REFERENCES vehicles (tenant_id, id),
    FOREIGN KEY (tenant_id, garage_id) REFERENCES garages (tenant_id, id)
);
COMMENT ON TABLE reminders IS 'What is due, on a day or at a mileage.';
CREATE UNIQUE INDEX reminders_once ON reminders (tenant_id, vehicle_id, garage_id, title, due_date, due_miles) NULLS NOT DISTINCT
    WHERE status = 'active' AND deleted_at IS NULL;
CREATE INDEX reminders_by_garage ON reminders (tenant_id, garage_id);
CREATE INDEX reminders_by_vehicle ON reminders (tenant_id, vehicle_id);
SELECT furnish_records('reminders');
