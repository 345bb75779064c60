//! A row of the Log table becomes a `fuel` event.

use motomind_protocol::{Fix, FixSource};
use serde_json::Value;

use super::decimal::Decimal;
use super::sections::Fields;
use super::units::Volume;
use super::when::When;
use super::{Context, Outcome, Parsed, leftovers};

/// Columns that the event itself holds, as written or beside what they were converted to.
const HELD: &[&str] =
    &["data", "date", "odo", "odometer", "fuel", "price", "full", "missed", "city", "notes"];
/// The same, of a row whose position could be read.
const HELD_WITH_POSITION: &[&str] = &[
    "data",
    "date",
    "odo",
    "odometer",
    "fuel",
    "price",
    "full",
    "missed",
    "city",
    "notes",
    "latitude",
    "longitude",
];

/// Prices above this are not one of a gallon in any currency with decimals; they stay in
/// `payload.fuelio` alone.
const MILLIPRICE_MAX: i64 = 1_000_000;

pub(super) fn fuel(row: &Fields<'_>, context: &Context<'_>) -> Result<Outcome, String> {
    let date = row.get("data").or(row.get("date")).ok_or("the date is empty")?;
    let when = When::parse(date, context.date_pattern.as_deref())
        .ok_or(format!("\"{date}\" is not a date"))?;
    let mut event = context.event("fuel", &when);
    let odometer = row.get("odo").or(row.get("odometer"));
    if let Some(odometer) = odometer {
        context.set_odometer(&mut event, odometer)?;
    }
    if let Some(price) = row.get("price") {
        context.set_amount(&mut event, price)?;
    }
    let mut payload = std::mem::take(&mut event.payload);
    let quantity = row.get("fuel");
    if let Some(text) = quantity {
        set_quantity(&mut payload, text, row, context)?;
    }
    for (column, key) in [("full", "full_tank"), ("missed", "missed_previous_fill")] {
        // Fuelio also writes 2 for full, where there are two tanks.
        if let Some(flag) = row.get(column) {
            payload.insert(key.into(), Value::Bool(flag != "0"));
        }
    }
    event.vendor = row.get("stationid").and_then(|id| context.stations.get(id).cloned());
    let texts = [
        ("grade", row.get("fueltype").and_then(grade)),
        ("station", event.vendor.clone()),
        ("station_address", row.get("city").map(str::to_string)),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            payload.insert(key.into(), Value::String(text));
        }
    }
    event.notes = row.get("notes").map(str::to_string);
    let mut remarks = Vec::new();
    match position(row) {
        Ok(fix) => event.fix = fix,
        Err(reason) => remarks.push(reason),
    }
    let held = if remarks.is_empty() { HELD_WITH_POSITION } else { HELD };
    if let Some(rest) = leftovers(row, held) {
        payload.insert("fuelio".into(), rest);
    }
    event.payload = payload;
    let key = key(
        &when,
        &[odometer, quantity, row.get("price"), row.get("tanknumber"), row.get("uniqueid")],
    );
    Ok(Outcome::Event(Box::new(Parsed { event, when, key: format!("Log\n{key}"), remarks })))
}

/// What states the fact, in normal form: numbers without their trailing zeros.
pub(super) fn key(when: &When, parts: &[Option<&str>]) -> String {
    let mut key = when.normal_form();
    for part in parts {
        key.push('\n');
        if let Some(text) = part {
            let number = Decimal::parse(text).map(Decimal::normal_form);
            key.push_str(&number.unwrap_or_else(|| (*text).to_string()));
        }
    }
    key
}

type Payload = serde_json::Map<String, Value>;

