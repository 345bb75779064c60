//! What statements come to for the lists: how many photos an event has, and where it happened, as
//! columns beside it. [`settle`] is the one way to them for whatever has statements or a family.

use motomind_protocol::place::{Place, PlaceFrom, place};
use motomind_protocol::{
    Attachment, Event, EventId, EventRecord, Fix, LocationCorrection, VehicleId, photo,
};
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::statements::{StatementKind, Told, of_family};
use crate::error::StoreError;
use crate::ids::{blob, read_id};

/// Derives how many photos are on the events of a family, and where they happened.
pub(super) fn settle(conn: &Connection, root: EventId) -> Result<(), StoreError> {
    let members: Vec<(EventId, Event)> = {
        let mut statement = conn
            .prepare_cached("SELECT event_id, data FROM events WHERE root = ?1 OR event_id = ?1")?;
        let mut rows = statement.query([blob(&root.0)])?;
        let mut members = Vec::new();
        while let Some(row) = rows.next()? {
            // As in a list: one odd row hides its place, not the rest.
            let data = row.get_ref(1)?.as_str().unwrap_or_default();
            if let Ok(record) = serde_json::from_str::<EventRecord>(data) {
                members.push((EventId(read_id(row, 0)?), record.event));
            }
        }
        members
    };
    let photos = of_family::<Attachment>(conn, root, StatementKind::Photo)?;
    let count = photo::attached(photos.iter().filter_map(Told::counts)).len();
    let corrections =
        of_family::<LocationCorrection>(conn, root, StatementKind::LocationCorrection)?;
    let first = members.iter().find(|(id, _)| *id == root).map(|(_, event)| event);
    for (id, event) in &members {
        let place = place(event, first, corrections.iter().filter_map(Told::counts));
        write_derived(conn, *id, count, place.as_ref())?;
    }
    Ok(())
}

fn write_derived(
    conn: &Connection,
    event: EventId,
    photos: usize,
    place: Option<&Place>,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE events SET photos = ?2, latitude = ?3, longitude = ?4, accuracy_m = ?5,
                address = ?6, place_from = ?7
         WHERE event_id = ?1",
    )?
    .execute(params![
        blob(&event.0),
        photos as i64,
        place.map(|place| place.latitude),
        place.map(|place| place.longitude),
        place.and_then(|place| place.accuracy_m),
        place.and_then(|place| place.address.as_deref()),
        place.map(|place| from_name(place.from)),
    ])?;
    Ok(())
}

pub(super) fn from_name(from: PlaceFrom) -> &'static str {
    match from {
        PlaceFrom::Fix => "fix",
        PlaceFrom::Photo => "photo",
        PlaceFrom::Correction => "correction",
    }
}

/// The sources of an event's place, as texts: parsed only where there is one.
pub(super) struct Sources<'a> {
    pub(super) fix: Option<&'a str>,
    pub(super) photo_fix: Option<&'a str>,
    pub(super) position: Option<&'a str>,
}

/// Where an event by itself was measured; nothing where its sources cannot be read.
pub(super) fn measured(sources: &Sources<'_>) -> Option<Place> {
    let fix = |text: Option<&str>| text.and_then(|text| serde_json::from_str::<Fix>(text).ok());
    let (fix, photo_fix) = (fix(sources.fix), fix(sources.photo_fix));
    if fix.is_none() && photo_fix.is_none() {
        return None;
    }
    let nil = EventId(Uuid::nil());
    let day = chrono::NaiveDate::default();
    let mut event = Event::new(nil, VehicleId(Uuid::nil()), "", 0, day, "");
    (event.fix, event.photo_fix) = (fix, photo_fix);
    event.position = sources.position.and_then(|text| serde_json::from_str(text).ok());
    place(&event, None, [])
}

/// Reads the columns `latitude, longitude, accuracy_m, address, place_from` from the given one on.
pub(super) fn read_place(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Place>> {
    let Some(latitude) = row.get::<_, Option<f64>>(first)? else { return Ok(None) };
    let from = match row.get_ref(first + 4)?.as_str() {
        Ok("photo") => PlaceFrom::Photo,
        Ok("correction") => PlaceFrom::Correction,
        _ => PlaceFrom::Fix,
    };
    Ok(Some(Place {
        latitude,
        longitude: row.get(first + 1)?,
        accuracy_m: row.get(first + 2)?,
        address: row.get(first + 3)?,
        from,
    }))
}
