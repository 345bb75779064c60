//! Creating and editing: judged with the server's own rules, sealed, and durable before it returns.

use std::collections::BTreeSet;

use motomind_protocol::records::schema::{self, Collection, Form};
use motomind_protocol::records::{
    self, Action, DELETED_AT, FieldEdit, Patch, RecordIntent, Signature, Step,
};
use motomind_protocol::wire::Rejection;
use motomind_protocol::{Body, Millis, OpId, Violation, Warning, code};
use rusqlite::types::Value as Column;
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::overlay;
use super::replay::{Replay, Shown, own_signature};
use crate::capture::Draft;
use crate::device::Device;
use crate::error::{CaptureError, StoreError};
use crate::fact::Clock;
use crate::ids::{blob, read_id};
use crate::mirror::RecordRef;
use crate::{open, overlay as events};

/// No device clock is right that says less: 2026-01-01, UTC ms.
const NOW_MIN_MS: Millis = 1_767_225_600_000;

/// An edit that is durable on this device and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Edited {
    /// The record.
    pub record: RecordRef,
    /// The operation; `None` where nothing would have changed.
    pub op_id: Option<OpId>,
    /// What is worth a second look, such as a VIN that this device knows of another vehicle.
    /// Never blocking.
    pub warnings: Vec<Warning>,
}

impl Device {
    /// Creates a record. Its id is made, or follows from what it is about.
    ///
    /// # Errors
    /// [`CaptureError::Invalid`] names the fields to mend; nothing was stored then.
    pub fn create(
        &mut self,
        collection: &str,
        fields: Map<String, Value>,
        clock: impl Into<Clock>,
    ) -> Result<Edited, CaptureError> {
        let clock = clock.into();
        let declared = find(collection)?;
        let id = match declared.key {
            schema::Key::Made => open::new_uuid(&mut self.rng, clock.wall_ms),
            schema::Key::Person => self.who.identity.user_id.0,
            schema::Key::Natural(names) => {
                let missing = names.iter().filter(|name| !fields.contains_key(**name));
                let violations: Vec<_> = missing
                    .map(|name| Violation::new(*name, code::MISSING, format!("{name} is required")))
                    .collect();
                let id = declared.natural_id(&fields);
                id.ok_or(CaptureError::Invalid(violations))?
            }
        };
        self.create_as(&RecordRef::new(collection, id), fields, clock)
    }

    /// Creates a record under an id that the caller has made, so that other records can name it.
    /// What is one record by its natural key, and has own edits that are not settled, is edited.
    ///
    /// # Errors
    /// As [`Device::create`].
    pub fn create_as(
        &mut self,
        record: &RecordRef,
        fields: Map<String, Value>,
        clock: impl Into<Clock>,
    ) -> Result<Edited, CaptureError> {
        self.change(record, clock.into(), |replay, shown| {
            // Two people who create what has a natural key make one record.
            let one = replay.collection.key != schema::Key::Made;
            let before = if one { shown.fields() } else { Map::new() };
            let mut patch = patch_of(replay.collection, &before, fields);
            shown.place_texts(&mut patch);
            let action = match one && replay.shows_own(shown) {
                false => Action::Create,
                // Creations leave before edits. This comes after what this device did before.
                true if shown.deleted_at().is_some() => Action::Restore,
                true if patch.is_empty() => return Ok(None),
                true => Action::Edit,
            };
            Ok(Some(Step { action, patch, reassign_to: None }))
        })
    }

    /// Changes fields of a record; `null` clears one. Long texts and objects are given whole: what
    /// is sealed is what differs from what is shown, character by character and key by key.
    ///
    /// # Errors
    /// [`CaptureError::Invalid`] names the fields to mend, [`CaptureError::UnknownRecord`] that
    /// this device knows no such record; nothing was stored then.
    pub fn edit(
        &mut self,
        record: &RecordRef,
        fields: Map<String, Value>,
        clock: impl Into<Clock>,
    ) -> Result<Edited, CaptureError> {
        self.change(record, clock.into(), |replay, shown| {
            let before = known(replay, shown)?;
            let mut patch = patch_of(replay.collection, &before, fields);
            shown.place_texts(&mut patch);
            let step = Step { action: Action::Edit, patch, reassign_to: None };
            Ok((!step.patch.is_empty()).then_some(step))
        })
    }

    /// Marks a record as deleted; what it says is kept. The vehicles of a deleted garage go to
    /// `reassign_to`, or to none; the server sees to that.
    ///
    /// # Errors
    /// As [`Device::edit`].
    pub fn delete(
        &mut self,
        record: &RecordRef,
        reassign_to: Option<Uuid>,
        clock: impl Into<Clock>,
    ) -> Result<Edited, CaptureError> {
        self.change(record, clock.into(), |replay, shown| {
            known(replay, shown)?;
            let step = Step { action: Action::Delete, patch: Patch::new(), reassign_to };
            Ok(shown.deleted_at().is_none().then_some(step))
        })
    }

