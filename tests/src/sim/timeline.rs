//! The model server's view of vehicles' timelines: which events count, and whether a new one
//! fits. Computed from scratch each time, so that it owes nothing to anyone's bookkeeping.

use std::collections::{BTreeMap, BTreeSet};

use motomind_protocol::effective::{Member, effective};
use motomind_protocol::odometer::{self, OutOfOrder};
use motomind_protocol::{EventId, EventRecord, Reading, VehicleId};

type Events = BTreeMap<EventId, (u64, EventRecord)>;

/// The events that count: of each family at most one, retractions none.
#[must_use]
pub fn effective_events(events: &Events, vehicle: Option<VehicleId>) -> BTreeSet<EventId> {
    let mut families: BTreeMap<EventId, Vec<Member>> = BTreeMap::new();
    let of_vehicle =
        |record: &EventRecord| vehicle.is_none_or(|vehicle| record.event.vehicle_id == vehicle);
    for (seq, record) in events.values().filter(|(_, record)| of_vehicle(record)) {
        families.entry(root_of(events, record)).or_default().push(Member {
            event_id: record.event.id,
            seq: *seq,
            corrects: record.corrects,
            act: record.event.act(),
        });
    }
    let known =
        |root: &EventId| events.get(root).is_none_or(|(_, r)| r.event.act().states_a_fact());
    families
        .iter()
        .filter(|(root, _)| known(root))
        .filter_map(|(root, members)| effective(*root, members))
        .collect()
}

/// Whether the newest event that retracts or restores this one retracts it.
#[must_use]
pub fn is_retracted(events: &Events, id: EventId) -> bool {
    let acts = events
        .values()
        .filter(|(_, record)| record.corrects == Some(id) && !record.event.act().states_a_fact());
    let newest = acts.max_by_key(|(seq, _)| *seq);
    newest.is_some_and(|(_, record)| record.event.is_retraction())
}

/// The first event of the chain of corrections that leads to this one.
#[must_use]
pub fn root_of(events: &Events, record: &EventRecord) -> EventId {
    let mut root = record;
    while let Some((_, parent)) = root.corrects.and_then(|id| events.get(&id)) {
        root = parent;
    }
    root.corrects.unwrap_or(root.event.id)
}

fn readings(events: &Events, vehicle: VehicleId) -> Vec<Reading> {
    let mut readings: Vec<Reading> = effective_events(events, Some(vehicle))
        .iter()
        .filter_map(|id| events.get(id))
        .filter_map(|(seq, record)| Reading::of(&record.event, record.effective_at(), *seq))
        .collect();
    readings.sort_by_key(Reading::order);
    readings
}

/// Rule 7: judges a record on the timeline that it would produce.
///
/// # Errors
/// The reading that contradicts it.
pub fn judge(events: &Events, record: &EventRecord) -> Result<(), OutOfOrder> {
    if odometer::is_override(&record.event) {
        return Ok(());
    }
    let vehicle = record.event.vehicle_id;
    let now = readings(events, vehicle);
    let mut with = events.clone();
    with.insert(record.event.id, (u64::MAX, record.clone()));
    let then = readings(&with, vehicle);
    let around = |reading: &Reading| {
        let place = then.partition_point(|other| other.order() < reading.order());
        let before = place.checked_sub(1).and_then(|place| then.get(place));
        let same = then.get(place).is_some_and(|other| other.event_id == reading.event_id);
        (before, then.get(place + usize::from(same)))
    };
    let absent = |from: &[Reading], id| from.iter().all(|other| other.event_id != id);
    for reading in then.iter().filter(|r| absent(&now, r.event_id)) {
        let (before, after) = around(reading);
        odometer::judge(reading, before, after)?;
    }
    for reading in now.iter().filter(|r| absent(&then, r.event_id)) {
        let (before, after) = around(reading);
        odometer::judge_removal(before, after)?;
    }
    Ok(())
}