/// What was filled: US gallons where the unit is a volume, and the quantity as written beside it
/// where it is not US gallons already. A quantity of zero is Fuelio's "not given".
fn set_quantity(
    payload: &mut Payload,
    text: &str,
    row: &Fields<'_>,
    context: &Context<'_>,
) -> Result<(), String> {
    let quantity = Decimal::parse(text).ok_or(format!("\"{text}\" is not a quantity of fuel"))?;
    if quantity.is_zero() {
        return Ok(());
    }
    // A charge is kilowatt hours whatever the header says.
    let electric = row.get("fueltype").is_some_and(|code| code.len() == 3 && code.starts_with('6'));
    let unit = if electric { Some(Volume::Other("kwh".into())) } else { context.volume.clone() };
    let unit = unit.ok_or("the file does not say in which unit the fuel is")?;
    if let Some(milligallons) = unit.milligallons(quantity) {
        payload.insert("gallons".into(), Value::from(milligallons as f64 / 1_000.0));
    }
    if unit != Volume::UsGallons || quantity.decimals() > 3 {
        payload.insert("original_quantity".into(), quantity.to_json());
        payload.insert("original_quantity_unit".into(), Value::String(unit.name().into()));
    }
    let price = row.get("volumeprice").and_then(Decimal::parse).filter(|price| !price.is_zero());
    if let Some(price) = price.and_then(|price| unit.milliprice_per_gallon(price))
        && (0..=MILLIPRICE_MAX).contains(&price)
    {
        payload.insert("price_per_gallon".into(), Value::from(price as f64 / 1_000.0));
    }
    Ok(())
}

/// The position that a person gave the fill; 0,0 is Fuelio's "none".
fn position(row: &Fields<'_>) -> Result<Option<Fix>, String> {
    let (latitude, longitude) = match (row.get("latitude"), row.get("longitude")) {
        (None, None) => return Ok(None),
        (latitude, longitude) => (latitude.unwrap_or_default(), longitude.unwrap_or_default()),
    };
    let degrees = |text: &str, max: f64| {
        let value = Decimal::parse(text)?.to_json().as_f64()?;
        (-max..=max).contains(&value).then_some(value)
    };
    match (degrees(latitude, 90.0), degrees(longitude, 180.0)) {
        (Some(latitude), Some(longitude)) if latitude == 0.0 && longitude == 0.0 => Ok(None),
        (Some(latitude), Some(longitude)) => {
            Ok(Some(Fix::at(latitude, longitude, FixSource::Manual)))
        }
        _ => Err(format!(
            "imported without its position: \"{latitude}\", \"{longitude}\" is not one"
        )),
    }
}

/// The grade of a Fuelio fuel code; `None` for a code that we do not know (it stays in
/// `payload.fuelio`).
fn grade(code: &str) -> Option<String> {
    const GASOLINE: [&str; 18] = [
        "85", "87", "88", "89", "90", "91", "92", "93", "94", "95", "95+", "98", "98+", "100",
        "86", "96", "97", "102",
    ];
    const DIESEL: [&str; 17] = [
        "ON",
        "ON+",
        "1D",
        "2D",
        "4D",
        "ULSD",
        "B2",
        "B5",
        "B20",
        "B99",
        "B100",
        "B95",
        "ULSD 10 ppm",
        "ULSD 50 ppm",
        "SD 500 ppm",
        "DEF",
        "AdBlue",
    ];
    const ETHANOL: [&str; 10] =
        ["E5", "E10", "E22", "E50", "E85", "E93", "E100", "E70", "E27", "E15"];
    let code: usize = code.parse().ok()?;
    let (family, grades): (&str, &[&str]) = match code / 100 {
        1 => ("Gasoline", &GASOLINE),
        2 => ("Diesel", &DIESEL),
        3 => ("Ethanol", &ETHANOL),
        4 => ("LPG", &[]),
        5 => ("CNG", &[]),
        6 => ("Electricity", &[]),
        7 => ("Flex", &[]),
        _ => return None,
    };
    let grade = (code % 100).checked_sub(1).and_then(|index| grades.get(index));
    Some(grade.map_or_else(|| family.to_string(), |grade| format!("{family} {grade}")))
}
