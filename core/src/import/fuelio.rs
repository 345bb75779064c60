//! Fuelio's CSV export: fuel fills and costs become events of one vehicle.
//!
//! The file is several tables in one, each headed by a line such as `"## Log"` and a row of column
//! names. Log rows become `fuel` events; cost rows become `maintenance`, `inspection`, `document`
//! or `expense` by their category ([`CostType`]). Everything else is listed as ignored.
//!
//! - **Importing twice changes nothing.** An event's id is a UUIDv5 of the vehicle, the table and
//!   what states the fact (time, odometer, quantity, amount, title, category, `UniqueId`), written
//!   in a normal form, so `12424` and `12424.0` are one fact. Capturing an id twice is one
//!   capture. A row that was edited in Fuelio is another fact and comes in beside the old one.
//! - **Nothing is made up.** Empty columns stay absent; a position of exactly 0,0 is Fuelio's
//!   "none". The measured text of every column that was converted, or that has no place in an
//!   event, stays under `payload.fuelio` with the column's own name.
//! - **Numbers are decimal text**, never floats: amounts come to minor units, kilometres to whole
//!   miles and any volume to thousandths of a US gallon, each rounded once, half away from zero.
//! - **One bad row is one line of the report.** It never stops the rows after it.
//! - A row dated by its day alone is placed at noon, or at the nearest time of that day at which
//!   its odometer reading fits between the file's timed ones. Its `date` is exact either way.
//! - Readings carry `confirmed_jump: true`: the person confirmed them by importing.
//!
//! Events come back in the order of time, then odometer: captured in that order they satisfy the
//! odometer rule wherever the file does.
//!
//! ```no_run
//! use motomind_core::{Capture, Device, import::fuelio};
//! # fn example(device: &mut Device, vehicle: motomind_core::protocol::VehicleId, now: i64)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! let offset = fuelio::offsets_of(chrono::Utc); // or a `chrono_tz::Tz`
//! let zone = fuelio::Zone { name: "UTC", offset: &offset };
//! let import = fuelio::read(&std::fs::read("fuelio.csv")?, &fuelio::Options::new(vehicle, zone))?;
//! let captures = import.drafts.into_iter().map(|draft| Capture::from(draft.event)).collect();
//! for result in device.capture_all(captures, now)? {
//!     result?; // `IdReused`: this row was imported before, with other choices or other notes
//! }
//! # Ok(()) }
//! ```

mod costs;
mod decimal;
mod log;
mod report;
mod sections;
mod units;
mod when;

use std::collections::BTreeMap;

use motomind_protocol::{Event, VehicleId, validate};
use serde_json::{Map, Value};
use uuid::Uuid;

use self::decimal::Decimal;
pub use self::report::{FileVehicle, Report, RowNote};
use self::sections::{Fields, Section};
use self::units::{Distance, Volume};
use self::when::When;
pub use self::when::{Zone, offsets_of};

/// The largest file that is read, bytes. A fill a day for fifty years is 4 MiB.
pub const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What the ids of imported events are derived under.
const NAMESPACE: Uuid = Uuid::from_u128(0x5f1d_7c1e_94a3_4c0b_8e56_27d0_b1f4_6a93);

/// What the person chose before importing.
#[derive(Clone)]
pub struct Options<'a> {
    /// The vehicle that the file is about.
    pub vehicle_id: VehicleId,
    /// The time zone that the file's clock times are in.
    pub zone: Zone<'a>,
    /// ISO 4217 code of the file's amounts. Fuelio's export does not say; `None` takes a
    /// `Currency` column of the Vehicle table if there is one, else leaves it out, which means USD.
    pub currency: Option<String>,
    /// What rows of a cost category become, by the category's `CostTypeID` or its name; wins over
    /// the built-in rules.
    pub categories: BTreeMap<String, CostType>,
}

impl<'a> Options<'a> {
    /// No choices besides the vehicle and the zone.
    #[must_use]
    pub fn new(vehicle_id: VehicleId, zone: Zone<'a>) -> Self {
        Self { vehicle_id, zone, currency: None, categories: BTreeMap::new() }
    }
}

/// What a cost row becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CostType {
    /// A `maintenance` event.
    Maintenance,
    /// An `inspection` event.
    Inspection,
    /// A `document` event with `doc_type: insurance`.
    Insurance,
    /// A `document` event with `doc_type: registration`.
    Registration,
    /// An `expense` event.
    Expense,
    /// Nothing: reported as skipped.
    Skip,
}

/// A file that cannot be read at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// It holds nothing.
    #[error("the file is empty")]
    Empty,
    /// It is over [`FILE_BYTES_MAX`].
    #[error("the file takes {bytes} bytes; at most {max} are read", max = FILE_BYTES_MAX)]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It is a zip, as Fuelio's whole backup is.
    #[error("this is a packed backup: unpack it and import the .csv of one vehicle")]
    Packed,
    /// It has none of Fuelio's tables.
    #[error("not a Fuelio export: there is no line \"## Vehicle\", \"## Log\" or \"## Costs\"")]
    NotFuelio,
}

