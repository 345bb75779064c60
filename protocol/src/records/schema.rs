//! The one declaration of record collections: fields, forms, keys and uniqueness.
//!
//! A collection or a field is added here, with a migration for its table on the server; devices
//! lay out their mirror from this declaration, and hold nothing else that names a collection:
//! whoever builds on this can [`declare`] their own.

use std::sync::OnceLock;

use uuid::Uuid;

use crate::{UserId, limits};

/// A collection of records.
#[derive(Debug)]
pub struct Collection {
    /// Its name, and its table's.
    pub name: &'static str,
    /// How its records get their ids.
    pub key: Key,
    /// Its fields. Deletion is none: every record has it.
    pub fields: &'static [Field],
    /// What no two live records of a tenant may share.
    pub unique: &'static [Unique],
}

/// How a record gets its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A UUIDv7 by whoever makes it.
    Made,
    /// The user whose record it is.
    Person,
    /// A UUIDv5 of these fields, so that two people who create one offline make one. They never
    /// change.
    Natural(&'static [&'static str]),
}

/// A field of a record.
#[derive(Debug)]
pub struct Field {
    /// Its name, and its column's.
    pub name: &'static str,
    /// What its value must be.
    pub form: Form,
    /// Whether a record must have it.
    pub required: bool,
}

/// The form of a field's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// A short text of so many characters, replaced as a whole.
    Line(usize, usize),
    /// A long text of at most so many characters, merged character by character.
    Text(usize),
    /// A whole number within bounds, both included.
    Integer(i64, i64),
    /// A finite number within bounds, both included.
    Number(f64, f64),
    /// true or false.
    Flag,
    /// A calendar day, `YYYY-MM-DD`.
    Date,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A model year: 1900 to two years ahead.
    Year,
    /// 17 characters of A–Z and 0–9 without I, O, Q; kept in capitals.
    Vin,
    /// An IANA time zone name.
    Timezone,
    /// A record of this collection.
    Ref(&'static str),
    /// A person of the tenant.
    Person,
    /// SHA-256 of a photo's original bytes, 64 lower-case hexadecimal digits.
    Photo,
    /// Any JSON of at most so many bytes, replaced as a whole.
    Json(usize),
    /// An object whose keys are set and merged one by one, of at most so many bytes.
    Map(usize),
}

/// Fields that no two live records of a tenant may share. Absent fields share nothing, unless
/// there are others.
#[derive(Debug)]
pub struct Unique {
    /// The code of the refusal.
    pub code: &'static str,
    /// The fields together.
    pub fields: &'static [&'static str],
    /// Only where this field has this word, if given.
    pub only: Option<(&'static str, &'static str)>,
}

const fn field(name: &'static str, form: Form) -> Field {
    Field { name, form, required: false }
}

const fn required(name: &'static str, form: Form) -> Field {
    Field { name, form, required: true }
}

const MILES: Form = Form::Integer(0, limits::MILES_MAX);
const COUNT: Form = Form::Integer(1, 9_999_999);
const NAME: Form = Form::Line(1, 200);

