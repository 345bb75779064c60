//! The product's backup comes in losslessly, any number of times, with a report.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use motomind_protocol::EventRecord;
use motomind_server::backup_import::{ImportError, ImportReport, import};
use motomind_tests::postgres::{Database, Postgres, count};
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

fn id(number: u128) -> String {
    Uuid::from_u128(number).to_string()
}

fn backup() -> Value {
    let (t, u, g, v) = (id(0xa), id(0xb), id(0x10), id(0x20));
    json!({
        "timestamp": "2025-10-16T22:45:00Z",
        "tenants": [{"id": t, "name": "Fleet", "created_at": "2025-01-01T00:00:00Z"}, {"id": id(0xaa), "name": "Other"}],
        "users": [{"id": u, "tenant_id": t, "email": "ann@example.org", "full_name": "Ann", "preferences": {"units": "mi"}},
                  {"id": "not-a-uuid", "tenant_id": t, "email": "x@example.org"}],
        "garages": [{"id": g, "tenant_id": t, "name": "Depot", "address": "", "is_default": true, "lat": 0, "lng": 13.4, "created_by": u},
                    {"id": id(0x11), "tenant_id": t, "name": "Second", "is_default": true, "vehicle_count": 3}],
        "vehicles": [
            {"id": v, "tenant_id": t, "garage_id": g, "year": 2019, "make": "Ford", "vin": "1hgcm82633a004352",
             "display_name": "Van 1", "baseline_fuel_mpg": 24, "current_mileage_override": 0, "hero_image_url": "https://x/y.jpg"},
            {"id": id(0x21), "tenant_id": t, "garage_id": id(0x99), "year": 20255, "vin": "1HGCM82633A004352", "license_plate": "B-1"},
            {"id": id(0x22), "tenant_id": t, "vin": "SHORT", "deleted_at": "2025-02-02T10:00:00Z", "year": "about 2000"},
            {"id": id(0x23), "tenant_id": id(0xaa), "nickname": "Elsewhere"}],
        "vehicle_images": [{"id": id(0x30), "tenant_id": t, "vehicle_id": v, "public_url": "https://x/1.jpg"}],
        "reminders": [{"id": id(0x31), "vehicle_id": v, "title": "Oil", "due_miles": 60000}],
        "favorite_stations": [{"id": id(0x32), "tenant_id": t, "station_name": "Nord"}],
        "current_events": [
            {"id": id(0x40), "tenant_id": t, "vehicle_id": v, "type": "odometer", "date": "2025-01-05", "miles": 1000,
             "created_by": u, "created_at": "2025-01-05T08:00:00Z", "payload": {"source": "photo"}},
            {"id": id(0x41), "tenant_id": t, "vehicle_id": v, "type": "fuel", "date": "2025-01-10T17:30:00+00:00", "miles": 1200,
             "total_amount": 45.67, "gallons": "12.345", "fuel_grade": "Regular", "products": [], "vendor": "Nord",
             "notes": "a\u{0}b", "payload": {"station_name": "Nord 7", "confidence": 0.9}, "weather_temperature_f": 0},
            {"id": id(0x42), "tenant_id": t, "vehicle_id": v, "type": "odometer", "date": "2025-01-20", "miles": 900, "payload": null},
            {"id": id(0x43), "tenant_id": t, "vehicle_id": v, "type": "odometer", "date": "2025-01-21", "miles": 99_000,
             "deleted_at": "2025-01-22T09:00:00Z", "deletion_reason": "typo"},
            {"id": id(0x44), "tenant_id": t, "vehicle_id": v, "type": "dashboard_snapshot", "date": "2025-02-01",
             "payload": {"key_facts": {"fuel_eighths": 4, "coolant_temp": "normal"}, "oil_life_percent": "n/a"}},
            {"id": id(0x45), "tenant_id": t, "vehicle_id": v, "type": "maintenance", "date": "2025-02-03", "total_amount": -5, "payload": {}},
            {"id": id(0x46), "tenant_id": t, "vehicle_id": v, "type": "hologram", "date": "2025-02-04", "payload": {"any": [null, 1]}},
            {"id": id(0x47), "tenant_id": t, "vehicle_id": v, "type": "tire_tread", "date": "2025-02-05",
             "payload": {"position": "front_left", "depth_32nds": 6}},
            {"id": id(0x48), "tenant_id": t, "vehicle_id": id(0x77), "type": "parking", "date": "2025-02-05"},
            {"id": id(0x49), "tenant_id": t, "vehicle_id": v, "type": "parking", "date": "soon"},
            {"id": id(0x4a), "tenant_id": t, "vehicle_id": id(0x23), "type": "parking", "date": "2025-02-05"}],
        "legacy_events": {
            "odometer_readings": [{"id": id(0x50), "vehicle_id": v, "reading_date": "2024-12-01", "mileage": 800, "confidence_score": 0.8}],
            "fuel_logs": [
                {"id": id(0x51), "vehicle_id": v, "date": "2024-12-24", "time": "10:15", "total_amount": 30, "currency": "USD",
                 "gallons": 9.5, "fuel_type": "Diesel", "station_name": "Süd", "odometer_reading": 900,
                 "location_lat": 0, "location_lng": 13.5},
                {"id": id(0x41), "vehicle_id": v, "date": "2025-01-10", "total_amount": 45.67}],
            "service_records": [{"id": id(0x52), "vehicle_id": v, "service_date": "2024-12-28", "service_type": "oil_change",
                 "total_cost": 0, "labor_cost": 12.5, "shop_name": "Werkstatt", "odometer_reading": 950,
                 "service_items": [{"item": "Filter", "cost": 7.25, "type": "parts"}]}]
        }
    })
}

