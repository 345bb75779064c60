-- Purpose: what readers ask for of photos, places and sessions.
-- Why:     which statement counts is a rule (protocol::place, protocol::photo::attached); a reader
--          who wrote it anew would get it wrong. All views run with their reader's rights.
-- Time:    under a second, no rows touched.

-- A snapshot reads these entries alone out of a long log.
CREATE INDEX change_log_facts ON change_log (tenant_id, seq)
    WHERE kind IN ('photo', 'photo_stored', 'location_correction', 'session');

-- What was measured of where an event happened, protocol::place::measured: the source that its
-- decision chose, else its fix, else its photo's; none that is unusable. The decision and the
-- photo's position are in the event's body alone.
CREATE FUNCTION measured_place(fix jsonb, body text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (
        SELECT CASE WHEN NULLIF(source.fix -> 'accuracy_m', 'null')::double precision > 1000 THEN NULL ELSE source.fix END
          FROM (SELECT CASE WHEN body ~ '"(photo_fix|position)"' THEN json_projection(body) END AS event) AS whole,
               LATERAL (SELECT CASE WHEN jsonb_typeof(event -> 'photo_fix') = 'object'
                                    THEN event -> 'photo_fix' || '{"from": "photo"}' END AS photo,
                               CASE WHEN jsonb_typeof(measured_place.fix) = 'object'
                                    THEN measured_place.fix || '{"from": "fix"}' END AS device,
                               jsonb_typeof(event -> 'position') = 'object' AS decided,
                               event #>> '{position,chosen}' AS chosen) AS known,
               LATERAL (SELECT CASE WHEN decided AND chosen IS NULL THEN NULL
                                    WHEN decided AND chosen = 'exif' THEN COALESCE(photo, device)
                                    ELSE COALESCE(device, photo) END AS fix) AS source);
COMMENT ON FUNCTION measured_place(jsonb, text) IS 'The measured position of an event, with the key `from`: fix or photo.';

-- Where each event that counts happened: what a person says, else what it measured, else what the
-- first of its family did (protocol::place::place).
CREATE VIEW event_places WITH (security_invoker = true) AS
    SELECT r.tenant_id, r.event_id, r.root_id, r.vehicle_id, place.latitude, place.longitude, place.accuracy_m,
           place.address, place.place_from, said.id AS correction_id, said.user_id AS corrected_by,
           said.received_at AS corrected_at
      FROM event_registry r
      JOIN vehicle_events e ON e.tenant_id = r.tenant_id AND e.date = r.date AND e.id = r.event_id
      LEFT JOIN LATERAL (
           SELECT c.* FROM location_corrections c WHERE c.tenant_id = r.tenant_id AND c.root_id = r.root_id
            ORDER BY c.arrival DESC LIMIT 1) newest ON true
      LEFT JOIN LATERAL (SELECT newest.id, newest.user_id, newest.received_at WHERE NOT newest.withdrawn) said ON true
      LEFT JOIN LATERAL (
           SELECT COALESCE(measured_place(e.fix, e.body), (
               SELECT measured_place(o.fix, o.body)
                 FROM event_registry root
                 JOIN vehicle_events o ON o.tenant_id = root.tenant_id AND o.date = root.date AND o.id = root.event_id
                WHERE root.tenant_id = r.tenant_id AND root.event_id = r.root_id AND r.root_id <> r.event_id)) AS fix
            WHERE said.id IS NULL) measured ON true
     CROSS JOIN LATERAL (
           SELECT newest.latitude, newest.longitude, NULL::double precision AS accuracy_m, newest.address,
                  'correction' AS place_from WHERE said.id IS NOT NULL
           UNION ALL
           SELECT (measured.fix -> 'latitude')::double precision, (measured.fix -> 'longitude')::double precision,
                  NULLIF(measured.fix -> 'accuracy_m', 'null')::double precision, NULL, measured.fix ->> 'from'
            WHERE said.id IS NULL AND measured.fix IS NOT NULL) place
     WHERE r.effective;

-- The photos on each family of events, in the order in which everyone shows them: by sequence, then
-- by photo. The one that stands for the event is the one of which that was said last, else the first.
CREATE VIEW attached_photos WITH (security_invoker = true) AS
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

CREATE OR REPLACE VIEW timeline_feed WITH (security_invoker = true) AS
    SELECT e.tenant_id, e.vehicle_id, e.id, e.type, e.occurred_at, e.date, e.timezone, e.miles, e.total_minor,
           COALESCE(e.currency, 'USD') AS currency, e.vendor, e.notes, e.payload, e.fix, r.seq,
           r.root_id <> r.event_id AS corrected,
           place.latitude, place.longitude, place.accuracy_m, place.address, place.place_from,
           (SELECT count(*) FROM (
                SELECT DISTINCT ON (p.photo) p.removed FROM event_photos p
                 WHERE p.tenant_id = r.tenant_id AND p.root_id = r.root_id
                 ORDER BY p.photo, p.arrival DESC) newest WHERE NOT newest.removed) AS photo_count
      FROM vehicle_events e
      JOIN event_registry r ON r.tenant_id = e.tenant_id AND r.event_id = e.id AND r.effective
      JOIN vehicles v ON v.tenant_id = e.tenant_id AND v.id = e.vehicle_id AND v.deleted_at IS NULL
      LEFT JOIN LATERAL (SELECT * FROM event_places w WHERE w.tenant_id = r.tenant_id AND w.event_id = r.event_id) place ON true;

-- How far people move what was measured, metres.
CREATE VIEW location_correction_stats WITH (security_invoker = true) AS
    SELECT c.tenant_id, c.method, count(*) AS corrections, count(c.distance_m) AS measured,
           avg(c.distance_m) AS avg_m, percentile_cont(0.5) WITHIN GROUP (ORDER BY c.distance_m) AS median_m,
           min(c.distance_m) AS min_m, max(c.distance_m) AS max_m
      FROM location_corrections c
     WHERE NOT c.withdrawn
     GROUP BY GROUPING SETS ((c.tenant_id), (c.tenant_id, c.method));
COMMENT ON VIEW location_correction_stats IS 'Per tenant (method NULL) and per method; corrections that were not withdrawals.';

CREATE VIEW capture_session_analytics WITH (security_invoker = true) AS
    SELECT s.tenant_id, s.flow, s.path, count(*) AS sessions,
           count(*) FILTER (WHERE s.status = 'completed') AS completed,
           count(*) FILTER (WHERE s.status = 'abandoned') AS abandoned,
           count(*) FILTER (WHERE s.photos = '[]') AS without_photos,
           avg((s.status = 'completed')::integer) AS completion_rate,
           avg(s.duration_ms) AS avg_duration_ms,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY s.duration_ms) AS median_duration_ms,
           avg(jsonb_array_length(s.photos)) AS avg_photos
      FROM capture_sessions s
     GROUP BY s.tenant_id, s.flow, s.path;

-- Where and why sessions of the last 30 days were left.
CREATE VIEW capture_abandonment_analysis WITH (security_invoker = true) AS
    SELECT s.tenant_id, s.flow, s.path, s.step, s.reason, count(*) AS sessions,
           count(*) FILTER (WHERE s.photos = '[]') AS without_photos,
           avg(s.duration_ms) AS avg_duration_ms,
           count(*) / sum(count(*)) OVER (PARTITION BY s.tenant_id, s.flow) AS share_of_flow
      FROM capture_sessions s
     WHERE s.status = 'abandoned' AND s.ended_at >= now() - interval '30 days'
     GROUP BY s.tenant_id, s.flow, s.path, s.step, s.reason;

GRANT SELECT ON event_places, attached_photos, location_correction_stats, capture_session_analytics,
    capture_abandonment_analysis TO motomind_server, motomind_client;
