-- Takes the views of photos, places and sessions away.
DROP VIEW capture_abandonment_analysis;
DROP VIEW capture_session_analytics;
DROP VIEW location_correction_stats;
DROP VIEW timeline_feed;
CREATE VIEW timeline_feed WITH (security_invoker = true) AS
    SELECT e.tenant_id, e.vehicle_id, e.id, e.type, e.occurred_at, e.date, e.timezone, e.miles, e.total_minor,
           COALESCE(e.currency, 'USD') AS currency, e.vendor, e.notes, e.payload, e.fix, r.seq,
           r.root_id <> r.event_id AS corrected
      FROM vehicle_events e
      JOIN event_registry r ON r.tenant_id = e.tenant_id AND r.event_id = e.id AND r.effective
      JOIN vehicles v ON v.tenant_id = e.tenant_id AND v.id = e.vehicle_id AND v.deleted_at IS NULL;
GRANT SELECT ON timeline_feed TO motomind_server, motomind_client;
DROP VIEW attached_photos;
DROP VIEW event_places;
DROP FUNCTION measured_place(jsonb, text);
DROP INDEX change_log_facts;
