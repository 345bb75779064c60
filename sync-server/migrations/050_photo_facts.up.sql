-- Purpose: which of the facts that were told of a photo count, and everything that was told.
-- Why:     the first statement that says what a photo is counts (protocol::photo::facts); what others
--          say of it later is kept beside, never over it. A row of photo_metadata that a device's
--          statement made is that first one: whoever tells the same photo waits for it. A row that
--          another SQL client wrote is told to devices with its statement alone, so that a device may
--          have been first after all.
-- Time:    under a second, no rows touched.
CREATE FUNCTION counting_facts(m photo_metadata) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN m.device_id IS NOT NULL THEN photo_facts(m)
                ELSE COALESCE((SELECT CASE WHEN p.body IS NULL THEN photo_facts(m) ELSE json_projection(p.body) -> 'facts' END
                                 FROM event_photos p WHERE p.tenant_id = m.tenant_id AND p.photo = m.sha256
                                ORDER BY p.arrival LIMIT 1), photo_facts(m)) END;
COMMENT ON FUNCTION counting_facts(photo_metadata) IS 'What counts of what was told of a photo, as devices read it.';

-- Everything that was told of each photo, and by whom.
CREATE VIEW photo_facts_told WITH (security_invoker = true) AS
    SELECT p.tenant_id, p.photo, p.id AS statement_id, p.event_id, p.user_id, p.device_id, p.received_at, told.facts,
           told.facts = counting_facts(m) AS counts
      FROM event_photos p
      JOIN photo_metadata m ON m.tenant_id = p.tenant_id AND m.sha256 = p.photo
     CROSS JOIN LATERAL (SELECT CASE WHEN p.body IS NULL THEN photo_facts(m)
                                     ELSE json_projection(p.body) -> 'facts' END AS facts) told
     WHERE told.facts IS NOT NULL;
COMMENT ON VIEW photo_facts_told IS 'What each statement says that a photo is; `counts`: it says what counts.';
GRANT SELECT ON photo_facts_told TO motomind_server, motomind_client;

CREATE OR REPLACE VIEW attached_photos WITH (security_invoker = true) AS
    SELECT said.tenant_id, said.root_id, said.vehicle_id, said.photo, said.sequence, said.step_id, said.caption,
           said.photo = first_value(said.photo) OVER (
               PARTITION BY said.tenant_id, said.root_id
               ORDER BY said.is_primary DESC, CASE WHEN said.is_primary THEN said.arrival END DESC,
                        said.sequence, said.photo) AS is_primary,
           CASE WHEN m.device_id IS NOT NULL THEN m.mime ELSE counting_facts(m) ->> 'mime' END AS mime,
           CASE WHEN m.device_id IS NOT NULL THEN m.bytes ELSE (counting_facts(m) ->> 'size')::bigint END AS bytes,
           EXISTS (SELECT FROM photos s WHERE s.tenant_id = said.tenant_id AND s.sha256 = said.photo) AS is_stored
      FROM (SELECT DISTINCT ON (p.tenant_id, p.root_id, p.photo) p.* FROM event_photos p
             ORDER BY p.tenant_id, p.root_id, p.photo, p.arrival DESC) said
      JOIN photo_metadata m ON m.tenant_id = said.tenant_id AND m.sha256 = said.photo
     WHERE NOT said.removed;
