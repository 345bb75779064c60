//! One event of every type, with every known key, as a device would capture it.

use motomind_protocol::{Event, EventId, Fix, FixAbsence, FixSource};
use serde_json::{Value, json};

use super::{AT, Example, USER, VEHICLE, day, example, id};

fn event(n: u128, kind: &str, payload: Value) -> Event {
    let mut event = Event::new(EventId(id(n)), VEHICLE, kind, AT, day(), "America/Denver");
    event.payload = payload.as_object().unwrap().clone();
    event.set_logged_by(USER);
    event
}

pub(crate) fn odometer(n: u128) -> Event {
    let mut event = event(
        n,
        "odometer",
        json!({
            "source": "camera", "summary": "Odometer after the Boulder job", "display_type": "digital",
            "reading_quality": "clear", "original_value": 87097.7, "original_unit": "km",
            "confirmed_jump": false, "odometer_replaced": false,
        }),
    );
    event.miles = Some(54_120);
    event.fix = Some(Fix {
        accuracy_m: Some(80.0),
        altitude_m: Some(1_609.3),
        altitude_accuracy_m: Some(12.5),
        heading_deg: Some(271.5),
        speed_mps: Some(0.0),
        fixed_at: Some(AT - 1_800),
        is_mock: Some(false),
        age_ms: Some(1_800),
        ..Fix::at(39.739_153, -104.984_703, FixSource::Fused)
    });
    event
}

pub(crate) fn retraction(n: u128, corrects: EventId) -> Event {
    let mut event = event(n, "retraction", json!({}));
    event.corrects = Some(corrects);
    event.reason = Some("logged on the wrong truck".into());
    event
}

fn restoration() -> Event {
    let mut event = event(31, "restoration", json!({}));
    event.corrects = Some(EventId(id(2)));
    event.reason = Some("it was the right truck".into());
    event
}

fn fuel() -> Event {
    let mut event = event(
        11,
        "fuel",
        json!({
            "gallons": 13.987, "price_per_gallon": 3.519, "grade": "Regular 87", "station": "Maverik",
            "station_address": "1535 E Colfax Ave, Denver", "fuel_level_percent": 96.5,
            "products": [{"description": "Washer fluid", "amount_minor": 499}],
            "payment_method": "fleet card", "pump_number": "7", "transaction_id": "T-88120",
            "invoice_number": "INV-1", "trip_miles": 254.3, "full_tank": true,
            "receipt_metadata": {"lines": 9}, "photos": ["9f86d081884c7d65"],
        }),
    );
    (event.miles, event.total_minor) = (Some(54_120), Some(4_922));
    event.currency = Some("USD".into());
    event.vendor = Some("Maverik".into());
    event.notes = Some("card reader broken,\npaid inside ⛽ \u{0}".into());
    event.session_id = Some(id(900));
    event.fix = Some(Fix::at(0.0, 0.0, FixSource::Gps));
    event
}

fn with_money(mut event: Event, minor: i64, currency: &str) -> Event {
    event.total_minor = Some(minor);
    event.currency = Some(currency.into());
    event
}

fn damage() -> Event {
    let mut event = event(
        13,
        "damage",
        json!({
            "description": "Scrape along the left rear door", "severity": "moderate",
            "location_on_vehicle": "left rear door", "estimated_cost_minor": 85_000,
            "repair_status": "pending", "insurance_claim": true, "police_report_number": "24-33019",
            "photos": ["e3b0c44298fc1c14", "60303ae22b998861"],
        }),
    );
    event.fix_absent = Some(FixAbsence::Timeout);
    event
}

fn correction() -> Event {
    let mut event = odometer(30);
    event.corrects = Some(EventId(id(1)));
    event.reason = Some("read the trip counter".into());
    event.payload.insert("correction".into(), json!(true));
    event
}

fn unknown_type() -> Event {
    let mut event = event(
        40,
        "hovercraft_skirt",
        json!({"skirt": {"segments_replaced": 3}, "gallons": "not fuel"}),
    );
    event.extra.insert("approved_by".into(), json!(["A. Inspector"]));
    event
}

