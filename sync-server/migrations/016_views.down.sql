-- Drops the views; no row is touched.
DROP VIEW event_records;
DROP VIEW vehicle_current_mileage;
DROP VIEW timeline_feed;
DROP VIEW active_events;
DROP VIEW active_vehicles;
DROP VIEW active_garages;