    /// Takes the mark of deletion away, within
    /// [`motomind_protocol::limits::RESTORE_DAYS_MAX`] days.
    ///
    /// # Errors
    /// As [`Device::edit`].
    pub fn restore_record(
        &mut self,
        record: &RecordRef,
        clock: impl Into<Clock>,
    ) -> Result<Edited, CaptureError> {
        self.change(record, clock.into(), |replay, shown| {
            known(replay, shown)?;
            let step = Step { action: Action::Restore, patch: Patch::new(), reassign_to: None };
            Ok(shown.deleted_at().is_some().then_some(step))
        })
    }

    /// Decides between competing values: `field` as [`records::Conflict`] names it gets this
    /// value, also where it is the one that is shown.
    ///
    /// # Errors
    /// As [`Device::edit`].
    pub fn resolve(
        &mut self,
        record: &RecordRef,
        field: &str,
        value: Value,
        clock: impl Into<Clock>,
    ) -> Result<Edited, CaptureError> {
        self.change(record, clock.into(), |replay, shown| {
            known(replay, shown)?;
            let mut step = Step { action: Action::Edit, patch: Patch::new(), reassign_to: None };
            match field.split_once('.') {
                _ if field == DELETED_AT && value.is_null() => step.action = Action::Restore,
                _ if field == DELETED_AT => step.action = Action::Delete,
                Some((object, key)) => {
                    let keys = Map::from_iter([(key.to_string(), value)]);
                    step.patch.insert(object.into(), FieldEdit::Keys(keys));
                }
                None => {
                    step.patch.insert(field.into(), FieldEdit::Set(value));
                }
            }
            Ok(Some(step))
        })
    }

    /// Makes a step over what is shown of a record and seals it.
    fn change(
        &mut self,
        record: &RecordRef,
        clock: Clock,
        step: impl FnOnce(&Replay, &Shown) -> Result<Option<Step>, CaptureError>,
    ) -> Result<Edited, CaptureError> {
        let replay = self.replay(record)?;
        let shown = replay.shown();
        let Some(step) = step(&replay, &shown)? else {
            return Ok(Edited { record: record.clone(), op_id: None, warnings: Vec::new() });
        };
        let intent = intent(&replay, step);
        let warnings = self.try_out(&replay, &shown, &intent, clock)?;
        let draft = self.draft(intent, Vec::new(), clock)?;
        let op_id = draft.op_id;
        self.seal_all(vec![draft], Vec::new())?;
        overlay::show(self, BTreeSet::from([record.clone()]));
        Ok(Edited { record: record.clone(), op_id: Some(op_id), warnings })
    }

    /// A record's document and what this device did to it.
    pub(super) fn replay(&mut self, record: &RecordRef) -> Result<Replay, CaptureError> {
        let _ = events::mend(self);
        let collection = find(&record.collection)?;
        Ok(self.noting_damage(Replay::read(&self.conn, collection, record.id))?)
    }

    /// Judges an intent as the server will, over what is shown, and warns of what it knows.
    pub(super) fn try_out(
        &self,
        replay: &Replay,
        shown: &Shown,
        intent: &RecordIntent,
        clock: Clock,
    ) -> Result<Vec<Warning>, CaptureError> {
        self.theirs_to_change(replay, shown.document.as_ref())?;
        let document = shown
            .try_out(intent, self.signature(clock), self.server_now(clock))
            .map_err(|rejection| invalid(*rejection))?;
        self.theirs_to_change(replay, Some(&document))?;
        if document.deleted_at().is_some() {
            return Ok(Vec::new());
        }
        let warnings = rivals(&self.conn, replay, &intent.step.patch, &document.fields());
        Ok(self.noting_damage(warnings)?)
    }

    pub(super) fn signature(&self, clock: Clock) -> Signature {
        own_signature(self.who.device_id, self.who.identity.user_id, clock.wall_ms)
    }

    /// The server's clock, as far as it is known.
    pub(super) fn server_now(&self, clock: Clock) -> Millis {
        let offset = self.sync.clock_offset.map_or(0, |(offset, _)| offset);
        clock.wall_ms.saturating_add(offset).max(NOW_MIN_MS)
    }

    /// An operation for an intent, not sealed yet.
    pub(super) fn draft(
        &mut self,
        intent: RecordIntent,
        supersedes: Vec<OpId>,
        clock: Clock,
    ) -> Result<Draft, CaptureError> {
        let op_id = self.next_op_id(clock.wall_ms);
        let mut needs = Vec::new();
        if intent.step.action != Action::Nothing {
            for id in [intent.record_id].into_iter().chain(named(&intent)) {
                let creation = unsettled_creation(&self.conn, id)?;
                let creation = creation.filter(|op| !supersedes.contains(op));
                needs.extend(creation.filter(|op| !needs.contains(op)));
            }
        }
        let lane = intent.record_id;
        let body = Body::Record(Box::new(intent));
        Ok(Draft { op_id, lane, supersedes, needs, body, clock })
    }
}

/// The collection of that name.
pub(super) fn find(name: &str) -> Result<&'static Collection, CaptureError> {
    schema::find(name).ok_or_else(|| {
        let message = format!("this version knows no collection {name}");
        CaptureError::Invalid(vec![Violation::new("collection", code::UNSUPPORTED, message)])
    })
}