/// Every collection of this version. Those that others refer to come first.
pub const COLLECTIONS: &[Collection] = &[
    Collection {
        name: "profiles",
        key: Key::Person,
        fields: &[
            field("full_name", Form::Line(1, 200)),
            field("preferences", Form::Map(limits::RECORD_JSON_BYTES_MAX)),
        ],
        unique: &[],
    },
    Collection {
        name: "garages",
        key: Key::Made,
        fields: &[
            required("name", Form::Line(1, 100)),
            field("address", Form::Line(1, 500)),
            field("lat", Form::Number(-90.0, 90.0)),
            field("lng", Form::Number(-180.0, 180.0)),
            field("timezone", Form::Timezone),
            field("is_default", Form::Flag),
        ],
        unique: &[Unique {
            code: "default_taken",
            fields: &["is_default"],
            only: Some(("is_default", "true")),
        }],
    },
    Collection {
        name: "vehicles",
        key: Key::Made,
        fields: &[
            field("garage_id", Form::Ref("garages")),
            field("year", Form::Year),
            field("make", NAME),
            field("model", NAME),
            field("trim", NAME),
            field("color", NAME),
            field("vin", Form::Vin),
            field("license_plate", Form::Line(1, 50)),
            field("nickname", NAME),
            field("manufacturer_mpg", COUNT),
            field("manufacturer_service_interval_miles", COUNT),
            field("current_mileage_override", MILES),
            field("timezone", Form::Timezone),
            field("hero_photo", Form::Photo),
        ],
        unique: &[
            Unique { code: "vin_taken", fields: &["vin"], only: None },
            Unique { code: "license_plate_taken", fields: &["license_plate"], only: None },
        ],
    },
    Collection {
        name: "reminders",
        key: Key::Made,
        fields: &[
            field("vehicle_id", Form::Ref("vehicles")),
            field("garage_id", Form::Ref("garages")),
            required("title", Form::Line(1, 255)),
            field("description", Form::Text(1_000)),
            field(
                "category",
                Form::Choice(&["registration", "inspection", "emissions", "maintenance", "other"]),
            ),
            field("priority", Form::Choice(&["low", "medium", "high"])),
            field("due_date", Form::Date),
            field("due_miles", MILES),
            required("status", Form::Choice(&["active", "completed", "dismissed"])),
        ],
        unique: &[Unique {
            code: "reminder_taken",
            fields: &["vehicle_id", "garage_id", "title", "due_date", "due_miles"],
            only: Some(("status", "active")),
        }],
    },
    Collection {
        name: "user_maintenance_preferences",
        key: Key::Natural(&["user_id", "vehicle_id", "interval_type"]),
        fields: &[
            required("user_id", Form::Person),
            required("vehicle_id", Form::Ref("vehicles")),
            required(
                "interval_type",
                Form::Choice(&[
                    "oil_change",
                    "tire_rotation",
                    "air_filter",
                    "cabin_filter",
                    "spark_plugs",
                    "transmission_service",
                    "brake_fluid_flush",
                    "coolant_flush",
                    "differential_service",
                    "brake_inspection",
                    "serpentine_belt",
                    "timing_belt",
                ]),
            ),
            required("interval_value", COUNT),
            required("interval_unit", Form::Choice(&["miles", "months", "years"])),
            field("notes", Form::Text(limits::TEXT_CHARS_MAX)),
            field("source", Form::Line(1, 200)),
        ],
        unique: &[],
    },
    Collection {
        name: "vehicle_spec_enhancements",
        key: Key::Natural(&["vehicle_id", "category"]),
        fields: &[
            required("vehicle_id", Form::Ref("vehicles")),
            required(
                "category",
                Form::Choice(&[
                    "engine",
                    "drivetrain",
                    "dimensions",
                    "fuel_economy",
                    "safety",
                    "features",
                    "maintenance_intervals",
                    "fluids_capacities",
                    "tire_specifications",
                ]),
            ),
            field("status", Form::Choice(&["pending", "processing", "completed", "failed"])),
            field("data", Form::Json(limits::RECORD_JSON_BYTES_MAX)),
            field("sources", Form::Json(limits::RECORD_JSON_BYTES_MAX)),
            field("confidence", Form::Choice(&["high", "medium", "low"])),
        ],
        unique: &[],
    },
    Collection {
        name: "vehicle_images",
        key: Key::Made,
        fields: &[
            required("vehicle_id", Form::Ref("vehicles")),
            required("photo", Form::Photo),
            required(
                "image_type",
                Form::Choice(&[
                    "hero",
                    "front",
                    "rear",
                    "side_left",
                    "side_right",
                    "interior",
                    "engine",
                    "odometer",
                    "damage",
                    "maintenance",
                    "general",
                ]),
            ),
            field("caption", Form::Text(1_000)),
            field("is_primary", Form::Flag),
        ],
        unique: &[Unique {
            code: "primary_taken",
            fields: &["vehicle_id", "image_type", "is_primary"],
            only: Some(("is_primary", "true")),
        }],
    },
    Collection {
        name: "conversation_threads",
        key: Key::Made,
        fields: &[
            required("vehicle_id", Form::Ref("vehicles")),
            required("user_id", Form::Person),
            field("title", Form::Line(1, 200)),
            field("archived", Form::Flag),
        ],
        unique: &[],
    },
];

/// Collections of whoever builds on this.
static FURTHER: OnceLock<&'static [Collection]> = OnceLock::new();

/// Declares further collections for this process, once, before a device is opened. Their tables
/// on the server are that server's to make.
///
/// Returns whether they are declared now; not if others were before, or if a name is taken.
#[must_use]
pub fn declare(further: &'static [Collection]) -> bool {
    let taken = |one: &Collection| COLLECTIONS.iter().any(|other| other.name == one.name);
    !further.iter().any(taken) && FURTHER.set(further).is_ok()
}

/// Every collection: those of this version, then further ones.
pub fn collections() -> impl Iterator<Item = &'static Collection> {
    COLLECTIONS.iter().chain(FURTHER.get().copied().unwrap_or_default())
}

/// The collection of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Collection> {
    collections().find(|collection| collection.name == name)
}

/// The namespace of natural keys.
const NATURAL_KEYS: Uuid = Uuid::from_u128(0x6d6f_746f_6d69_6e64_8000_7265_636f_7264);

impl Collection {
    /// The field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field>
    where
        Self: 'static,
    {
        let fields: &'static [Field] = self.fields;
        fields.iter().find(|field| field.name == name)
    }

    /// Whether a field is part of the natural key and so never changes.
    #[must_use]
    pub fn is_key(&self, name: &str) -> bool {
        matches!(self.key, Key::Natural(fields) if fields.contains(&name))
    }

    /// The id that a record's fields give it, where its key is natural.
    ///
    /// `UUIDv5(namespace, collection | value | value …)`, RFC 9562; values as JSON writes them.
    #[must_use]
    pub fn natural_id(&self, fields: &serde_json::Map<String, serde_json::Value>) -> Option<Uuid> {
        let Key::Natural(names) = self.key else {
            return None;
        };
        let mut text = self.name.to_string();
        for name in names {
            let value = fields.get(*name)?;
            text.push('|');
            text.push_str(&value.to_string());
        }
        Some(Uuid::new_v5(&NATURAL_KEYS, text.as_bytes()))
    }

    /// The id of a person's own record in a collection whose key is the person.
    #[must_use]
    pub fn personal_id(&self, user: UserId) -> Option<Uuid> {
        (self.key == Key::Person).then_some(user.0)
    }
}
