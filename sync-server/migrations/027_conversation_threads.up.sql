-- Purpose: conversations about a vehicle.
-- Why:     a person finds theirs on every device.
-- Time:    under a second, no rows touched.
CREATE TABLE conversation_threads (
    tenant_id   uuid        NOT NULL DEFAULT current_tenant_id() REFERENCES tenants (id),
    id          uuid        NOT NULL DEFAULT gen_random_uuid(),
    vehicle_id  uuid        NOT NULL,
    user_id     uuid        NOT NULL,
    title       text        CHECK (char_length(title) BETWEEN 1 AND 200),
    archived    boolean     NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL DEFAULT now(),
    created_by  uuid        DEFAULT current_user_id(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    updated_by  uuid        DEFAULT current_user_id(),
    deleted_at  timestamptz,
    deleted_by  uuid,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, vehicle_id) REFERENCES vehicles (tenant_id, id)
);
COMMENT ON TABLE conversation_threads IS 'Conversations about a vehicle.';
CREATE INDEX conversation_threads_by_vehicle ON conversation_threads (tenant_id, vehicle_id);
CREATE INDEX conversation_threads_by_user ON conversation_threads (tenant_id, user_id);
SELECT furnish_records('conversation_threads');
