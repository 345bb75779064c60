//! What the screen asks of the mirror.

use motomind_protocol::place::Place;
use motomind_protocol::{
    Day, Event, EventId, EventRecord, Garage, GarageId, Millis, OpState, Reading, Vehicle,
    VehicleId, limits, odometer,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::derived::read_place;
use super::records::{RecordMarks, read_marks};
use crate::error::StoreError;
use crate::ids::{blob, blob_opt, read_id};

/// Which part of the timeline to show. Newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(default)]
pub struct TimelineQuery {
    /// One vehicle, or all.
    pub vehicle: Option<VehicleId>,
    /// One event type (canonical name), or all.
    pub kind: Option<String>,
    /// First calendar day, included.
    pub from: Option<Day>,
    /// Last calendar day, included.
    pub to: Option<Day>,
    /// Continue after this entry.
    pub before: Option<PageKey>,
    /// Entries per page, 1 to 500; 0 means 50.
    pub limit: usize,
    /// Also what was corrected or retracted, and the retractions and restorations.
    pub include_hidden: bool,
}

/// Where a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct PageKey {
    /// Time of the last entry, UTC ms.
    pub occurred_at: Millis,
    /// Id of the last entry.
    pub event_id: EventId,
}

/// A page of the timeline.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct TimelinePage {
    /// Newest first.
    pub entries: Vec<TimelineEntry>,
    /// Where to go on; `None` at the end.
    pub next: Option<PageKey>,
}

/// One event as shown in a list. The whole record is a call away: [`TimelineEntry::record`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct TimelineEntry {
    /// The event.
    pub event_id: EventId,
    /// Its vehicle.
    pub vehicle_id: VehicleId,
    /// Canonical type.
    #[serde(rename = "type")]
    pub kind: String,
    /// UTC ms.
    pub occurred_at: Millis,
    /// Local calendar day, `YYYY-MM-DD`.
    pub date: String,
    /// Odometer, miles.
    pub miles: Option<i64>,
    /// The server's sequence, once it has one here.
    pub seq: Option<u64>,
    /// Where its operation stands; `accepted` for what others captured.
    pub state: OpState,
    /// The event it corrects, retracts or restores.
    pub corrects: Option<EventId>,
    /// Corrected or retracted.
    pub hidden: bool,
    /// How many photos are on it; [`crate::Device::photos`] tells of them.
    pub photos: u64,
    /// Where it happened, as everyone shows it; [`crate::Device::place`] tells what is known.
    pub place: Option<Place>,
    /// [`EventRecord`] as JSON.
    pub record_json: String,
}

impl TimelineEntry {
    /// The whole record.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the stored JSON cannot be read.
    pub fn record(&self) -> Result<EventRecord, StoreError> {
        Ok(serde_json::from_str(&self.record_json)?)
    }
}

/// A vehicle with what its timeline says of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct VehicleEntry {
    /// The row.
    pub vehicle: Vehicle,
    /// As shown.
    pub name: String,
    /// Current mileage: the override, else the newest effective reading of any type.
    pub miles: Option<i64>,
    /// Where it was last, by the newest event that says so.
    pub last_place: Option<Place>,
    /// Its captures and edits that the server does not have yet.
    pub pending: u64,
    /// Where its record stands.
    #[serde(flatten)]
    pub marks: RecordMarks,
}

const ENTRY: &str = "event_id, vehicle_id, type, occurred_at, date, miles, seq, state, corrects, \
     hidden, photos, latitude, longitude, accuracy_m, address, place_from, data";