/// What came out of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// The events to capture, in this order.
    pub drafts: Vec<Draft>,
    /// What happened to every row.
    pub report: Report,
}

/// An event that a row became.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// 1-based line of the file at which the row begins.
    pub line: u64,
    /// The event; it passes [`validate`].
    pub event: Event,
}

/// What became of one row.
enum Outcome {
    Event(Box<Parsed>),
    Skipped(String),
}

/// An event, and what is still needed to give it its id and its instant.
struct Parsed {
    event: Event,
    when: When,
    /// The normal form of what states the fact.
    key: String,
    remarks: Vec<String>,
}

/// What every row of the file needs to know.
struct Context<'a> {
    options: &'a Options<'a>,
    currency: Option<String>,
    distance: Option<Distance>,
    volume: Option<Volume>,
    date_pattern: Option<String>,
    /// `CostTypeID` → name.
    cost_categories: BTreeMap<String, String>,
    /// `StationID` → brand.
    stations: BTreeMap<String, String>,
}

/// Reads an export. The same bytes and options always give the same events.
///
/// # Errors
/// [`ImportError`] when the file as a whole is not a Fuelio export; a bad row is in the report.
pub fn read(bytes: &[u8], options: &Options<'_>) -> Result<Import, ImportError> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(ImportError::TooLarge { bytes: bytes.len() });
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(ImportError::Packed);
    }
    let text = sections::decode(bytes);
    if text.trim().is_empty() {
        return Err(ImportError::Empty);
    }
    let sections = sections::split(&text);
    let named = |name: &str| sections.iter().find(|section| section.is(name));
    if ["vehicle", "log", "costs"].into_iter().all(|name| named(name).is_none()) {
        return Err(ImportError::NotFuelio);
    }
    let context = context(&sections, options);
    let mut report = Report { vehicle: file_vehicle(named("vehicle")), ..Report::default() };
    let mut rows: Vec<(u64, Parsed)> = Vec::new();
    for section in &sections {
        let outcomes: &dyn Fn(&Fields<'_>) -> Result<Outcome, String> = if section.is("log") {
            &|fields| log::fuel(fields, &context)
        } else if section.is("costs") {
            &|fields| costs::cost(fields, &context)
        } else {
            if !["vehicle", "costcategories"].iter().any(|name| section.is(name)) {
                report.ignored.push((section.name.clone(), section.rows.len()));
            }
            continue;
        };
        read_rows(section, outcomes, &mut rows, &mut report);
    }
    let drafts = finish(rows, options, &mut report);
    Ok(Import { drafts, report })
}

fn context<'a>(sections: &[Section], options: &'a Options<'a>) -> Context<'a> {
    let named = |name: &str| sections.iter().find(|section| section.is(name));
    let vehicle = named("vehicle").and_then(Section::first);
    let of_vehicle = |column: &str| vehicle.as_ref().and_then(|fields| fields.get(column));
    let log = named("log");
    let unit = |prefix: &str| log.and_then(|log| log.unit(prefix));
    let lookup = |section: &str, key: &str, value: &str| -> BTreeMap<String, String> {
        let rows = named(section).into_iter().flat_map(Section::readable);
        rows.filter_map(|row| Some((row.get(key)?.to_string(), row.get(value)?.to_string())))
            .collect()
    };
    let currency = options.currency.clone().or_else(|| {
        let code = of_vehicle("currency")?.to_ascii_uppercase();
        (code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase())).then_some(code)
    });
    Context {
        options,
        currency,
        distance: unit("odo")
            .and_then(|unit| Distance::named(&unit))
            .or_else(|| Distance::coded(of_vehicle("distunit")?)),
        volume: unit("fuel")
            .map(|unit| Volume::named(&unit))
            .or_else(|| Volume::coded(of_vehicle("fuelunit")?)),
        date_pattern: of_vehicle("importcsvdateformat").and_then(when::pattern),
        cost_categories: lookup("costcategories", "costtypeid", "name"),
        stations: lookup("favstations", "stationid", "namebrand"),
    }
}

fn file_vehicle(section: Option<&Section>) -> FileVehicle {
    let Some(fields) = section.and_then(Section::first) else {
        return FileVehicle::default();
    };
    let text = |column: &str| fields.get(column).unwrap_or_default().to_string();
    FileVehicle {
        name: text("name"),
        make: text("make"),
        model: text("model"),
        year: text("year"),
        plate: text("plate"),
        vin: text("vin"),
    }
}

