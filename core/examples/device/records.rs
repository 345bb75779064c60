//! Commands on records: vehicles, garages, reminders and their like.

use clap::Subcommand;
use motomind_core::protocol::OpId;
use motomind_core::protocol::records::schema::{self, Collection, Form};
use motomind_core::{CaptureError, Device, Edited, RecordEntry, RecordRef, RecordState};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Failure, now, show_records as show};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// The records of a collection: garages, vehicles, reminders, profiles, …
    Records {
        collection: String,
        /// Deleted ones too.
        #[arg(long)]
        deleted: bool,
    },
    /// Make, change, show, delete or restore one record.
    #[command(subcommand)]
    Record(One),
    /// Every field with competing values, who wrote each, and when.
    Conflicts,
    /// Decide between competing values.
    Resolve {
        collection: String,
        /// Id, or a part of what lists call it.
        record: String,
        /// As `conflicts` names it.
        field: String,
        /// The value it gets; cleared when absent.
        value: Option<String>,
    },
    /// Who changed what of a record, when and on which device.
    History { collection: String, record: String },
    /// Replace a refused or unsent creation or edit by a mended one; what is not given stays.
    AmendEdit {
        op: OpId,
        #[command(flatten)]
        fields: Fields,
    },
    /// Say that a record whose creation was refused is an existing one.
    SameAs { collection: String, refused: String, existing: String },
}

#[derive(Subcommand)]
pub(crate) enum One {
    /// Make a record.
    New {
        collection: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change fields of a record.
    Edit {
        collection: String,
        /// Id, or a part of what lists call it.
        record: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Everything that this device knows of a record.
    Show {
        collection: String,
        record: String,
        #[arg(long)]
        json: bool,
    },
    /// Mark a record as deleted.
    Delete {
        collection: String,
        record: String,
        /// The garage that gets a deleted garage's vehicles; none when absent.
        #[arg(long, value_name = "GARAGE")]
        reassign_to: Option<String>,
    },
    /// Take the mark of deletion away.
    Restore { collection: String, record: String },
}

/// Fields and their values.
#[derive(clap::Args)]
pub(crate) struct Fields {
    /// A field and its value: text as it is, for other fields JSON. May repeat.
    #[arg(long, value_name = "FIELD=VALUE")]
    set: Vec<String>,
    /// A field to clear. May repeat.
    #[arg(long, value_name = "FIELD")]
    clear: Vec<String>,
}

impl Fields {
    /// As the core takes them: `null` clears. A record may be named by a part of its label.
    fn of(&self, device: &Device, collection: &str) -> Result<Map<String, Value>, Failure> {
        let collection = schema::find(collection);
        let mut fields = Map::new();
        for pair in &self.set {
            let (name, text) = pair.split_once('=').ok_or("--set takes field=value")?;
            fields.insert(name.to_owned(), value(device, collection, name, text)?);
        }
        fields.extend(self.clear.iter().map(|name| (name.clone(), Value::Null)));
        Ok(fields)
    }
}

fn value(
    device: &Device,
    collection: Option<&Collection>,
    name: &str,
    text: &str,
) -> Result<Value, Failure> {
    let form = collection.and_then(|collection| collection.field(name)).map(|field| field.form);
    Ok(match form {
        Some(Form::Ref(other)) => find(device, other, text, |_| true)?.id.to_string().into(),
        Some(
            Form::Line(..)
            | Form::Text(_)
            | Form::Date
            | Form::Choice(_)
            | Form::Vin
            | Form::Timezone
            | Form::Person
            | Form::Photo,
        ) => text.into(),
        _ => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    })
}

pub(crate) fn run(device: &mut Device, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Records { collection, deleted } => {
            show::records(device, collection, &device.records(collection, *deleted)?)
        }
        Command::Record(one) => run_one(device, one),
        Command::Conflicts => show::conflicts(device, &device.conflicts()?),
        Command::Resolve { collection, record, field, value: text } => {
            let record = find(device, collection, record, |_| true)?;
            let value = match text {
                Some(text) => value(device, schema::find(collection), field, text)?,
                None => Value::Null,
            };
            edited(&device.resolve(&record, field, value, now())?)
        }
        Command::History { collection, record } => {
            let record = find(device, collection, record, |_| true)?;
            show::history(device, &record, &device.history(&record)?)
        }
        Command::AmendEdit { op, fields } => {
            let item = device.operation(*op, now())?.ok_or(CaptureError::UnknownOperation)?;
            let intent = item.change.ok_or(CaptureError::UnknownOperation)?;
            let fields = fields.of(device, &intent.collection)?;
            edited(&device.amend_edit(*op, fields, now())?)
        }
        Command::SameAs { collection, refused, existing } => {
            let is_refused = |entry: &RecordEntry| entry.marks.state == RecordState::Refused;
            let refused = find(device, collection, refused, is_refused)?;
            let existing = find(device, collection, existing, |entry| !is_refused(entry))?;
            show::moved(&device.same_as(&refused, &existing, now())?)
        }
    }
}

fn run_one(device: &mut Device, one: &One) -> Result<(), Failure> {
    match one {
        One::New { collection, fields } => {
            let fields = fields.of(device, collection)?;
            edited(&device.create(collection, fields, now())?)
        }
        One::Edit { collection, record, fields } => {
            let record = find(device, collection, record, |_| true)?;
            let fields = fields.of(device, collection)?;
            edited(&device.edit(&record, fields, now())?)
        }
        One::Show { collection, record, json } => {
            let record = find(device, collection, record, |_| true)?;
            let unknown = CaptureError::UnknownRecord(record.clone());
            let view = device.record(&record)?.ok_or(unknown)?;
            match json {
                true => show::json(&view),
                false => show::record(device, &view),
            }
        }
        One::Delete { collection, record, reassign_to } => {
            let record = find(device, collection, record, |entry| entry.deleted_at.is_none())?;
            let garage = match reassign_to {
                Some(garage) => Some(find(device, "garages", garage, |_| true)?.id),
                None => None,
            };
            edited(&device.delete(&record, garage, now())?)
        }
        One::Restore { collection, record } => {
            let record = find(device, collection, record, |entry| entry.deleted_at.is_some())?;
            edited(&device.restore_record(&record, now())?)
        }
    }
}

/// A record by its id, by its label, or by a part of its label that only one of those has.
fn find(
    device: &Device,
    collection: &str,
    name: &str,
    among: impl Fn(&RecordEntry) -> bool,
) -> Result<RecordRef, Failure> {
    if let Ok(id) = Uuid::parse_str(name) {
        return Ok(RecordRef::new(collection, id));
    }
    let lower = name.to_lowercase();
    let mut found = device.records(collection, true)?;
    found.retain(|entry| among(entry) && entry.label.to_lowercase().contains(&lower));
    let exact = |entry: &RecordEntry| entry.label.to_lowercase() == lower;
    if found.iter().any(exact) {
        found.retain(exact);
    }
    match found.as_slice() {
        [one] => Ok(RecordRef::new(collection, one.id)),
        [] => Err(format!("none of {collection} is called {name:?} here").into()),
        many => {
            let ids: Vec<_> = many.iter().map(|entry| entry.id.to_string()).collect();
            Err(format!("several of {collection} are called {name:?}: {}", ids.join(", ")).into())
        }
    }
}

fn edited(edited: &Edited) -> Result<(), Failure> {
    for warning in &edited.warnings {
        eprintln!("note: {}: {}", warning.field, warning.message);
    }
    match edited.op_id {
        Some(op) => say!("{op}"),
        None => say!("nothing to change"),
    }
    Ok(())
}