/// A page of the timeline.
pub(crate) fn timeline(
    conn: &Connection,
    query: &TimelineQuery,
) -> Result<TimelinePage, StoreError> {
    let limit = match query.limit {
        0 => 50,
        limit => limit.min(500),
    };
    // One statement per shape of question, so that each gets the index made for it.
    let mut sql = format!("SELECT {ENTRY} FROM events WHERE ");
    sql.push_str(if query.include_hidden { "1 = 1" } else { "hidden = 0" });
    sql.push_str(if query.vehicle.is_some() { " AND vehicle_id = ?1" } else { " AND ?1 IS NULL" });
    if query.before.is_some() {
        sql.push_str(" AND (occurred_at, event_id) < (?2, ?3)");
    }
    if query.kind.is_some() {
        sql.push_str(" AND type = ?4");
    }
    if query.from.is_some() {
        sql.push_str(" AND date >= ?5");
    }
    if query.to.is_some() {
        sql.push_str(" AND date <= ?6");
    }
    sql.push_str(" ORDER BY occurred_at DESC, event_id DESC LIMIT ?7");
    let mut statement = conn.prepare_cached(&sql)?;
    let bind = |index: usize, used: bool| used.then_some(index);
    let bound = [
        bind(2, query.before.is_some()),
        bind(3, query.before.is_some()),
        bind(4, query.kind.is_some()),
        bind(5, query.from.is_some()),
        bind(6, query.to.is_some()),
    ];
    statement.raw_bind_parameter(1, blob_opt(query.vehicle.map(|v| v.0)))?;
    for index in bound.into_iter().flatten() {
        match index {
            2 => statement.raw_bind_parameter(2, query.before.map(|key| key.occurred_at))?,
            3 => {
                statement.raw_bind_parameter(3, blob_opt(query.before.map(|key| key.event_id.0)))?
            }
            4 => statement.raw_bind_parameter(4, query.kind.as_deref())?,
            5 => statement.raw_bind_parameter(5, query.from.map(|day| day.to_string()))?,
            _ => statement.raw_bind_parameter(6, query.to.map(|day| day.to_string()))?,
        }
    }
    statement.raw_bind_parameter(7, limit as i64 + 1)?;
    let mut entries = Vec::with_capacity(limit + 1);
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        entries.push(read_entry(row)?);
    }
    let more = entries.len() > limit;
    entries.truncate(limit);
    let key = |entry: &TimelineEntry| PageKey {
        occurred_at: entry.occurred_at,
        event_id: entry.event_id,
    };
    let next = entries.last().filter(|_| more).map(key);
    Ok(TimelinePage { entries, next })
}

/// An event and everything that corrects, retracts or restores it or its like.
pub(super) fn family(conn: &Connection, root: EventId) -> Result<Vec<TimelineEntry>, StoreError> {
    let sql = format!("SELECT {ENTRY} FROM events WHERE root = ?1 OR event_id = ?1");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([blob(&root.0)])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(read_entry(row)?);
    }
    Ok(entries)
}

fn read_entry(row: &Row<'_>) -> Result<TimelineEntry, StoreError> {
    let state = row.get_ref(7)?.as_str().unwrap_or_default();
    Ok(TimelineEntry {
        event_id: EventId(read_id(row, 0)?),
        vehicle_id: VehicleId(read_id(row, 1)?),
        kind: row.get(2)?,
        occurred_at: row.get(3)?,
        date: row.get(4)?,
        miles: row.get(5)?,
        seq: row.get::<_, Option<i64>>(6)?.map(i64::unsigned_abs),
        state: state.parse().map_err(|()| StoreError::Damaged(format!("state {state}")))?,
        corrects: crate::ids::read_id_opt(row, 8)?.map(EventId),
        hidden: row.get(9)?,
        photos: row.get::<_, i64>(10)?.unsigned_abs(),
        place: read_place(row, 11)?,
        record_json: row.get(16)?,
    })
}

/// One event's record.
pub(crate) fn event(conn: &Connection, id: EventId) -> Result<Option<EventRecord>, StoreError> {
    let json: Option<String> = conn
        .prepare_cached("SELECT data FROM events WHERE event_id = ?1")?
        .query_row([blob(&id.0)], |row| row.get(0))
        .optional()?;
    Ok(json.map(|json| serde_json::from_str(&json)).transpose()?)
}

/// The effective reading at or before an instant.
pub(crate) fn reading_before(
    conn: &Connection,
    vehicle: VehicleId,
    at: Millis,
) -> Result<Option<Reading>, StoreError> {
    let reading = conn
        .prepare_cached(
            "SELECT event_id, at, seq, miles, starts_segment FROM events
             WHERE vehicle_id = ?1 AND at <= ?2 AND miles IS NOT NULL AND hidden = 0
               AND state <> 'rejected'
             ORDER BY at DESC, seq IS NULL DESC, seq DESC LIMIT 1",
        )?
        .query_row(params![blob(&vehicle.0), at], |row| {
            Ok(Reading {
                event_id: EventId(read_id(row, 0)?),
                at: row.get(1)?,
                seq: row.get::<_, Option<i64>>(2)?.map_or(u64::MAX, i64::unsigned_abs),
                miles: row.get(3)?,
                starts_segment: row.get(4)?,
            })
        })
        .optional()?;
    Ok(reading)
}

