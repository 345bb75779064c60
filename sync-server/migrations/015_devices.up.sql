-- Purpose: the installations that have spoken to the server.
-- Why:     a manager lists and revokes them; a lost phone must be able to be shut out. Requests name
--          their device in a header; one that names none is let in until its token ends.
-- Time:    under a second, no rows touched.
CREATE TABLE devices (
    tenant_id   uuid        NOT NULL REFERENCES tenants (id),
    id          uuid        NOT NULL,
    user_id     uuid        NOT NULL,        -- whose installation it is
    name        text        CHECK (char_length(name) <= 200),
    incarnation uuid,                        -- the one that pushed last
    first_seen  timestamptz NOT NULL DEFAULT now(),
    last_seen   timestamptz NOT NULL DEFAULT now(),
    revoked_at  timestamptz,                 -- from then on refused with device_revoked
    revoked_by  uuid,
    PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE devices IS 'Installations of the app.';
SELECT raise_tenant_wall('devices');
GRANT SELECT, INSERT, UPDATE ON devices TO motomind_server;
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON devices EXECUTE FUNCTION refuse_delete();
