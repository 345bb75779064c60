-- Photos say of themselves what their row says, whoever wrote it.
CREATE OR REPLACE VIEW attached_photos WITH (security_invoker = true) AS
    SELECT said.tenant_id, said.root_id, said.vehicle_id, said.photo, said.sequence, said.step_id, said.caption,
           said.photo = first_value(said.photo) OVER (
               PARTITION BY said.tenant_id, said.root_id
               ORDER BY said.is_primary DESC, CASE WHEN said.is_primary THEN said.arrival END DESC,
                        said.sequence, said.photo) AS is_primary,
           m.mime, m.bytes, EXISTS (SELECT FROM photos s WHERE s.tenant_id = said.tenant_id AND s.sha256 = said.photo) AS is_stored
      FROM (SELECT DISTINCT ON (p.tenant_id, p.root_id, p.photo) p.* FROM event_photos p
             ORDER BY p.tenant_id, p.root_id, p.photo, p.arrival DESC) said
      JOIN photo_metadata m ON m.tenant_id = said.tenant_id AND m.sha256 = said.photo
     WHERE NOT said.removed;
DROP VIEW photo_facts_told;
DROP FUNCTION counting_facts(photo_metadata);
