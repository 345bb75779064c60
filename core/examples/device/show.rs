//! Tables for people.

use std::sync::{Mutex, PoisonError};

use motomind_core::http::SyncEnd;
use motomind_core::protocol::place::{Place, PlaceFrom};
use motomind_core::protocol::{Event, Millis, VehicleId};
use motomind_core::{Device, Family, PendingItem, Status, TimelinePage, VehicleEntry};

use super::show_records;

pub(crate) type Shown = Result<(), Box<dyn std::error::Error>>;

/// Prints rows in columns as wide as their widest cell.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> Shown {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| -> Shown {
        let padded: Vec<String> =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        say!("{}", padded.join("  ").trim_end());
        Ok(())
    };
    line(&head.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    line(&widths.iter().map(|width| "─".repeat(*width)).collect::<Vec<_>>())?;
    rows.iter().try_for_each(|row| line(row))
}

fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

fn optional(number: Option<i64>) -> String {
    number.map(thousands).unwrap_or_default()
}

pub(crate) fn vehicles(vehicles: &[VehicleEntry]) -> Shown {
    let row = |entry: &VehicleEntry| {
        let vehicle = &entry.vehicle;
        let model = [&vehicle.make, &vehicle.model].map(|text| text.clone().unwrap_or_default());
        vec![
            entry.name.clone(),
            format!(
                "{} {}",
                vehicle.year.map(|y| y.to_string()).unwrap_or_default(),
                model.join(" ")
            ),
            vehicle.license_plate.clone().unwrap_or_default(),
            optional(entry.miles),
            if entry.pending > 0 { format!("{} unsent", entry.pending) } else { String::new() },
            vehicle.id.to_string(),
        ]
    };
    let rows: Vec<_> = vehicles.iter().map(row).collect();
    table(&["vehicle", "model", "plate", "miles", "", "id"], &rows)
}

pub(crate) fn timeline(vehicles: &[VehicleEntry], page: &TimelinePage) -> Shown {
    let mut rows = Vec::new();
    for entry in &page.entries {
        let event = entry.record()?.event;
        let mark = match (entry.hidden, entry.corrects) {
            (true, _) => "hidden",
            (false, Some(_)) => "corrected",
            (false, None) => "",
        };
        rows.push(vec![
            entry.date.clone(),
            name(vehicles, entry.vehicle_id),
            entry.kind.clone(),
            optional(entry.miles),
            money(&event),
            what(&event),
            entry.place.as_ref().map(place).unwrap_or_default(),
            if entry.photos > 0 { entry.photos.to_string() } else { String::new() },
            entry.state.as_str().to_owned(),
            mark.to_owned(),
        ]);
    }
    let head = ["day", "vehicle", "type", "miles", "cost", "what", "where", "photos", "state", ""];
    table(&head, &rows)?;
    if page.next.is_some() {
        say!("… older ones follow; give a larger --limit");
    }
    Ok(())
}

pub(crate) fn family(family: &Family) -> Shown {
    let mut rows = Vec::new();
    for member in &family.members {
        let event = member.entry.record()?.event;
        let standing = match (member.counts, member.retracted) {
            (true, _) => "counts",
            (false, true) => "retracted",
            (false, false) => "",
        };
        rows.push(vec![
            member.entry.event_id.to_string(),
            member.entry.kind.clone(),
            optional(member.entry.miles),
            money(&event),
            what(&event),
            instant(member.said_at),
            member.user_id.map(|user| user.to_string()).unwrap_or_default(),
            member.reason.clone().unwrap_or_default(),
            member.entry.state.as_str().to_owned(),
            standing.to_owned(),
        ]);
    }
    let head = ["event", "type", "miles", "cost", "what", "said", "by", "why", "state", ""];
    table(&head, &rows)
}

