//! The one registry of event types: names, aliases, required keys and the form of every known key.
//!
//! A type or key that is not here belongs to a newer peer: it is kept whole and shown as "other".

/// An event that takes another one back.
pub const RETRACTION: &str = "retraction";

/// An event that brings back what a retraction took.
pub const RESTORATION: &str = "restoration";

/// What the registry knows about one event type.
#[derive(Debug)]
pub struct TypeSpec {
    /// The canonical name.
    pub name: &'static str,
    /// Names that older data uses for the same type.
    pub aliases: &'static [&'static str],
    /// Groups of fields; of each group at least one must be present. `miles`, `total_minor` and
    /// `corrects` stand on the event's row, everything else in its payload.
    pub required: &'static [&'static [&'static str]],
    /// Known payload keys.
    pub keys: &'static [KeySpec],
}

/// A payload key and the form of its value.
#[derive(Debug)]
pub struct KeySpec {
    /// Key within `payload`.
    pub name: &'static str,
    /// What its value must look like.
    pub form: Form,
}

/// The form of a payload value.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// A whole number within bounds, both included.
    Integer(i64, i64),
    /// A finite number within bounds, both included.
    Number(f64, f64),
    /// A number above zero and at most this, with at most so many decimals.
    Positive(f64, u32),
    /// A text of at most [`crate::limits::LINE_CHARS_MAX`] characters.
    Line,
    /// A text of at most [`crate::limits::TEXT_CHARS_MAX`] characters.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// true or false.
    Bool,
    /// A calendar day, `YYYY-MM-DD`.
    Date,
    /// A list of short texts.
    Lines,
    /// A list of objects.
    Objects,
    /// An object.
    Object,
    /// An object from wheel (`fl`, `fr`, `rl`, `rr`) to a number within bounds; at least one.
    Wheels(f64, f64),
}

const fn key(name: &'static str, form: Form) -> KeySpec {
    KeySpec { name, form }
}

/// Money in minor units.
const MONEY: Form = Form::Integer(0, crate::limits::AMOUNT_MINOR_MAX);
/// A distance or reading in miles.
const MILES: Form = Form::Integer(0, crate::limits::MILES_MAX);

/// Keys that any type may carry.
pub const COMMON: &[KeySpec] = &[
    key("source", Form::Line),
    key("summary", Form::Text),
    key("logged_by", Form::Line),
    key("correction", Form::Bool),
    key("odometer_replaced", Form::Bool),
    key("confirmed_jump", Form::Bool),
    key("photos", Form::Lines),
];

