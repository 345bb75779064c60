//! Fuelio exports as people have them, and as nobody should.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use chrono::{FixedOffset, MappedLocalTime, NaiveDateTime, Utc};
use chrono_tz::Tz;
use motomind_core::import::fuelio::{
    CostType, FILE_BYTES_MAX, Import, ImportError, Options, Zone, offsets_of, read,
};
use motomind_core::{Capture, Device, OpenOptions};
use motomind_protocol::{
    Event, FixSource, Identity, Reading, TenantId, UserId, VehicleId, odometer, validate,
};
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

const TRUCK: &[u8] = include_bytes!("data/f150-miles-us-gallons.csv");
const OCTAVIA: &[u8] = include_bytes!("data/octavia-km-litres.csv");
const VEHICLE: VehicleId = VehicleId(Uuid::from_u128(0xf150));

fn import(
    bytes: &[u8],
    zone: Tz,
    choose: impl Fn(&mut Options<'_>),
) -> Result<Import, ImportError> {
    let offset = offsets_of(zone);
    let mut options = Options::new(VEHICLE, Zone { name: zone.name(), offset: &offset });
    choose(&mut options);
    read(bytes, &options)
}

fn denver(bytes: &[u8]) -> Import {
    import(bytes, Tz::America__Denver, |_| {}).unwrap()
}

fn munich(bytes: &[u8]) -> Import {
    import(bytes, Tz::Europe__Berlin, |options| {
        options.currency = Some("EUR".into());
        options.categories = BTreeMap::from([("TÜV".into(), CostType::Inspection)]);
    })
    .unwrap()
}

/// A file with the given rows in its Log and Costs tables, kilometres and litres.
fn file(log: &[&str], costs: &[&str]) -> String {
    format!(
        "\"## Vehicle\"\n\"Name\",\"DistUnit\",\"FuelUnit\",\"ImportCSVDateFormat\"\n\"Golf\",\"0\",\"0\",\"dd.MM.yyyy\"\n\
         \"## Log\"\n\"Data\",\"Odo (km)\",\"Fuel (litres)\",\"Full\",\"Price (optional)\",\"latitude (optional)\",\"longitude (optional)\",\"Notes (optional)\",\"Missed\",\"FuelType\",\"UniqueId\"\n{}\n\
         \"## CostCategories\"\n\"CostTypeID\",\"Name\"\n\"1\",\"Service\"\n\"7\",\"Tolls\"\n\
         \"## Costs\"\n\"CostTitle\",\"Date\",\"Odo\",\"CostTypeID\",\"Notes\",\"Cost\",\"RemindOdo\",\"RemindDate\",\"isTemplate\",\"isIncome\"\n{}\n",
        log.join("\n"),
        costs.join("\n")
    )
}

fn one(log: &str) -> Result<Event, String> {
    let import = denver(file(&[log], &[]).as_bytes());
    match import.report.refused.first() {
        Some(note) => Err(note.reason.clone()),
        None => Ok(import.drafts[0].event.clone()),
    }
}

#[test]
fn four_years_of_a_truck_in_miles_and_gallons() {
    let Import { drafts, report } = denver(TRUCK);
    assert_eq!(report.vehicle.name, "F-150 \"Shop truck\"");
    assert_eq!((report.vehicle.make.as_str(), report.vehicle.year.as_str()), ("Ford", "2018"));
    let mut kinds = BTreeMap::new();
    for draft in &drafts {
        assert_eq!(validate(&draft.event), Ok(()));
        *kinds.entry(draft.event.kind.as_str()).or_insert(0) += 1;
    }
    let expected =
        [("document", 12), ("expense", 6), ("fuel", 118), ("inspection", 2), ("maintenance", 13)];
    assert_eq!(kinds, BTreeMap::from(expected));
    assert_eq!(report.imported, 151);

    let refused = &report.refused[..];
    assert_eq!(refused.len(), 1);
    assert_eq!((refused[0].line, refused[0].section.as_str()), (66, "Log"));
    assert_eq!(refused[0].reason, "\"n/a\" is not an odometer reading");
    let reasons: BTreeSet<&str> = report.skipped.iter().map(|note| note.reason.as_str()).collect();
    assert_eq!(report.skipped.len(), 3);
    assert!(reasons.contains("a reminder, not something that happened"));
    assert!(reasons.contains("a template, not something that happened"));
    assert!(reasons.contains("an income, not a cost"));
    assert_eq!(report.ignored, [("FavStations".into(), 4), ("Category".into(), 2)]);

    // "2025-08-15 16:39","67039","13.987","1","49.22","17.2","39.73915","-104.98470",…,"417203"
    let fill = &drafts.iter().find(|draft| draft.line == 8).unwrap().event;
    assert_eq!(fill.occurred_at, 1_755_297_540_000, "16:39 in Denver is 22:39 UTC in August");
    assert_eq!(fill.date.to_string(), "2025-08-15");
    assert_eq!(fill.timezone, "America/Denver");
    assert_eq!(
        (fill.miles, fill.total_minor, fill.currency.as_deref()),
        (Some(67_039), Some(4_922), None)
    );
    let fix = fill.fix.as_ref().unwrap();
    assert_eq!(
        (fix.latitude, fix.longitude, &fix.source),
        (39.739_15, -104.984_7, &FixSource::Manual)
    );
    assert_eq!(fill.vendor.as_deref(), Some("Maverik"));
    assert_eq!(fill.notes.as_deref(), Some("card reader broken, paid inside"));
    assert_eq!(
        serde_json::Value::Object(fill.payload.clone()),
        json!({
            "source": "fuelio", "gallons": 13.987, "price_per_gallon": 3.519, "full_tank": true,
            "missed_previous_fill": false, "confirmed_jump": true, "grade": "Gasoline 90",
            "station": "Maverik", "station_address": "Denver - Maverik Colfax",
            "fuelio": {
                "mpg (optional)": "17.2", "TankNumber": "1", "FuelType": "105", "VolumePrice": "3.519",
                "StationID (optional)": "417203", "ExcludeDistance": "0.0", "UniqueId": "116",
                "TankCalc": "0.0",
            },
        })
    );
}

#[test]
fn three_years_of_a_car_in_kilometres_and_litres_with_two_tanks() {
    let Import { drafts, report } = munich(OCTAVIA);
    assert_eq!(report.imported, 111, "{:?}", report.refused);
    assert_eq!(report.refused.len(), 1);
    assert_eq!((report.refused[0].line, report.refused[0].section.as_str()), (118, "Costs"));
    assert_eq!(report.refused[0].reason, "a quote is opened and never closed");
    let inspections = drafts.iter().filter(|draft| draft.event.kind == "inspection").count();
    assert_eq!(inspections, 2, "the person's own choice for a category that we cannot know");

    let lpg =
        drafts.iter().find(|draft| draft.event.payload["fuelio"]["TankNumber"] == "2").unwrap();
    assert_eq!(lpg.event.payload["grade"], "LPG");
    assert_eq!(lpg.event.payload["full_tank"], true, "Fuelio writes 2 for a full second tank");

    for Event { payload, miles, currency, .. } in drafts.iter().map(|draft| &draft.event) {
        assert_eq!(currency.as_deref(), Some("EUR"));
        if let (Some(miles), Some(km)) = (miles, payload.get("original_value")) {
            assert_eq!(payload["original_unit"], "km");
            assert_eq!(*miles as f64, (km.as_f64().unwrap() / 1.609_344).round());
        }
        if let (Some(gallons), Some(litres)) =
            (payload.get("gallons"), payload.get("original_quantity"))
        {
            let exact = litres.as_f64().unwrap() / 3.785_411_784;
            assert!((gallons.as_f64().unwrap() - exact).abs() <= 0.000_500_001);
        }
    }
    let service = drafts.iter().find(|draft| draft.event.kind == "maintenance").unwrap();
    assert_eq!(service.event.payload["kind"], "Ölwechsel und Inspektion");
    assert_eq!(service.event.notes.as_deref(), Some("Castrol EDGE 5W-30 LL\nÖlfilter, Luftfilter"));
}

#[test]
fn both_files_keep_the_odometer_rule_in_the_order_they_come() {
    for Import { drafts, .. } in [denver(TRUCK), munich(OCTAVIA)] {
        let readings: Vec<Reading> = (0u64..)
            .zip(&drafts)
            .filter_map(|(seq, draft)| Reading::of(&draft.event, draft.event.occurred_at, seq))
            .collect();
        assert!(readings.windows(2).all(|pair| pair[0].order() < pair[1].order()));
        assert_eq!(odometer::judge_timeline(&readings), Ok(()));
    }
}

#[test]
fn importing_twice_gives_the_same_ids_and_a_longer_file_keeps_the_old_ones() {
    let ids =
        |import: Import| -> BTreeSet<_> { import.drafts.into_iter().map(|d| d.event.id).collect() };
    let first = ids(denver(TRUCK));
    assert_eq!(first.len(), 151);
    assert_eq!(first, ids(denver(TRUCK)));

    // Half a year later: two more fills on top, and another version's way to write numbers.
    let text = String::from_utf8(TRUCK.to_vec()).unwrap();
    let header = text.find("\"2025-09-06").unwrap();
    let added = "\"2025-10-02 18:20\",\"68105\",\"12.1\",\"1\",\"43.4\"\n\"2025-09-20 07:02\",\"67840\",\"13.0\",\"1\",\"46.5\"\n";
    let later = format!("{}{added}{}", &text[..header], &text[header..])
        .replace("\"67290\"", "\"67290.0\"");
    let later = ids(denver(later.as_bytes()));
    assert_eq!(later.len(), 153);
    assert!(first.is_subset(&later));
}

#[test]
fn another_vehicle_gets_other_ids_and_equal_rows_are_as_many_facts() {
    let toll = "\"A9\",\"2024-05-01 10:00\",\"0\",\"7\",\"\",\"2.5\"";
    let text = file(&[], &[toll, toll]);
    let drafts = denver(text.as_bytes()).drafts;
    assert_eq!(drafts.len(), 2);
    assert_ne!(drafts[0].event.id, drafts[1].event.id);
    let other = import(text.as_bytes(), Tz::UTC, |options| {
        options.vehicle_id = VehicleId(Uuid::from_u128(2))
    });
    assert_ne!(other.unwrap().drafts[0].event.id, drafts[0].event.id);
}

#[test]
fn the_same_file_in_other_clothes_is_the_same_import() {
    let text = String::from_utf8(OCTAVIA.to_vec()).unwrap();
    let plain = munich(OCTAVIA).drafts;
    let bare = text.trim_start_matches('\u{feff}').to_string();
    let unix = munich(bare.replace("\r\n", "\n").as_bytes());
    assert_eq!(unix.drafts, plain);

    // A spreadsheet's: semicolons, every row padded to the same width, Windows-1252.
    let semicolons = bare.replace("\",\"", "\";\"").replace("\",,\"", "\";;\"");
    let semicolons =
        semicolons.replace("Škoda", "Skoda").replace("zpátky z dovolené", "zpatky z dovolene");
    let latin: Vec<u8> = semicolons.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let latin = munich(&latin).drafts;
    let ids = |drafts: &[motomind_core::import::fuelio::Draft]| -> Vec<_> {
        drafts.iter().map(|d| d.event.id).collect()
    };
    assert_eq!(ids(&latin), ids(&plain));
    let notes: Vec<_> = latin.iter().filter_map(|draft| draft.event.notes.clone()).collect();
    assert!(notes.contains(&"Autobahn, größtenteils 130".to_string()));
}

#[test]
fn imperial_gallons_and_units_that_only_the_vehicle_table_names() {
    let uk = "\"## Log\"\n\"Data\",\"Odo (mi)\",\"Fuel (uk gallons)\",\"Price (optional)\",\"VolumePrice\"\n\"2024-01-05 08:00\",\"100\",\"10\",\"60.00\",\"6.00\"\n";
    let event = &denver(uk.as_bytes()).drafts[0].event;
    assert_eq!(
        (&event.payload["gallons"], &event.payload["price_per_gallon"]),
        (&json!(12.009), &json!(4.996))
    );
    assert_eq!(
        (&event.payload["original_quantity"], &event.payload["original_quantity_unit"]),
        (&json!(10), &json!("uk_gal"))
    );

    let coded = "\"## Vehicle\"\n\"Name\",\"DistUnit\",\"FuelUnit\"\n\"X\",\"1\",\"1\"\n\"## Log\"\n\"Data\",\"Odo\",\"Fuel\"\n\"2024-01-05\",\"100\",\"10\"\n";
    let event = &denver(coded.as_bytes()).drafts[0].event;
    assert_eq!((event.miles, &event.payload["gallons"]), (Some(100), &json!(10.0)));

    let unknown = "\"## Log\"\n\"Data\",\"Odo\",\"Fuel\"\n\"2024-01-05\",\"100\",\"10\"\n";
    let report = denver(unknown.as_bytes()).report;
    assert_eq!(
        report.refused[0].reason,
        "the file does not say whether the odometer is in miles or kilometres"
    );
}

#[test]
fn a_charge_is_not_gallons() {
    let event =
        one("\"2024-01-05 08:00\",\"45210\",\"42.1\",\"1\",\"18.90\",,,,\"0\",\"602\",\"1\"")
            .unwrap();
    assert_eq!(event.payload.get("gallons"), None);
    assert_eq!(
        (&event.payload["original_quantity"], &event.payload["original_quantity_unit"]),
        (&json!(42.1), &json!("kwh"))
    );
    assert_eq!(event.total_minor, Some(1_890));
}

#[test]
fn rows_that_cannot_be_facts_are_refused_with_a_reason() {
    for (row, reason) in [
        ("\"\",\"1\",\"2\",\"1\",\"3\"", "the date is empty"),
        ("\"yesterday\",\"1\",\"2\",\"1\",\"3\"", "\"yesterday\" is not a date"),
        ("\"2024-13-01\",\"1\",\"2\",\"1\",\"3\"", "\"2024-13-01\" is not a date"),
        ("\"2024-01-01\",\"abc\",\"2\",\"1\",\"3\"", "\"abc\" is not an odometer reading"),
        ("\"2024-01-01\",\"-5\",\"2\",\"1\",\"3\"", "miles must be between 0 and 9999999"),
        ("\"2024-01-01\",\"99999999\",\"2\",\"1\",\"3\"", "miles must be between 0 and 9999999"),
        ("\"2024-01-01\",\"1\",\"NaN\",\"1\",\"3\"", "\"NaN\" is not a quantity of fuel"),
        ("\"2024-01-01\",\"1\",\"99999\",\"1\",\"3\"", "gallons must be above 0 and at most 1000"),
        ("\"2024-01-01\",\"1\",\"2\",\"1\",\"1.234,56\"", "\"1.234,56\" is not an amount of money"),
        (
            "\"2024-01-01\",\"1\",\"2\",\"1\",\"-3\"",
            "total_minor must be between 0 and 1000000000000",
        ),
        (
            "\"2024-01-01\",\"1\",\"0\",\"1\",\"\"",
            "a fuel event needs one of payload.gallons, total_minor",
        ),
        (
            "\"1750-01-01\",\"1\",\"2\",\"1\",\"3\"",
            "occurred_at must lie between 1900 and 9999, in UTC milliseconds; date must lie between 1900 and 9999",
        ),
        (
            "\"2024-01-01\",\"1\",\"2\",\"1\",\"3\",\"\",\"\",\"\",\"0\",\"110\",\"1\",\"too many\"",
            "12 fields where the table has 11 columns",
        ),
    ] {
        assert_eq!(one(row).map(|event| event.miles), Err(reason.to_string()), "{row}");
    }
}

#[test]
fn zero_is_a_value_and_empty_is_absent() {
    let event =
        one("\"2024-01-05 08:00\",\"0\",\"42.1\",\"0\",\"0.0\",\"0.0\",\"11.5\",,,,\"1\"").unwrap();
    assert_eq!((event.miles, event.total_minor), (Some(0), Some(0)));
    assert_eq!(event.fix.unwrap().latitude, 0.0, "the equator is a place");
    assert_eq!(event.payload["full_tank"], false);
    let event = one("\"2024-01-05 08:00\",\"\",\"42.1\",\"\",\"\",\"0.0\",\"0.0\"").unwrap();
    assert_eq!((event.miles, event.total_minor, event.fix), (None, None, None));
    assert_eq!(event.payload.get("full_tank"), None);
}

#[test]
fn a_position_that_is_none_is_left_out_and_said() {
    for (latitude, longitude) in [("91", "0.5"), ("48.1", ""), ("48.1", "N/A"), ("NaN", "11")] {
        let row = format!(
            "\"2024-01-05\",\"10\",\"2\",\"1\",\"3\",\"{latitude}\",\"{longitude}\",\"\",\"0\""
        );
        let import = denver(file(&[&row], &[]).as_bytes());
        assert_eq!(import.drafts[0].event.fix, None);
        assert_eq!(import.drafts[0].event.payload["fuelio"]["latitude (optional)"], latitude);
        assert!(import.report.remarks[0].reason.contains("without its position"));
    }
}

#[test]
fn a_day_without_a_time_is_placed_where_its_reading_fits() {
    let log = [
        "\"2024-05-02 18:30\",\"50400\",\"30\",\"1\",\"50\"",
        "\"2024-05-02 14:00\",\"50200\",\"30\",\"1\",\"50\"",
    ];
    let service = |odo: &str| {
        let cost = format!("\"Oil\",\"2024-05-02\",\"{odo}\",\"1\",\"\",\"80\"");
        let drafts = denver(file(&log, &[&cost]).as_bytes()).drafts;
        drafts.iter().map(|draft| draft.event.kind.clone()).collect::<Vec<_>>()
    };
    assert_eq!(service("50100"), ["maintenance", "fuel", "fuel"], "noon fits");
    assert_eq!(service("50300"), ["fuel", "maintenance", "fuel"]);
    assert_eq!(service("50500"), ["fuel", "fuel", "maintenance"]);
}

#[test]
fn local_times_that_come_twice_or_never() {
    let at = |time: &str| {
        let row = format!("\"{time}\",\"10\",\"2\",\"1\",\"3\"");
        one(&row).unwrap().occurred_at
    };
    let utc = |text: &str| {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap().and_utc().timestamp_millis()
    };
    assert_eq!(
        at("2024-11-03 01:30"),
        utc("2024-11-03 07:30"),
        "the first of two, still daylight time"
    );
    assert_eq!(at("2024-03-10 02:30"), utc("2024-03-10 09:30"), "as if not put forward yet");
    assert_eq!(at("10.03.2024 12:00"), utc("2024-03-10 18:00"), "the file's own order of the day");
    let nowhere = |_: &NaiveDateTime| MappedLocalTime::<FixedOffset>::None;
    let options = Options::new(VEHICLE, Zone { name: "Nowhere/At_All", offset: &nowhere });
    let report = read(TRUCK, &options).unwrap().report;
    assert_eq!((report.imported, report.refused.len()), (0, 152));
}

#[test]
fn files_that_are_not_an_export_are_named() {
    let error = |bytes: &[u8]| import(bytes, Tz::UTC, |_| {}).unwrap_err();
    assert_eq!(error(b""), ImportError::Empty);
    assert_eq!(error(b"\xef\xbb\xbf \r\n\n"), ImportError::Empty);
    assert_eq!(error(b"date,vehicle,amount\n2024-01-01,Golf,10\n"), ImportError::NotFuelio);
    assert_eq!(error(b"<html>## Log</html>"), ImportError::NotFuelio);
    assert_eq!(error(b"PK\x03\x04zip"), ImportError::Packed);
    assert_eq!(
        error(&vec![b' '; FILE_BYTES_MAX + 1]),
        ImportError::TooLarge { bytes: FILE_BYTES_MAX + 1 }
    );
    let nothing = import(b"\"## Log\"\n\"Data\",\"Odo (km)\"\n", Tz::UTC, |_| {}).unwrap();
    assert!(nothing.drafts.is_empty() && nothing.report.refused.is_empty());
}

#[test]
fn a_device_that_imports_twice_has_every_fact_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_string();
    let now = 1_760_000_000_000;
    let mut device = Device::open(OpenOptions {
        journal: path("journal.db"),
        mirror: path("mirror.db"),
        vfs: None,
        identity: Some(Identity {
            tenant_id: TenantId(Uuid::from_u128(1)),
            user_id: UserId(Uuid::from_u128(2)),
        }),
        key: None,
        seed: [7; 32],
        now,
    })
    .unwrap();
    for duplicate in [false, true] {
        let drafts = denver(TRUCK).drafts;
        let captures = drafts.into_iter().map(|draft| Capture::from(draft.event)).collect();
        let results = device.capture_all(captures, now).unwrap();
        assert_eq!(results.len(), 151);
        assert!(results.iter().all(|result| result.as_ref().unwrap().duplicate == duplicate));
    }
    assert_eq!(device.pending(now).unwrap().len(), 151);
}