pub(crate) fn instant(at: Millis) -> String {
    let at = chrono::DateTime::from_timestamp_millis(at).unwrap_or_default();
    at.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn name(vehicles: &[VehicleEntry], id: VehicleId) -> String {
    let known = vehicles.iter().find(|entry| entry.vehicle.id == id);
    known.map_or_else(|| id.to_string(), |entry| entry.name.clone())
}

fn money(event: &Event) -> String {
    let Some(minor) = event.total_minor else {
        return String::new();
    };
    let currency = event.currency.as_deref().unwrap_or("USD");
    format!("{}.{:02} {currency}", thousands(minor / 100), minor % 100)
}

fn what(event: &Event) -> String {
    let keys = ["kind", "description", "result", "inspection_type", "doc_type", "gallons"];
    let value = keys.iter().find_map(|key| event.payload.get(*key).map(|value| (*key, value)));
    let fact = match value {
        Some(("gallons", gallons)) => format!("{gallons} gal"),
        Some((_, text)) => text.as_str().map_or_else(|| text.to_string(), str::to_owned),
        None => String::new(),
    };
    let parts = [Some(fact), event.vendor.clone(), event.notes.clone()];
    let parts: Vec<String> = parts.into_iter().flatten().filter(|text| !text.is_empty()).collect();
    short(&parts.join(" · "), 44)
}

/// The beginning of a text, so many characters on one line.
pub(crate) fn short(text: &str, chars: usize) -> String {
    let text = text.replace('\n', " ");
    let short: String = text.chars().take(chars).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

fn place(place: &Place) -> String {
    let accuracy = place.accuracy_m.map(|m| format!(" ±{m:.0} m")).unwrap_or_default();
    let corrected = if place.from == PlaceFrom::Correction { " (corrected)" } else { "" };
    format!("{:.4}, {:.4}{accuracy}{corrected}", place.latitude, place.longitude)
}

pub(crate) fn pending(device: &Device, items: &[PendingItem]) -> Shown {
    if items.is_empty() {
        say!("nothing is pending: the server has it all");
        return Ok(());
    }
    let vehicles = device.vehicles()?;
    let row = |item: &PendingItem| {
        let (about, said) = match (&item.event, &item.change) {
            (Some(event), _) => (name(&vehicles, event.vehicle_id), stated(event)),
            (None, Some(intent)) => {
                let id = intent.record_id.to_string();
                let label = show_records::label(device, &intent.collection, &id);
                let about = format!("{} {label}", intent.collection);
                (about, show_records::change(device, intent))
            }
            (None, None) => beside(&vehicles, item),
        };
        vec![
            item.op_id.to_string(),
            item.state.as_str().to_owned(),
            about,
            said,
            format!("{} s", item.age_ms / 1000),
            format!("{} B", item.bytes),
            item.reason.as_ref().map(|r| format!("{}: {}", r.code, r.message)).unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = items.iter().map(row).collect();
    table(&["operation", "state", "about", "what", "age", "size", "reason"], &rows)
}

/// What an operation says beside events and records.
fn beside(vehicles: &[VehicleEntry], item: &PendingItem) -> (String, String) {
    if let Some(said) = &item.photo {
        let what = if said.removed { "photo taken off" } else { "photo" };
        let photo = short(&said.photo.to_string(), 8);
        return (name(vehicles, said.vehicle_id), format!("{what} {photo}"));
    }
    if let Some(said) = &item.location {
        let what = if said.withdrawn { "place withdrawn" } else { "place" };
        let at = format!("{what} {:.4}, {:.4}", said.latitude, said.longitude);
        return (name(vehicles, said.vehicle_id), at);
    }
    let session = item.session.as_ref();
    session.map_or_else(Default::default, |session| {
        (name(vehicles, session.vehicle_id), format!("session {} is over", session.flow))
    })
}

fn stated(event: &Event) -> String {
    let miles = event.miles.map(|miles| format!(" {} mi", thousands(miles))).unwrap_or_default();
    format!("{}{miles}", event.kind)
}

pub(crate) fn status(status: &Status) -> Shown {
    say!("{}", serde_json::to_string_pretty(status)?);
    Ok(())
}

pub(crate) fn sync_end(device: &Mutex<Device>, end: &SyncEnd, now: Millis) -> Shown {
    let device = device.lock().unwrap_or_else(PoisonError::into_inner);
    let status = device.status(now)?;
    match end {
        SyncEnd::CaughtUp => {
            say!(
                "in sync at {} of {}; {} unsent, {} refused",
                status.seq,
                status.head,
                status.unsent,
                status.refused
            );
            Ok(())
        }
        SyncEnd::Later(at) => {
            let why = status.last_problem.unwrap_or_else(|| "an operation rests".into());
            let wait = at.saturating_sub(now).max(0) / 1000;
            Err(format!("cannot sync now ({why}); worth a try in {wait} s").into())
        }
        SyncEnd::Blocked(blocked) => Err(format!("syncing stopped: {blocked}").into()),
    }
}
