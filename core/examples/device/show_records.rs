//! Records in tables for people.

use motomind_core::protocol::records::schema::{self, Form};
use motomind_core::protocol::records::{
    Action, By, Conflict, DELETED_AT, FieldEdit, RecordIntent, Revision, Step,
};
use motomind_core::{
    Device, Moved, RecordConflict, RecordEntry, RecordMarks, RecordRef, RecordState, RecordView,
};
use serde_json::{Map, Value};

use super::show::{Shown, instant, short, table};

/// What lists call a record; its id where this device does not know it.
pub(crate) fn label(device: &Device, collection: &str, id: &str) -> String {
    let known = device.records(collection, true).unwrap_or_default();
    let entry = known.into_iter().find(|entry| entry.id.to_string() == id);
    entry.map_or_else(|| id.to_owned(), |entry| entry.label)
}

/// A field's value: a record or person by name, a time as such.
fn value(device: &Device, collection: &str, field: &str, value: &Value) -> String {
    let declared = schema::find(collection).and_then(|collection| collection.field(field));
    match (declared.map(|declared| declared.form), value) {
        (_, Value::Null) => "(cleared)".into(),
        (Some(Form::Ref(other)), Value::String(id)) => label(device, other, id),
        (Some(Form::Person), Value::String(id)) => label(device, "profiles", id),
        (_, Value::String(text)) => text.clone(),
        (_, at) if field == DELETED_AT => at.as_i64().map(instant).unwrap_or_default(),
        (_, other) => other.to_string(),
    }
}

fn fields(device: &Device, collection: &str, fields: &Map<String, Value>) -> String {
    let pair = |(name, said): (&String, &Value)| {
        format!("{name}={}", short(&value(device, collection, name, said), 44))
    };
    fields.iter().map(pair).collect::<Vec<_>>().join(", ")
}

fn marks(marks: RecordMarks, deleted_at: Option<i64>) -> String {
    let state = match marks.state {
        RecordState::Agreed => None,
        RecordState::Pending => Some("unsent".to_owned()),
        RecordState::Refused => Some("creation refused".to_owned()),
    };
    let deleted = deleted_at.map(|at| format!("deleted {}", instant(at)));
    let refused = (marks.refused > 0).then(|| format!("{} refused", marks.refused));
    let conflicts = (marks.conflicts > 0).then(|| format!("{} in conflict", marks.conflicts));
    [state, deleted, refused, conflicts].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn who(device: &Device, by: &By) -> Vec<String> {
    let person = by.user_id.map(|user| label(device, "profiles", &user.to_string()));
    let own = device.identity().device_id;
    let on = match by.device_id {
        Some(id) if id == own => "this device".to_owned(),
        Some(id) => format!("device {id}"),
        None => "server".to_owned(),
    };
    vec![person.unwrap_or_default(), instant(by.at), on]
}

pub(crate) fn records(device: &Device, collection: &str, entries: &[RecordEntry]) -> Shown {
    let row = |entry: &RecordEntry| {
        let mut rest = entry.fields.clone();
        rest.retain(|_, value| value.as_str() != Some(&entry.label));
        let said = short(&fields(device, collection, &rest), 72);
        vec![entry.label.clone(), said, marks(entry.marks, entry.deleted_at), entry.id.to_string()]
    };
    table(&[collection, "", "", "id"], &entries.iter().map(row).collect::<Vec<_>>())
}

pub(crate) fn json(view: &RecordView) -> Shown {
    say!("{}", serde_json::to_string_pretty(view)?);
    Ok(())
}

pub(crate) fn record(device: &Device, view: &RecordView) -> Shown {
    let collection = view.record.collection.as_str();
    let rows: Vec<_> = view
        .fields
        .iter()
        .map(|(name, said)| vec![name.clone(), value(device, collection, name, said)])
        .collect();
    table(&[collection, &view.record.id.to_string()], &rows)?;
    let marks = marks(view.marks, view.deleted_at);
    if !marks.is_empty() {
        say!("({marks})");
    }
    for conflict in &view.conflicting {
        let rows = competing(device, collection, conflict);
        say!("{}:", conflict.field);
        table(&["value", "by", "at", "on"], &rows)?;
    }
    for (op, reason) in &view.refusals {
        say!("refused {op}: {}: {}", reason.code, reason.message);
    }
    for aside in &view.aside {
        let why = aside.damage.as_deref().unwrap_or("it is of a newer version");
        say!("entry {} of the log rests aside: {why}", aside.seq);
    }
    Ok(())
}

/// The values of a conflict, the shown one first, each with its author.
fn competing(device: &Device, collection: &str, conflict: &Conflict) -> Vec<Vec<String>> {
    let row = |competing: &motomind_core::protocol::records::Competing| {
        let said = value(device, collection, &conflict.field, &competing.value);
        [vec![said], who(device, &competing.by)].concat()
    };
    conflict.values.iter().map(row).collect()
}

pub(crate) fn conflicts(device: &Device, conflicts: &[RecordConflict]) -> Shown {
    if conflicts.is_empty() {
        say!("no values compete");
        return Ok(());
    }
    let mut rows = Vec::new();
    for RecordConflict { record, label, conflict } in conflicts {
        for (place, values) in
            competing(device, &record.collection, conflict).into_iter().enumerate()
        {
            let shown = if place == 0 { "shown" } else { "" };
            let first = [&record.collection, label, &conflict.field].map(Clone::clone);
            rows.push([first.to_vec(), values, vec![shown.to_owned()]].concat());
        }
    }
    table(&["collection", "record", "field", "value", "by", "at", "on", ""], &rows)
}

pub(crate) fn history(device: &Device, record: &RecordRef, revisions: &[Revision]) -> Shown {
    let row = |revision: &Revision| {
        let what = fields(device, &record.collection, &revision.fields);
        [who(device, &revision.by), vec![what]].concat()
    };
    table(&["by", "at", "on", "what"], &revisions.iter().map(row).collect::<Vec<_>>())
}

pub(crate) fn moved(moved: &Moved) -> Shown {
    say!(
        "{} taken back, {} moved to the existing record{}",
        moved.closed.len(),
        moved.moved.len(),
        if moved.filled.is_some() { ", which gets what it lacked" } else { "" }
    );
    Ok(())
}

/// What an operation on a record does, in one line.
pub(crate) fn change(device: &Device, intent: &RecordIntent) -> String {
    let Step { action, patch, reassign_to } = &intent.step;
    let verb = match action {
        Action::Create => "new",
        Action::Edit => "edit",
        Action::Delete => "delete",
        Action::Restore => "restore",
        Action::Nothing => "take back",
    };
    let mut parts = vec![verb.to_owned()];
    parts.extend(patch.iter().map(|(name, edit)| match edit {
        FieldEdit::Set(said) => {
            format!("{name}={}", short(&value(device, &intent.collection, name, said), 44))
        }
        FieldEdit::Keys(keys) => format!("{name}.{}", fields(device, "", keys)),
        FieldEdit::Text(text) => {
            let typed: Vec<_> = text.splices.iter().map(|splice| splice.insert.as_str()).collect();
            format!("{name}: …{}…", short(&typed.join("…"), 44))
        }
    }));
    parts
        .extend(reassign_to.map(|garage| {
            format!("vehicles to {}", label(device, "garages", &garage.to_string()))
        }));
    parts.join(" ")
}
