//! Turning an intent into a change. The server does it for good; a device does the same over its
//! copy to show what is pending.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::document::{CannotPut, Document, Put, Signature};
use super::form::{check, check_value, normalised};
use super::intent::{Action, FieldEdit, Patch, RecordIntent, Step, TextEdit};
use super::moved::moved;
use super::schema::{self, Collection, Form, Key};
use super::text;
use crate::wire::Rejection;
use crate::{Hash, Millis, OpId, Role, UserId, Violation, code, limits};

/// What stands around an intent when it is judged.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// Who did it.
    pub signature: Signature,
    /// The clock of whoever judges, UTC ms.
    pub now: Millis,
    /// Those of the operations that the intent names as earlier ones which are in the document.
    pub accepted: &'a [OpId],
}

/// An intent that has become a change.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The document with it.
    pub document: Document,
    /// The new changes, for those who have the document as it was; none where nothing changed.
    pub changes: Vec<Vec<u8>>,
    /// Whether all the heads that the person saw are known. Where not, the change counts as
    /// concurrent to what they saw and this document no longer has: competing values show.
    pub heads_known: bool,
}

/// Takes a step of an intent over a record's document, `None` where there is no record yet.
///
/// Uniqueness and references need the other records: see [`super::claims()`] and
/// [`super::references`].
///
/// # Errors
/// A [`Rejection`] that names the field to mend; nothing has changed then.
pub fn take(
    existing: Option<&Document>,
    intent: &RecordIntent,
    step: &Step,
    around: &Circumstances<'_>,
) -> Result<Taken, Box<Rejection>> {
    let collection = schema::find(&intent.collection).ok_or_else(|| {
        let message = format!("this version knows no collection {}", intent.collection);
        Box::new(Rejection::new(code::UNSUPPORTED, message).field("collection"))
    })?;
    take_in(collection, existing, intent, step, around)
}

/// As [`take`], where the collection that the intent names is at hand.
///
/// # Errors
/// As [`take`].
pub fn take_in(
    collection: &'static Collection,
    existing: Option<&Document>,
    intent: &RecordIntent,
    step: &Step,
    around: &Circumstances<'_>,
) -> Result<Taken, Box<Rejection>> {
    let id = intent.record_id;
    let fresh;
    let document = match (existing, step.action) {
        (Some(document), Action::Create) if collection.key == Key::Made => {
            return Err(Box::new(id_taken(document)));
        }
        (Some(document), _) => document,
        (None, Action::Create) => {
            fresh = Document::new(collection, id);
            &fresh
        }
        (None, _) => {
            let message = "this record does not exist; create it first";
            let refused = Rejection::new(code::UNKNOWN_RECORD, message).field("record_id");
            return Err(Box::new(refused));
        }
    };
    let before = if existing.is_some() { document.heads() } else { Vec::new() };
    let seen = document.known(&intent.heads);
    let puts = puts(document, &intent.heads, step, around)?;
    let mut document = document.clone();
    document
        .put(id, &intent.heads, &around.signature, puts)
        .map_err(|error| Box::new(refusal(error)))?;
    let fields = document.fields();
    check_whole(collection, &fields, step, around)?;
    if step.action == Action::Create {
        check_key(collection, id, &fields, around)?;
    }
    let changes = document.changes_since(&before);
    if changes.iter().any(|change| change.len() > limits::CHANGE_BYTES_MAX) {
        let message = "this changes more at once than a change can hold; do it in parts";
        return Err(Box::new(Rejection::new(code::TOO_LARGE, message)));
    }
    Ok(Taken { document, changes, heads_known: seen.len() == intent.heads.len() })
}

/// Checks what the record has become. What was wrong before and is not touched stays as it is.
fn check_whole(
    collection: &Collection,
    fields: &Map<String, Value>,
    step: &Step,
    around: &Circumstances<'_>,
) -> Result<(), Box<Rejection>> {
    let Err(mut violations) = check(collection, fields, around.now) else {
        return Ok(());
    };
    if step.action != Action::Create {
        violations.retain(|violation| step.patch.contains_key(&violation.field));
    }
    if violations.is_empty() { Ok(()) } else { Err(Box::new(violations.into())) }
}

fn id_taken(document: &Document) -> Rejection {
    let message = format!("another record of {} has this id", document.collection().name);
    Rejection::new(code::RECORD_ID_TAKEN, message).field("record_id")
}

fn refusal(error: CannotPut) -> Rejection {
    let message = error.to_string();
    match error {
        CannotPut::OutOfRange(field) => Rejection::new(code::OUT_OF_RANGE, message).field(field),
        CannotPut::Automerge(_) | CannotPut::Mismatch => Rejection::new(code::MALFORMED, message),
    }
}

