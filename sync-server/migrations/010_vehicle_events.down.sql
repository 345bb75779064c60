-- Drops the events with all their partitions.
DROP TABLE vehicle_events;
DROP FUNCTION furnish_event_partition(regclass);
DROP FUNCTION on_event_tables(text);
DROP FUNCTION refuse_event_change();