#[rustfmt::skip]
pub(crate) fn examples() -> Vec<Example> {
    let maintenance = with_money(event(12, "maintenance", json!({
        "kind": "oil_change", "line_items": [{"description": "5W-20", "amount_minor": 4_999, "category": "oil"}],
        "parts": [{"number": "FL-500S"}], "labor_minor": 2_496, "warranty_months": 12, "warranty_miles": 12_000,
        "next_due_date": "2024-11-02", "next_due_miles": 59_120,
    })), 7_495, "USD");
    let inspection = event(14, "inspection", json!({
        "inspection_type": "emissions", "result": "conditional", "items_checked": ["OBD", "gas cap"],
        "items_passed": ["OBD"], "items_failed": ["gas cap"], "certificate_number": "CO-118", "expiration_date": "2026-05-02",
        "inspector": "Air Care",
    }));
    let document = event(15, "document", json!({
        "doc_type": "insurance", "fields": {"policy": "SF-2210944", "insured": null}, "expiration_date": "2024-10-01",
    }));
    let reminder = event(16, "reminder", json!({"kind": "tires", "due_date": "2024-06-01", "due_miles": 60_000}));
    let snapshot = event(17, "dashboard_snapshot", json!({
        "odometer_miles": 54_120, "fuel_eighths": 0, "oil_life_percent": 42.5, "coolant": "normal",
        "warning_lights": [], "trip_a_miles": 120.4, "trip_b_miles": 0.0,
    }));
    let warning = event(18, "dashboard_warning", json!({
        "warning_lights": ["check engine"], "severity": "high", "error_codes": ["P0301"], "resolved": false,
    }));
    let tire = event(19, "tire", json!({
        "treads": {"fl": 8, "fr": 7.5, "rl": 0, "rr": 6}, "pressures": {"fl": 35, "rr": 34.5}, "condition": "worn inside",
    }));
    let trip = event(20, "trip", json!({
        "trip_type": "business", "destination": "Boulder", "purpose": "site visit", "distance_miles": 29.4,
        "start_mileage": 54_091, "end_mileage": 54_120, "passengers": 1, "route": "US-36",
    }));
    let expense = with_money(event(21, "expense", json!({
        "expense_type": "tolls", "description": "Express lane", "tax_deductible": true, "receipt_number": "E470-77",
    })), 0, "EUR");
    let parking = event(22, "parking", json!({
        "lot_name": "Union Station", "level": "P2", "spot_number": "214", "reminder_time": "2024-05-02T20:00",
    }));
    let modification = event(23, "modification", json!({
        "modification_type": "towing", "part_name": "winch", "brand": "Warn", "installer": "in house",
        "warranty": "lifetime", "description": "VR EVO 10",
    }));
    let recall = event(24, "recall", json!({
        "recall_id": "24V-104", "nhtsa_number": "24V104000", "severity": "safety", "affected_component": "fuel pump",
        "status": "open", "manufacturer": "Ford", "resolution_deadline": "2024-12-31", "description": "may stall",
    }));
    let car_wash = event(25, "car_wash", json!({
        "service_type": "tunnel", "services_included": ["wax", "undercarriage"], "next_wash_date": "2024-05-16",
    }));
    vec![
        example("event_odometer", odometer(1)), example("event_fuel", fuel()),
        example("event_maintenance", maintenance), example("event_damage", damage()),
        example("event_inspection", inspection), example("event_document", document),
        example("event_reminder", reminder), example("event_dashboard_snapshot", snapshot),
        example("event_dashboard_warning", warning), example("event_tire", tire),
        example("event_trip", trip), example("event_expense", expense),
        example("event_parking", parking), example("event_modification", modification),
        example("event_recall", recall), example("event_car_wash", car_wash),
        example("event_retraction", retraction(3, EventId(id(2)))),
        example("event_restoration", restoration()),
        example("event_correction", correction()), example("event_unknown_type", unknown_type()),
    ]
}