async fn imported(client: &mut Client, backup: &Value) -> ImportReport {
    import(client, backup).await.unwrap()
}

fn counts(report: &ImportReport, source: &str) -> (u64, u64, usize, usize) {
    let one = &report.sources[source];
    (one.mapped, one.unchanged, one.kept.len(), one.refused.len())
}

async fn record(client: &Client, number: u128) -> EventRecord {
    let query = "SELECT record FROM event_records WHERE id = $1";
    let row = client.query_one(query, &[&Uuid::from_u128(number)]).await.unwrap();
    serde_json::from_str(row.get(0)).unwrap()
}

async fn everything(database: &Database) -> Vec<String> {
    let admin = database.admin().await;
    let mut all = Vec::new();
    for table in [
        "tenants",
        "profiles",
        "garages",
        "vehicles",
        "reminders",
        "vehicle_events",
        "event_registry",
        "change_log",
    ] {
        let rows = format!("SELECT '{table} ' || t::text FROM {table} t ORDER BY 1");
        all.extend(
            admin.query(&rows, &[]).await.unwrap().iter().map(|row| row.get::<_, String>(0)),
        );
    }
    all
}

#[tokio::test]
async fn a_backup_is_mapped_kept_or_refused_with_reasons() {
    let database = Postgres::shared().database().await;
    let mut client = database.admin().await;
    let report = imported(&mut client, &backup()).await;
    assert_eq!(counts(&report, "tenants"), (2, 0, 0, 0));
    assert_eq!(counts(&report, "users"), (1, 0, 0, 1));
    assert_eq!(counts(&report, "garages"), (1, 0, 1, 0));
    assert_eq!(counts(&report, "vehicles"), (2, 0, 2, 0));
    assert_eq!(counts(&report, "reminders"), (1, 0, 0, 0));
    for kept in ["vehicle_images", "favorite_stations"] {
        assert_eq!(counts(&report, kept), (0, 0, 1, 0), "{kept}");
    }
    // Kept as other: the reading below an earlier one, the oil life that is no number, maintenance without a kind.
    assert_eq!(
        counts(&report, "current_events"),
        (5, 0, 3, 3),
        "{:#?}",
        report.sources["current_events"]
    );
    assert_eq!(counts(&report, "odometer_readings"), (1, 0, 0, 0));
    assert_eq!(counts(&report, "fuel_logs"), (1, 0, 1, 0));
    assert_eq!(counts(&report, "service_records"), (1, 0, 0, 0));
    for source in report.sources.values() {
        for note in source.kept.iter().chain(&source.refused) {
            assert!(
                !note.reasons.is_empty() && note.reasons.iter().all(|reason| !reason.is_empty()),
                "{note:?}"
            );
        }
    }

    let fuel = record(&client, 0x41).await.event;
    assert_eq!(
        (fuel.miles, fuel.total_minor, fuel.vendor.as_deref()),
        (Some(1200), Some(4567), Some("Nord"))
    );
    assert_eq!(fuel.payload["gallons"], json!(12.345));
    assert_eq!(
        (&fuel.payload["grade"], &fuel.payload["station"]),
        (&json!("Regular"), &json!("Nord 7"))
    );
    assert_eq!(fuel.payload["weather_temperature_f"], json!(0));
    assert_eq!(fuel.notes.as_deref(), Some("a\u{fffd}b"));
    assert!(!fuel.payload.contains_key("time_of_day_unknown"));
    let legacy = record(&client, 0x51).await.event;
    assert_eq!(
        (legacy.miles, legacy.total_minor),
        (Some(900), Some(3000)),
        "the odometer reading comes along"
    );
    assert_eq!(legacy.fix.unwrap().latitude, 0.0);
    assert_eq!(legacy.payload["time"], json!("10:15"));
    let service = record(&client, 0x52).await.event;
    assert_eq!((service.total_minor, service.vendor.as_deref()), (Some(0), Some("Werkstatt")));
    assert_eq!(service.payload["labor_minor"], json!(1250));
    assert_eq!(service.payload["line_items"][0]["amount_minor"], json!(725));
    let low = record(&client, 0x42).await.event;
    assert_eq!(
        (low.kind.as_str(), low.miles, &low.payload["imported_miles"]),
        ("imported_odometer", None, &json!(900))
    );
    let snapshot = record(&client, 0x44).await.event;
    assert_eq!(
        (&snapshot.payload["fuel_eighths"], &snapshot.payload["coolant"]),
        (&json!(4), &json!("normal"))
    );
    assert_eq!(record(&client, 0x47).await.event.payload["treads"], json!({"fl": 6}));
    assert_eq!(record(&client, 0x46).await.event.payload["any"], json!([null, 1]));
    let first = record(&client, 0x40).await;
    assert_eq!(first.event.date.to_string(), "2025-01-05");
    assert_eq!(
        (first.user_id.map(|user| user.0), &first.event.payload["logged_by"]),
        (Some(Uuid::from_u128(0xb)), &json!(id(0xb)))
    );
    // The deleted reading is there, taken back, and counts for nothing.
    let effective = "SELECT count(*) FROM active_events WHERE miles = 99000";
    assert_eq!(count(&client, effective).await, 0);
    let reason =
        "SELECT count(*) FROM vehicle_events WHERE type = 'retraction' AND reason = 'typo'";
    assert_eq!(count(&client, reason).await, 1);
    let van = "SELECT count(*) FROM vehicles WHERE vin = '1HGCM82633A004352' AND nickname = 'Van 1' AND manufacturer_mpg = 24
                AND current_mileage_override = 0 AND garage_id IS NOT NULL";
    assert_eq!(count(&client, van).await, 1);
    let reminder = "SELECT count(*) FROM reminders WHERE title = 'Oil' AND due_miles = 60000 AND status = 'active'";
    assert_eq!(count(&client, reminder).await, 1);
    // Devices get to know all of it: every record waits to be taken into its document.
    assert_eq!(count(&client, "SELECT count(*) FROM record_queue").await, 1 + 2 + 4 + 1);
    // Every row of the file that names a tenant is kept whole.
    assert_eq!(count(&client, "SELECT count(*) FROM imported_rows").await, 28);
    assert_eq!(
        count(&client, "SELECT count(*) FROM imported_rows WHERE row LIKE '%hero_image_url%'")
            .await,
        1
    );
}