fn read_rows(
    section: &Section,
    outcome: &dyn Fn(&Fields<'_>) -> Result<Outcome, String>,
    out: &mut Vec<(u64, Parsed)>,
    report: &mut Report,
) {
    let note = |line: u64, reason: String| RowNote { line, section: section.name.clone(), reason };
    for row in &section.rows {
        let read = match &row.fields {
            Ok(values) => outcome(&section.fields(values)),
            Err(reason) => Err(reason.clone()),
        };
        match read {
            Ok(Outcome::Event(mut parsed)) => {
                let remarks = std::mem::take(&mut parsed.remarks);
                report.remarks.extend(remarks.into_iter().map(|text| note(row.line, text)));
                out.push((row.line, *parsed));
            }
            Ok(Outcome::Skipped(reason)) => report.skipped.push(note(row.line, reason)),
            Err(reason) => report.refused.push(note(row.line, reason)),
        }
    }
}

/// Gives every event its instant and its id, checks it, and puts them in order.
fn finish(mut rows: Vec<(u64, Parsed)>, options: &Options<'_>, report: &mut Report) -> Vec<Draft> {
    when::place_timeless(&mut rows);
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut drafts = Vec::with_capacity(rows.len());
    for (line, Parsed { mut event, when, key, .. }) in rows {
        // Rows that say exactly the same are as many facts as there are rows: two tolls in a minute.
        let copies = seen.entry(key.clone()).or_default();
        *copies += 1;
        event.id =
            Uuid::new_v5(&NAMESPACE, format!("{}\n{key}\n{copies}", options.vehicle_id).as_bytes())
                .into();
        let section = if event.kind == "fuel" { "Log" } else { "Costs" };
        let refuse = |reason: String| RowNote { line, section: section.into(), reason };
        let Some(occurred_at) = options.zone.utc_ms(when.local()) else {
            report.refused.push(refuse(format!(
                "{} is not a time in {}",
                when.local(),
                options.zone.name
            )));
            continue;
        };
        event.occurred_at = occurred_at;
        match validate(&event) {
            Ok(()) => drafts.push(Draft { line, event }),
            Err(violations) => {
                let reasons: Vec<String> = violations.into_iter().map(|v| v.message).collect();
                report.refused.push(refuse(reasons.join("; ")));
            }
        }
    }
    drafts.sort_by_key(|draft| (draft.event.occurred_at, draft.event.miles, draft.line));
    report.refused.sort_by_key(|note| note.line);
    report.imported = drafts.len();
    drafts
}

impl Context<'_> {
    /// An event of this file's vehicle; [`finish`] sets its id and instant.
    fn event(&self, kind: &str, when: &When) -> Event {
        let mut event = Event::new(
            Uuid::nil().into(),
            self.options.vehicle_id,
            kind,
            0,
            when.local().date(),
            self.options.zone.name,
        );
        event.payload.insert("source".into(), Value::String("fuelio".into()));
        event
    }

    /// Puts an odometer text into the event: whole miles, the reading as written beside it.
    fn set_odometer(&self, event: &mut Event, text: &str) -> Result<(), String> {
        let refused = || format!("\"{text}\" is not an odometer reading");
        let reading = Decimal::parse(text).ok_or_else(refused)?;
        let unit = self
            .distance
            .ok_or("the file does not say whether the odometer is in miles or kilometres")?;
        event.miles = Some(unit.miles(reading).ok_or_else(refused)?);
        event.payload.insert("confirmed_jump".into(), Value::Bool(true));
        if unit == Distance::Kilometres || reading.decimals() > 0 {
            event.payload.insert("original_value".into(), reading.to_json());
            event.payload.insert("original_unit".into(), Value::String(unit.name().into()));
        }
        Ok(())
    }

    /// Puts an amount into the event, in minor units of the file's currency.
    fn set_amount(&self, event: &mut Event, text: &str) -> Result<(), String> {
        let refused = || format!("\"{text}\" is not an amount of money");
        let amount = Decimal::parse(text).ok_or_else(refused)?;
        let decimals = units::minor_decimals(self.currency.as_deref());
        event.total_minor = Some(amount.scaled(1, 1, decimals).ok_or_else(refused)?);
        event.currency.clone_from(&self.currency);
        if amount.decimals() > decimals {
            event.payload.insert("original_amount".into(), Value::String(text.into()));
        }
        Ok(())
    }
}

/// The columns that an event does not hold as written, under their own names.
fn leftovers(fields: &Fields<'_>, held: &[&str]) -> Option<Value> {
    let rest: Map<String, Value> = fields
        .iter()
        .filter(|(column, _, _)| !held.contains(&column.as_str()))
        .map(|(_, name, text)| (name.to_string(), Value::String(text.to_string())))
        .collect();
    (!rest.is_empty()).then_some(Value::Object(rest))
}
