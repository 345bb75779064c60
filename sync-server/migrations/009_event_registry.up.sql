-- Purpose: one row per event with everything about it that may change or must be unique.
-- Why:     events are immutable and partitioned by date; a unique key on a partitioned table must
--          contain the date, so identity, foreign references and derived state (retracted,
--          effective, sequence) live in this unpartitioned table.
-- Time:    under a second, no rows touched.
CREATE TABLE event_registry (
    tenant_id      uuid    NOT NULL,                -- checked at the event, by its vehicle
    event_id       uuid    NOT NULL,
    vehicle_id     uuid    NOT NULL,
    date           date    NOT NULL,                -- the event's partition key
    user_id        uuid,                            -- who captured it, where known
    corrects       uuid,                            -- the event it corrects, retracts or restores, as resolved
    root_id        uuid    NOT NULL,                -- first event of its family; its own id for a root
    arrival        bigint  NOT NULL,                -- order of arrival; within a vehicle the same order as seq
    seq            bigint,                          -- NULL until the transaction is numbered
    at_ms          bigint  NOT NULL,                -- place on the odometer's timeline, ms: occurred_at, or received_at when the clock is ahead
    miles          integer,                         -- the reading it states, if any
    starts_segment boolean NOT NULL DEFAULT false,  -- the odometer was replaced
    overrides      boolean NOT NULL DEFAULT false,  -- correction: true with corrects; the odometer rule does not bind it
    is_retraction  boolean NOT NULL DEFAULT false,
    is_restoration boolean NOT NULL DEFAULT false,
    retracted      boolean NOT NULL DEFAULT false,  -- of the retractions and restorations that name it, the newest is a retraction
    effective      boolean NOT NULL,                -- of its family, it is the one that counts (protocol::effective)
    PRIMARY KEY (tenant_id, event_id)
) WITH (fillfactor = 45);  -- every row is updated once, when it is numbered: in place, without touching an index
COMMENT ON TABLE event_registry IS 'Identity and derived state of every event.';

-- The neighbours of a reading are one probe down and one probe up this index.
CREATE INDEX event_registry_readings ON event_registry (tenant_id, vehicle_id, at_ms, arrival)
    WHERE effective AND miles IS NOT NULL;
-- A root and everything that corrects, retracts or restores it or its like.
CREATE INDEX event_registry_family ON event_registry (tenant_id, root_id, arrival) WHERE corrects IS NOT NULL;
SELECT raise_tenant_wall('event_registry');
SELECT admit_system('event_registry');
GRANT SELECT ON event_registry TO motomind_server, motomind_client;
GRANT SELECT, INSERT, UPDATE ON event_registry TO motomind_system;

-- The effective readings next to a place on a vehicle's timeline: at most one before, one after.
CREATE FUNCTION odometer_neighbours(tenant uuid, vehicle uuid, at bigint, place bigint)
    RETURNS TABLE (is_before boolean, event_id uuid, at_ms bigint, arrival bigint, miles integer,
                   starts_segment boolean, overrides boolean)
    LANGUAGE sql STABLE PARALLEL SAFE AS $$
    (SELECT true, r.event_id, r.at_ms, r.arrival, r.miles, r.starts_segment, r.overrides
       FROM event_registry r
      WHERE r.tenant_id = tenant AND r.vehicle_id = vehicle AND r.effective AND r.miles IS NOT NULL
        AND (r.at_ms, r.arrival) < (at, place)
      ORDER BY r.at_ms DESC, r.arrival DESC LIMIT 1)
    UNION ALL
    (SELECT false, r.event_id, r.at_ms, r.arrival, r.miles, r.starts_segment, r.overrides
       FROM event_registry r
      WHERE r.tenant_id = tenant AND r.vehicle_id = vehicle AND r.effective AND r.miles IS NOT NULL
        AND (r.at_ms, r.arrival) > (at, place)
      ORDER BY r.at_ms, r.arrival LIMIT 1)
$$;
COMMENT ON FUNCTION odometer_neighbours(uuid, uuid, bigint, bigint) IS 'The effective readings before and after a place on a vehicle''s timeline.';