#[tokio::test]
async fn a_second_import_changes_nothing_and_mends_what_was_refused() {
    let database = Postgres::shared().database().await;
    let mut client = database.admin().await;
    let mut backup = backup();
    let first = imported(&mut client, &backup).await;
    let before = everything(&database).await;
    let second = imported(&mut client, &backup).await;
    assert_eq!(everything(&database).await, before);
    for (name, source) in &second.sources {
        let (then, now) = (&first.sources[name], source);
        assert_eq!((now.mapped, &now.refused), (0, &then.refused), "{name}");
        assert_eq!(now.unchanged as usize, then.mapped as usize + then.kept.len(), "{name}");
    }
    // The missing vehicle arrives with a later backup; its event comes in, all else stands.
    let vehicles = backup["vehicles"].as_array_mut().unwrap();
    vehicles.push(json!({"id": id(0x77), "tenant_id": id(0xa), "nickname": "Late"}));
    vehicles[0]["nickname"] = json!("Renamed in the product");
    let third = imported(&mut client, &backup).await;
    assert_eq!(counts(&third, "vehicles"), (1, 3, 1, 0));
    assert_eq!(third.sources["current_events"].mapped, 1);
    assert_eq!(record(&client, 0x48).await.event.kind, "parking");
    assert_eq!(count(&client, "SELECT count(*) FROM vehicles WHERE nickname = 'Van 1'").await, 1);
}

#[tokio::test]
async fn what_is_no_backup_is_refused_as_a_whole() {
    let database = Postgres::shared().database().await;
    let mut client = database.admin().await;
    for not in [json!([]), json!({"hello": 1}), json!(null)] {
        assert!(
            matches!(import(&mut client, &not).await, Err(ImportError::NotABackup(_))),
            "{not}"
        );
    }
    let odd = json!({"tenants": [{"id": id(1), "name": ""}, 7], "vehicles": ["x", {}, {"id": id(2), "make": 5}], "current_events": null});
    let report = imported(&mut client, &odd).await;
    assert_eq!(counts(&report, "tenants"), (1, 0, 0, 1));
    assert_eq!(counts(&report, "vehicles"), (1, 0, 0, 2));
}
