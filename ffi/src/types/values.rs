//! Values that cross as text: identifiers, hashes, days, and JSON where its keys are not ours.

use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::*;
use crate::failure::MotoMindError;

pub(crate) type JsonFields = Map<String, Value>;
pub(crate) type JsonText = Value;

/// Reads a text from the host.
pub(crate) fn parsed<T: FromStr<Err: Display>>(what: &str, text: &str) -> uniffi::Result<T> {
    text.parse().map_err(|error| malformed(what, &error))
}

fn malformed(what: &str, error: &dyn Display) -> uniffi::deps::anyhow::Error {
    MotoMindError::Malformed { what: format!("{what}: {error}") }.into()
}

/// Reads a JSON text from the host; an empty one where there is nothing to say.
fn read<T: serde::de::DeserializeOwned + Default>(what: &str, text: &str) -> uniffi::Result<T> {
    match text {
        "" => Ok(T::default()),
        text => serde_json::from_str(text).map_err(|error| malformed(what, &error)),
    }
}

macro_rules! as_text {
    ($($(#[$doc:meta])* $name:ident: $what:literal,)*) => {$(
        uniffi::custom_type!($(#[$doc])* $name, String, {
            remote,
            lower: |value| value.to_string(),
            try_lift: |text| parsed($what, &text),
        });
    )*};
}

as_text! {
    /// A customer of the product, as a UUID in text.
    TenantId: "a tenant's id",
    /// A person within a tenant, as a UUID in text: the `sub` of their token.
    UserId: "a person's id",
    /// One installation of the app for one user, as a UUID in text.
    DeviceId: "a device's id",
    /// One life of a device's journal, as a UUID in text.
    Incarnation: "an incarnation's id",
    /// A vehicle, as a UUID in text.
    VehicleId: "a vehicle's id",
    /// A garage, as a UUID in text.
    GarageId: "a garage's id",
    /// An event, as a UUID in text; equally the operation that captured it.
    EventId: "an event's id",
    /// An operation, the unit of sync, as a UUID in text.
    OpId: "an operation's id",
    /// A UUID in text.
    Uuid: "an id",
    /// A SHA-256, as 64 lower-case hexadecimal digits.
    Hash: "a SHA-256",
    /// A calendar day, `YYYY-MM-DD`.
    Day: "a day",
    /// What a camera's clock showed: `2024-05-02T10:11:12`, with an offset such as `-06:00` where
    /// the photo says so.
    PhotoTime: "a photo's time",
}

uniffi::custom_type!(
    /// A JSON object as a text; an empty text is an empty object.
    JsonFields,
    String,
    {
        remote,
        lower: |value| Value::Object(value).to_string(),
        try_lift: |text| read("a JSON object", &text),
    }
);

uniffi::custom_type!(
    /// A JSON value as a text, such as `"red"` (with the quotes), `12` or `null`.
    JsonText,
    String,
    {
        remote,
        lower: |value| value.to_string(),
        try_lift: |text| read("a JSON value", &text),
    }
);

uniffi::custom_type!(
    /// What was changed of a record, as a JSON object: `collection`, `record_id`, `action`, `patch`.
    RecordIntent,
    String,
    {
        remote,
        lower: |intent| serde_json::to_string(&intent).unwrap_or_default(),
        try_lift: |text| serde_json::from_str(&text).map_err(|error| malformed("an intent", &error)),
    }
);