/// What a step puts into the document, each value in its field's form.
fn puts(
    document: &Document,
    heads: &[Hash],
    step: &Step,
    around: &Circumstances<'_>,
) -> Result<Vec<Put>, Box<Rejection>> {
    let mut puts = patched(document, heads, step, around)?;
    match step.action {
        // Whoever creates what was deleted, by its natural key, wants it to be there.
        Action::Create if document.deleted_at().is_some() => puts.push(Put::DeletedAt(None)),
        Action::Create | Action::Edit | Action::Nothing => {}
        Action::Delete if document.deleted_at().is_some() => {}
        Action::Delete => puts.push(Put::DeletedAt(Some(around.now))),
        Action::Restore => {
            let limit = limits::RESTORE_DAYS_MAX * limits::DAY_MS;
            match document.deleted_at() {
                Some(at) if around.now.saturating_sub(at) > limit => {
                    let days = limits::RESTORE_DAYS_MAX;
                    let message = format!("a record can be restored for {days} days");
                    return Err(Box::new(Rejection::new(code::RESTORE_EXPIRED, message)));
                }
                Some(_) => puts.push(Put::DeletedAt(None)),
                None => {}
            }
        }
    }
    Ok(puts)
}

fn patched(
    document: &Document,
    heads: &[Hash],
    step: &Step,
    around: &Circumstances<'_>,
) -> Result<Vec<Put>, Box<Rejection>> {
    let collection = document.collection();
    let (patch, action) = (&step.patch, step.action);
    let mut puts = Vec::with_capacity(patch.len());
    let mut out: Vec<Violation> = Vec::new();
    for (name, edit) in patch {
        let Some(field) = collection.field(name) else {
            let message = format!("{} has no field {name}", collection.name);
            out.push(Violation::new(name, code::UNKNOWN_FIELD, message));
            continue;
        };
        match (field.form, edit) {
            (Form::Text(_), FieldEdit::Text(edit)) if edit.over.len() > limits::OVER_MAX => {
                let most = limits::OVER_MAX;
                let message = format!("{name} changes over at most {most} earlier changes");
                out.push(Violation::new(name, code::TOO_LONG, message));
            }
            (Form::Text(max), FieldEdit::Text(edit)) => {
                match moved(document, name, heads, edit, around) {
                    Some(splices) if splices.iter().all(|s| s.insert.chars().count() <= max) => {
                        puts.push(Put::Text(field.name, splices));
                    }
                    Some(_) => {
                        let message = format!("{name} may have at most {max} characters");
                        out.push(Violation::new(name, code::TOO_LONG, message));
                    }
                    None => {
                        let message =
                            format!("{name} changes in places that overlap or do not ascend");
                        out.push(Violation::new(name, code::OUT_OF_RANGE, message));
                    }
                }
            }
            (Form::Map(_), FieldEdit::Keys(keys)) => {
                let whole = Value::Object(keys.clone());
                match check_value(field, &whole, around.now) {
                    Ok(()) if keys.contains_key("") => {
                        let message = format!("{name} may not have an empty key");
                        out.push(Violation::new(name, code::BAD_FORMAT, message));
                    }
                    Ok(()) => puts.push(Put::Keys(field.name, keys.clone())),
                    Err(violation) => out.push(violation),
                }
            }
            (Form::Text(_) | Form::Map(_), _) | (_, FieldEdit::Text(_) | FieldEdit::Keys(_)) => {
                let message = format!("{name} is not changed in this way");
                out.push(Violation::new(name, code::WRONG_TYPE, message));
            }
            (form, FieldEdit::Set(value)) => {
                let value = normalised(form, value.clone());
                if !value.is_null() {
                    out.extend(check_value(field, &value, around.now).err());
                } else if field.required {
                    let message = format!("{name} is required");
                    out.push(Violation::new(name, code::MISSING, message));
                }
                let changes_key = action != Action::Create
                    && collection.is_key(name)
                    && document.fields().get(name.as_str()) != Some(&value);
                if changes_key {
                    let message = format!("{name} is part of what the record is; make another");
                    out.push(Violation::new(name, code::IMMUTABLE, message));
                }
                puts.push(Put::Value(field.name, form, value));
            }
        }
    }
    if out.is_empty() { Ok(puts) } else { Err(Box::new(out.into())) }
}