/// What is shown of a record that is there.
pub(super) fn known(replay: &Replay, shown: &Shown) -> Result<Map<String, Value>, CaptureError> {
    match &shown.document {
        Some(document) => Ok(document.fields()),
        None => Err(CaptureError::UnknownRecord(RecordRef::new(replay.collection.name, replay.id))),
    }
}

/// An intent at what is agreed now.
pub(super) fn intent(replay: &Replay, step: Step) -> RecordIntent {
    RecordIntent {
        collection: replay.collection.name.into(),
        record_id: replay.id,
        step,
        heads: replay.agreed.as_ref().map(records::Document::heads).unwrap_or_default(),
        instead: Vec::new(),
        extra: Map::new(),
    }
}

/// A refusal as fields to mend.
pub(super) fn invalid(rejection: Rejection) -> CaptureError {
    let Rejection { code, field, message, violations, .. } = rejection;
    CaptureError::Invalid(match violations.is_empty() {
        true => vec![Violation::new(field.unwrap_or_default(), code, message)],
        false => violations,
    })
}

/// The record with fields as given: each in its form, cleared ones gone.
pub(super) fn with_fields(
    collection: &Collection,
    before: &Map<String, Value>,
    fields: Map<String, Value>,
) -> Map<String, Value> {
    let mut after = before.clone();
    for (name, value) in fields {
        match collection.field(&name) {
            Some(_) if value.is_null() => drop(after.remove(&name)),
            Some(field) => drop(after.insert(name, records::normalised(field.form, value))),
            None => drop(after.insert(name, value)),
        }
    }
    after
}

/// The patch that gives a record these fields. What has no such form goes along as it is, for the
/// rules to name it.
pub(super) fn patch_of(
    collection: &Collection,
    before: &Map<String, Value>,
    fields: Map<String, Value>,
) -> Patch {
    let fits = |name: &str, value: &Value| match collection.field(name).map(|field| field.form) {
        None => false,
        Some(Form::Text(_)) => value.is_string() || value.is_null(),
        Some(Form::Map(_)) => value.is_object() || value.is_null(),
        Some(_) => true,
    };
    let (fitting, odd): (Map<_, _>, Map<_, _>) =
        fields.into_iter().partition(|(name, value)| fits(name, value));
    let after = with_fields(collection, before, fitting);
    let mut patch = records::difference(collection, before, &after);
    patch.extend(odd.into_iter().map(|(name, value)| (name, FieldEdit::Set(value))));
    patch
}

/// Records that an intent names.
fn named(intent: &RecordIntent) -> Vec<Uuid> {
    let Some(collection) = schema::find(&intent.collection) else { return Vec::new() };
    let referred = records::steps(intent).flat_map(|step| records::referred(collection, step));
    referred.map(|(_, _, id)| id).collect()
}

/// The own creation of a record that the server is not known to have accepted.
pub(crate) fn unsettled_creation(
    conn: &Connection,
    record: Uuid,
) -> Result<Option<OpId>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT op_id FROM operations
         WHERE lane = ?1 AND action IS NOT NULL AND action = 'create'
           AND state NOT IN ('accepted', 'superseded')
         ORDER BY pos DESC LIMIT 1",
    )?;
    let creation = statement.query_row([blob(&record)], |row| read_id(row, 0)).optional()?;
    Ok(creation.map(OpId))
}

/// Warns where another live record is known here that has what this one claims.
fn rivals(
    conn: &Connection,
    replay: &Replay,
    patch: &Patch,
    fields: &Map<String, Value>,
) -> Result<Vec<Warning>, StoreError> {
    let mut warnings = Vec::new();
    for claim in records::claims(replay.collection, fields) {
        if !claim.fields.iter().any(|name| patch.contains_key(*name)) {
            continue;
        }
        let mut sql = format!("SELECT label FROM {} WHERE 1 = 1", replay.collection.name);
        let mut values = vec![Column::Blob(blob(&replay.id).to_vec())];
        for (name, value) in claim.fields.iter().zip(&claim.values) {
            match value {
                Value::Null => sql.push_str(&format!(" AND \"{name}\" IS NULL")),
                value => {
                    values.push(match value {
                        Value::String(text) => Column::Text(text.clone()),
                        Value::Bool(flag) => Column::Integer((*flag).into()),
                        other => other.as_i64().map_or(Column::Null, Column::Integer),
                    });
                    sql.push_str(&format!(" AND \"{name}\" = ?{}", values.len()));
                }
            }
        }
        sql.push_str(" AND id <> ?1 AND deleted_at IS NULL LIMIT 1");
        let mut statement = conn.prepare_cached(&sql)?;
        let rival: Option<String> =
            statement.query_row(params_from_iter(values), |row| row.get(0)).optional()?;
        if let Some(rival) = rival {
            let field = claim.fields.first().copied().unwrap_or_default().to_string();
            let message = format!("{rival} has the same {}", claim.fields.join(", "));
            warnings.push(Warning { field, code: claim.code.into(), message });
        }
    }
    Ok(warnings)
}