/// Every event type of this version.
pub const TYPES: &[TypeSpec] = &[
    TypeSpec {
        name: "odometer",
        aliases: &[],
        required: &[&["miles"]],
        keys: &[
            key("display_type", Form::Choice(&["digital", "analog", "lcd"])),
            key("reading_quality", Form::Choice(&["clear", "blurry", "partial"])),
            key("original_value", Form::Number(0.0, 1e8)),
            key("original_unit", Form::Choice(&["mi", "km"])),
        ],
    },
    TypeSpec {
        name: "fuel",
        aliases: &["fuel_purchase"],
        required: &[&["gallons", "total_minor"]],
        keys: &[
            key("gallons", Form::Positive(crate::limits::GALLONS_MAX, 3)),
            key("price_per_gallon", Form::Number(0.0, 1_000.0)),
            key("grade", Form::Line),
            key("station", Form::Line),
            key("station_address", Form::Line),
            key("fuel_level_percent", Form::Number(0.0, 100.0)),
            key("products", Form::Objects),
            key("payment_method", Form::Line),
            key("pump_number", Form::Line),
            key("transaction_id", Form::Line),
            key("invoice_number", Form::Line),
            key("trip_miles", Form::Number(0.0, 1e5)),
            key("full_tank", Form::Bool),
            key("receipt_metadata", Form::Object),
        ],
    },
    TypeSpec {
        name: "maintenance",
        aliases: &["service", "repair"],
        required: &[&["kind"]],
        keys: &[
            key("kind", Form::Line),
            key("line_items", Form::Objects),
            key("parts", Form::Objects),
            key("labor_minor", MONEY),
            key("warranty_months", Form::Integer(0, 1_200)),
            key("warranty_miles", MILES),
            key("next_due_date", Form::Date),
            key("next_due_miles", MILES),
        ],
    },
    TypeSpec {
        name: "damage",
        aliases: &["incident", "accident"],
        required: &[&["description", "photos"]],
        keys: &[
            key("description", Form::Text),
            key("severity", Form::Choice(&["minor", "moderate", "major"])),
            key("location_on_vehicle", Form::Line),
            key("estimated_cost_minor", MONEY),
            key("repair_status", Form::Choice(&["pending", "in_progress", "completed"])),
            key("insurance_claim", Form::Bool),
            key("police_report_number", Form::Line),
        ],
    },
    TypeSpec {
        name: "inspection",
        aliases: &[],
        required: &[&["inspection_type", "result"]],
        keys: &[
            key("inspection_type", Form::Line),
            key("result", Form::Choice(&["pass", "fail", "conditional"])),
            key("items_checked", Form::Lines),
            key("items_passed", Form::Lines),
            key("items_failed", Form::Lines),
            key("certificate_number", Form::Line),
            key("expiration_date", Form::Date),
            key("inspector", Form::Line),
        ],
    },
    TypeSpec {
        name: "document",
        aliases: &[],
        required: &[&["doc_type"]],
        keys: &[
            key(
                "doc_type",
                Form::Choice(&[
                    "insurance",
                    "registration",
                    "invoice",
                    "towing",
                    "accident",
                    "other",
                ]),
            ),
            key("fields", Form::Object),
            key("expiration_date", Form::Date),
        ],
    },
    TypeSpec {
        name: "reminder",
        aliases: &[],
        required: &[&["kind"]],
        keys: &[key("kind", Form::Line), key("due_date", Form::Date), key("due_miles", MILES)],
    },
    TypeSpec {
        name: "dashboard_snapshot",
        aliases: &[],
        required: &[&[
            "miles",
            "odometer_miles",
            "fuel_eighths",
            "oil_life_percent",
            "coolant",
            "warning_lights",
            "trip_a_miles",
            "trip_b_miles",
        ]],
        keys: &[
            key("odometer_miles", MILES),
            key("fuel_eighths", Form::Integer(0, 8)),
            key("oil_life_percent", Form::Number(0.0, 100.0)),
            key("coolant", Form::Choice(&["cold", "normal", "hot"])),
            key("warning_lights", Form::Lines),
            key("trip_a_miles", Form::Number(0.0, 1e6)),
            key("trip_b_miles", Form::Number(0.0, 1e6)),
        ],
    },
    TypeSpec {
        name: "dashboard_warning",
        aliases: &[],
        required: &[&["warning_lights"]],
        keys: &[
            key("warning_lights", Form::Lines),
            key("severity", Form::Choice(&["low", "medium", "high", "critical"])),
            key("error_codes", Form::Lines),
            key("resolved", Form::Bool),
        ],
    },
    TypeSpec {
        name: "tire",
        aliases: &["tire_tread", "tire_pressure"],
        required: &[&["treads", "pressures"]],
        keys: &[
            key("treads", Form::Wheels(0.0, 64.0)),
            key("pressures", Form::Wheels(0.0, 300.0)),
            key("condition", Form::Line),
        ],
    },
    TypeSpec {
        name: "trip",
        aliases: &[],
        required: &[],
        keys: &[
            key("trip_type", Form::Choice(&["business", "personal", "commute"])),
            key("destination", Form::Line),
            key("purpose", Form::Line),
            key("distance_miles", Form::Number(0.0, 1e6)),
            key("start_mileage", MILES),
            key("end_mileage", MILES),
            key("passengers", Form::Integer(0, 1_000)),
            key("route", Form::Text),
        ],
    },
    TypeSpec {
        name: "expense",
        aliases: &[],
        required: &[&["total_minor"]],
        keys: &[
            key("expense_type", Form::Line),
            key("description", Form::Text),
            key("tax_deductible", Form::Bool),
            key("receipt_number", Form::Line),
        ],
    },
    TypeSpec {
        name: "parking",
        aliases: &[],
        required: &[],
        keys: &[
            key("lot_name", Form::Line),
            key("level", Form::Line),
            key("spot_number", Form::Line),
            key("reminder_time", Form::Line),
        ],
    },
    TypeSpec {
        name: "modification",
        aliases: &[],
        required: &[&["part_name"]],
        keys: &[
            key("modification_type", Form::Line),
            key("part_name", Form::Line),
            key("brand", Form::Line),
            key("installer", Form::Line),
            key("warranty", Form::Line),
            key("description", Form::Text),
        ],
    },
    TypeSpec {
        name: "recall",
        aliases: &[],
        required: &[&["recall_id"], &["affected_component"]],
        keys: &[
            key("recall_id", Form::Line),
            key("nhtsa_number", Form::Line),
            key("severity", Form::Choice(&["safety", "compliance", "info"])),
            key("affected_component", Form::Line),
            key("status", Form::Choice(&["open", "scheduled", "resolved"])),
            key("manufacturer", Form::Line),
            key("resolution_deadline", Form::Date),
            key("description", Form::Text),
        ],
    },
    TypeSpec {
        name: "car_wash",
        aliases: &[],
        required: &[],
        keys: &[
            key("service_type", Form::Line),
            key("services_included", Form::Lines),
            key("next_wash_date", Form::Date),
        ],
    },
    TypeSpec { name: RETRACTION, aliases: &[], required: &[&["corrects"]], keys: &[] },
    TypeSpec { name: RESTORATION, aliases: &[], required: &[&["corrects"]], keys: &[] },
];

/// The spec of a type by its name or an alias.
#[must_use]
pub fn find(kind: &str) -> Option<&'static TypeSpec> {
    TYPES.iter().find(|spec| spec.name == kind || spec.aliases.contains(&kind))
}