fn check_key(
    collection: &Collection,
    id: Uuid,
    fields: &Map<String, Value>,
    around: &Circumstances<'_>,
) -> Result<(), Box<Rejection>> {
    let wanted = match collection.key {
        Key::Made => return Ok(()),
        Key::Natural(_) => collection.natural_id(fields),
        Key::Person => around.signature.user.and_then(|user| collection.personal_id(user)),
    };
    if wanted == Some(id) {
        return Ok(());
    }
    let message = format!("the id of this record follows from what it is about: {wanted:?}");
    Err(Box::new(Rejection::new(code::ID_MISMATCH, message).field("record_id")))
}

/// Whether a role may do this to records.
#[must_use]
pub fn may(role: Role, action: Action) -> bool {
    match action {
        Action::Create | Action::Edit | Action::Nothing => role >= Role::Technician,
        Action::Delete | Action::Restore => role >= Role::Manager,
    }
}

/// Whether this person may change a record with these fields, or make it one with these fields.
/// What is a person's (a profile, preferences, conversations) that person changes, and a manager.
///
/// # Errors
/// The refusal; its field says whose the record is.
pub fn may_touch(
    collection: &Collection,
    id: Uuid,
    fields: &Map<String, Value>,
    user: UserId,
    role: Role,
) -> Result<(), Box<Rejection>> {
    let (field, owner) = match collection.key {
        Key::Person => ("record_id", Some(UserId(id))),
        _ => {
            let Some(named) = collection.fields.iter().find(|field| field.form == Form::Person)
            else {
                return Ok(());
            };
            let owner = fields.get(named.name).and_then(Value::as_str);
            (named.name, owner.and_then(|owner| owner.parse().ok()))
        }
    };
    if role >= Role::Manager || owner.is_none_or(|owner| owner == user) {
        return Ok(());
    }
    let message = "it is someone else's; they change it themselves, or a manager does";
    Err(Box::new(Rejection::new(code::FORBIDDEN, message).field(field)))
}

/// Brings a document to what a row says, for what was written beside the documents: fields that
/// differ get the row's value, texts by their difference.
///
/// # Errors
/// [`super::BadDocument`] where the document cannot take it.
pub fn absorb(
    existing: Option<&Document>,
    collection: &'static Collection,
    id: Uuid,
    row: &Map<String, Value>,
    deleted_at: Option<Millis>,
    signature: &Signature,
) -> Result<Taken, super::BadDocument> {
    let fresh = Document::new(collection, id);
    let document = existing.unwrap_or(&fresh);
    let before = existing.map(Document::heads).unwrap_or_default();
    let shown = document.fields();
    let mut puts = Vec::new();
    for field in collection.fields {
        let (old, new) = (shown.get(field.name), row.get(field.name).filter(|v| !v.is_null()));
        if old == new {
            continue;
        }
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("").to_string();
        puts.push(match field.form {
            Form::Text(_) => Put::Text(field.name, text::difference(&text(old), &text(new))),
            Form::Map(_) => Put::Keys(field.name, keys_between(old, new)),
            form => Put::Value(field.name, form, new.cloned().unwrap_or_default()),
        });
    }
    if document.deleted_at() != deleted_at {
        puts.push(Put::DeletedAt(deleted_at));
    }
    let mut document = document.clone();
    let heads = document.heads();
    document
        .put(id, &heads, signature, puts)
        .map_err(|error| super::BadDocument::Unreadable(error.to_string()))?;
    let changes = document.changes_since(&before);
    Ok(Taken { document, changes, heads_known: true })
}

fn keys_between(old: Option<&Value>, new: Option<&Value>) -> Map<String, Value> {
    let empty = Map::new();
    let old = old.and_then(Value::as_object).unwrap_or(&empty);
    let new = new.and_then(Value::as_object).unwrap_or(&empty);
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    let gone = gone.map(|key| (key.clone(), Value::Null));
    let set = new.iter().filter(|(key, value)| old.get(*key) != Some(*value));
    gone.chain(set.map(|(key, value)| (key.clone(), value.clone()))).collect()
}

/// The edit that makes one record of another, as a person sees them: what changed, field by field.
#[must_use]
pub fn difference(
    collection: &Collection,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> Patch {
    let mut patch = Patch::new();
    for field in collection.fields {
        let (old, new) = (before.get(field.name), after.get(field.name).filter(|v| !v.is_null()));
        if old == new {
            continue;
        }
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("").to_string();
        let edit = match field.form {
            Form::Text(_) => {
                let splices = text::difference(&text(old), &text(new));
                FieldEdit::Text(TextEdit { splices, over: Vec::new() })
            }
            Form::Map(_) => FieldEdit::Keys(keys_between(old, new)),
            _ => FieldEdit::Set(new.cloned().unwrap_or_default()),
        };
        patch.insert(field.name.into(), edit);
    }
    patch
}