fn total(bytes: &[u8]) -> Result<(), TestCaseError> {
    let offset = offsets_of(Utc);
    let mut options = Options::new(VEHICLE, Zone { name: "UTC", offset: &offset });
    for currency in [None, Some("JPY".to_string())] {
        options.currency = currency;
        let Ok(import) = read(bytes, &options) else {
            return Ok(());
        };
        prop_assert_eq!(import.drafts.len(), import.report.imported);
        for draft in &import.drafts {
            prop_assert_eq!(validate(&draft.event), Ok(()));
        }
        let again = read(bytes, &options).unwrap();
        prop_assert_eq!(again, import);
    }
    Ok(())
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        total(&bytes)?;
    }

    #[test]
    fn arbitrary_cells_never_panic(
        cells in prop::collection::vec(prop::collection::vec(
            prop_oneof![
                "[0-9]{1,20}[.,]?[0-9]{0,20}(E[-+]?[0-9]{1,11})?",
                "[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2})?",
                "-?[0-9]{1,3}[.][0-9]{1,6}", ".*", Just(String::new()), Just("\n\"## Costs\"\n".into()),
            ], 0..14), 0..12),
    ) {
        let rows: Vec<String> = cells
            .iter()
            .map(|row| row.iter().map(|cell| format!("\"{cell}\"")).collect::<Vec<_>>().join(","))
            .collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        total(file(&rows, &rows).as_bytes())?;
    }

    /// Every row is accounted for: a damaged byte never makes one disappear without a word.
    #[test]
    fn a_damaged_byte_costs_one_row_and_no_other(at in 0.0..1.0f64, byte in any::<u8>()) {
        let mut bytes = TRUCK.to_vec();
        let text = String::from_utf8_lossy(TRUCK);
        let (first, end) = (text.find("\"2025-09-06").unwrap(), text.find("\"## CostCat").unwrap());
        bytes[first + ((end - 1 - first) as f64 * at) as usize] = byte;
        let Import { report, .. } = denver(&bytes);
        let fuel = report.imported - 33 + report.refused.len();
        prop_assert!((118..=120).contains(&fuel), "119 rows, {} accounted for", fuel);
        prop_assert!(report.refused.len() <= 3, "{:?}", report.refused);
    }
}
