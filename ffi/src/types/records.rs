//! Vehicles, garages, reminders and the other records that several people edit.

use super::*;

/// A vehicle.
#[uniffi::remote(Record)]
pub struct Vehicle {
    /// Its id.
    pub id: VehicleId,
    /// Where it lives.
    pub garage_id: Option<GarageId>,
    /// Model year, 1900 to next year + 1.
    pub year: Option<i32>,
    /// Manufacturer.
    pub make: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Trim level.
    pub trim: Option<String>,
    /// Colour.
    pub color: Option<String>,
    /// 17 characters of A–Z and 0–9 without I, O, Q.
    pub vin: Option<String>,
    /// Licence plate.
    pub license_plate: Option<String>,
    /// What its people call it.
    pub nickname: Option<String>,
    /// Combined fuel economy by the manufacturer, miles per US gallon.
    pub manufacturer_mpg: Option<i32>,
    /// Service interval by the manufacturer, miles.
    pub manufacturer_service_interval_miles: Option<i32>,
    /// Wins over the mileage computed from events.
    pub current_mileage_override: Option<i64>,
    /// IANA time zone where it usually is.
    pub timezone: Option<String>,
    /// When it was deleted, UTC ms; absent while it is live.
    pub deleted_at: Option<Millis>,
    /// Columns of a newer peer, kept.
    pub extra: JsonFields,
}

/// A vehicle with what its timeline says of it.
#[uniffi::remote(Record)]
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
    pub marks: RecordMarks,
}

/// A garage.
#[uniffi::remote(Record)]
pub struct Garage {
    /// Its id.
    pub id: GarageId,
    /// 1 to 100 characters.
    pub name: String,
    /// Postal address.
    pub address: Option<String>,
    /// Degrees.
    pub lat: Option<f64>,
    /// Degrees.
    pub lng: Option<f64>,
    /// IANA time zone.
    pub timezone: Option<String>,
    /// The tenant's default garage.
    pub is_default: bool,
    /// When it was deleted, UTC ms; absent while it is live.
    pub deleted_at: Option<Millis>,
    /// Columns of a newer peer, kept.
    pub extra: JsonFields,
}

/// Where a record stands on this device.
#[uniffi::remote(Record)]
pub struct RecordMarks {
    /// Whether what is shown is agreed.
    pub state: RecordState,
    /// Own edits that the server has refused; they are not shown.
    pub refused: u64,
    /// Fields with competing values.
    pub conflicts: u64,
}

/// Whether what is shown of a record is agreed with the server.
#[uniffi::remote(Enum)]
pub enum RecordState {
    /// As the server's log says.
    Agreed,
    /// Own edits are shown over it that the server has not accepted yet.
    Pending,
    /// The server has refused its creation.
    Refused,
}

/// Names a record.
#[uniffi::remote(Record)]
pub struct RecordRef {
    /// The name of its collection.
    pub collection: String,
    /// Its id.
    pub id: Uuid,
}

/// A record's row as far as lists show it.
#[uniffi::remote(Record)]
pub struct RecordEntry {
    /// Its id.
    pub id: Uuid,
    /// What lists call it.
    pub label: String,
    /// Its fields that have a value.
    pub fields: JsonFields,
    /// When it was deleted, UTC ms.
    pub deleted_at: Option<i64>,
    /// Where it stands.
    pub marks: RecordMarks,
}

/// A field of a record with competing values.
#[uniffi::remote(Record)]
pub struct RecordConflict {
    /// The record.
    pub record: RecordRef,
    /// What lists call it.
    pub label: String,
    /// The field and its values.
    pub conflict: Conflict,
}

/// A field with several values, none of which was made by someone who had seen the others.
#[uniffi::remote(Record)]
pub struct Conflict {
    /// The field; `preferences.units` for a key of an object.
    pub field: String,
    /// The values, the one that is shown first.
    pub values: Vec<Competing>,
}

/// One of several values of a field.
#[uniffi::remote(Record)]
pub struct Competing {
    /// The value; null where the field was cleared.
    pub value: JsonText,
    /// Who, when and where.
    pub by: By,
}

/// Who made a change, when and where.
#[uniffi::remote(Record)]
pub struct By {
    /// The person, where known.
    pub user_id: Option<UserId>,
    /// The device; absent for what was written on the server.
    pub device_id: Option<DeviceId>,
    /// When, UTC ms of the person's clock.
    pub at: Millis,
}

/// One change of a record.
#[uniffi::remote(Record)]
pub struct Revision {
    /// The change.
    pub hash: Hash,
    /// Who, when and where.
    pub by: By,
    /// Fields that it changed and their values after it; null where it cleared one.
    pub fields: JsonFields,
}

/// An edit that is durable on this device and shown.
#[uniffi::remote(Record)]
pub struct Edited {
    /// The record.
    pub record: RecordRef,
    /// The operation; `None` where nothing would have changed.
    pub op_id: Option<OpId>,
    /// What is worth a second look, such as a VIN that this device knows of another vehicle.
    /// Never blocking.
    pub warnings: Vec<Warning>,
}

/// A value that was typed for a refused record that is the same as an existing one.
#[uniffi::remote(Record)]
pub struct Typed {
    /// The field; `preferences.units` for a key of an object.
    pub field: String,
    /// What was typed.
    pub value: JsonText,
    /// What the existing record says; null where it says nothing.
    pub existing: JsonText,
    /// Whether the existing record has it too: as a competing value, to choose from in
    /// `conflicts`; a text behind its own. Where not, this and the journal are the only
    /// places that have it: the record cannot take it, or this device had changed the record after
    /// it saw what it says, so that the server would take it for a choice.
    pub kept: bool,
}

/// An entry of the log that rests aside.
#[uniffi::remote(Record)]
pub struct Aside {
    /// Its place in the log.
    pub seq: u64,
    /// Its record, as far as it says.
    pub collection: Option<String>,
    /// Its record, as far as it says.
    pub id: Option<Uuid>,
    /// What is wrong with it; `None`: its collection is of a newer version.
    pub damage: Option<String>,
}