/// Events of the same vehicle and type close in time; for the duplicate warning.
pub(crate) fn events_near(conn: &Connection, event: &Event) -> Result<Vec<Event>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT data FROM events
         WHERE vehicle_id = ?1 AND occurred_at BETWEEN ?2 AND ?3 AND hidden = 0 AND type = ?4
         LIMIT 5",
    )?;
    let window = limits::DUPLICATE_WINDOW_MS;
    let mut rows = statement.query(params![
        blob(&event.vehicle_id.0),
        event.occurred_at.saturating_sub(window),
        event.occurred_at.saturating_add(window),
        event.canonical_type(),
    ])?;
    let mut near = Vec::new();
    while let Some(row) = rows.next()? {
        let record: EventRecord = serde_json::from_str(row.get_ref(0)?.as_str().unwrap_or(""))?;
        near.push(record.event);
    }
    Ok(near)
}

const VEHICLE: &str = "SELECT v.id, v.label, v.deleted_at, v.state, v.refused, v.conflicts,
       v.garage_id, v.year, v.make, v.model, v.trim, v.color, v.vin, v.license_plate, v.nickname,
       v.manufacturer_mpg, v.manufacturer_service_interval_miles, v.current_mileage_override,
       v.timezone, v.hero_photo,
       (SELECT miles FROM events e
        WHERE e.vehicle_id = v.id AND e.miles IS NOT NULL AND e.hidden = 0
          AND e.state <> 'rejected'
        ORDER BY e.at DESC, e.seq IS NULL DESC, e.seq DESC LIMIT 1),
       p.latitude, p.longitude, p.accuracy_m, p.address, p.place_from
     FROM vehicles v LEFT JOIN events p ON p.n = (
       SELECT n FROM events e
       WHERE e.vehicle_id = v.id AND e.latitude IS NOT NULL AND e.hidden = 0
         AND e.state <> 'rejected'
       ORDER BY e.occurred_at DESC, e.event_id DESC LIMIT 1)";

/// Live vehicles by name.
pub(crate) fn vehicles(conn: &Connection) -> Result<Vec<VehicleEntry>, StoreError> {
    let sql = format!("{VEHICLE} WHERE v.deleted_at IS NULL ORDER BY v.label, v.id");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    let mut vehicles = Vec::new();
    while let Some(row) = rows.next()? {
        vehicles.push(read_vehicle(row)?);
    }
    Ok(vehicles)
}

/// One vehicle, deleted or not.
pub(crate) fn vehicle(
    conn: &Connection,
    id: VehicleId,
) -> Result<Option<VehicleEntry>, StoreError> {
    let mut statement = conn.prepare_cached(&format!("{VEHICLE} WHERE v.id = ?1"))?;
    let mut rows = statement.query([blob(&id.0)])?;
    rows.next()?.map(read_vehicle).transpose()
}

fn read_vehicle(row: &Row<'_>) -> Result<VehicleEntry, StoreError> {
    let mut extra = serde_json::Map::new();
    if let Some(photo) = row.get::<_, Option<String>>(19)? {
        extra.insert("hero_photo".into(), photo.into());
    }
    let garage = match row.get_ref(6)? {
        rusqlite::types::ValueRef::Text(id) => uuid::Uuid::try_parse_ascii(id).ok(),
        _ => None,
    };
    // Whatever a document says: one odd number hides itself, not the list.
    let number = |column: usize| -> Result<Option<i32>, StoreError> {
        Ok(row.get::<_, Option<i64>>(column)?.and_then(|number| i32::try_from(number).ok()))
    };
    let vehicle = Vehicle {
        id: VehicleId(read_id(row, 0)?),
        garage_id: garage.map(GarageId),
        year: number(7)?,
        make: row.get(8)?,
        model: row.get(9)?,
        trim: row.get(10)?,
        color: row.get(11)?,
        vin: row.get(12)?,
        license_plate: row.get(13)?,
        nickname: row.get(14)?,
        manufacturer_mpg: number(15)?,
        manufacturer_service_interval_miles: number(16)?,
        current_mileage_override: row.get(17)?,
        timezone: row.get(18)?,
        deleted_at: row.get(2)?,
        extra,
    };
    Ok(VehicleEntry {
        name: row.get(1)?,
        miles: odometer::current_mileage(vehicle.current_mileage_override, row.get(20)?),
        last_place: read_place(row, 21)?,
        pending: 0,
        marks: read_marks(row, 3)?,
        vehicle,
    })
}

/// Live garages by name.
pub(crate) fn garages(conn: &Connection) -> Result<Vec<Garage>, StoreError> {
    let Some(collection) = motomind_protocol::records::find("garages") else {
        return Ok(Vec::new());
    };
    let rows = super::records::rows(conn, collection, false)?;
    let garages = rows.into_iter().map(|mut row| {
        row.fields.entry("name").or_insert(row.label.into());
        Garage::from_fields(row.id, row.fields, row.deleted_at)
    });
    Ok(garages.collect::<Result<_, _>>()?)
}
