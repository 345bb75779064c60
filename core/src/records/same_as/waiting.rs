//! What waits for the refused record waits for the existing one.

use std::collections::BTreeMap;

use motomind_protocol::flow::Standing;
use motomind_protocol::records::schema::{Collection, Key};
use motomind_protocol::records::{Action, FieldEdit, Form, RecordIntent, Step, TextEdit};
use motomind_protocol::{Body, EventId, OpId, VehicleId};
use serde_json::Value;
use uuid::Uuid;

use super::super::edit::{find, unsettled_creation};
use super::Moving;
use crate::capture::Draft;
use crate::device::Device;
use crate::error::CaptureError;
use crate::journal::{self, Stored};

/// Records and what they are called from now on. One whose id follows from the refused record's is
/// another record then, too.
type Renamed = BTreeMap<Uuid, Uuid>;

impl Device {
    /// Lets what speaks of the refused record speak of the existing one.
    pub(super) fn move_waiting(&mut self, moving: &mut Moving) -> Result<(), CaptureError> {
        let mut renamed = Renamed::from([(moving.from, moving.to)]);
        let (mut facts, mut creations, mut edits) = (Vec::new(), Vec::new(), Vec::new());
        for stored in self.unsettled()? {
            let operation = stored.operation()?;
            let is_of_it = operation.vehicle().is_some_and(|vehicle| vehicle.0 == moving.from);
            match operation.body {
                body if is_of_it => facts.push((stored, body)),
                Body::Record(intent) if intent.record_id != moving.from => {
                    if intent.step.action == Action::Create && is_by_key(&intent)? {
                        creations.push((stored, *intent));
                    } else {
                        edits.push((stored, *intent));
                    }
                }
                _ => {}
            }
        }
        // First what is another record from now on: an amended creation is behind its edits.
        for (stored, intent) in creations {
            if let Some(intent) = made_anew(intent, &mut renamed)? {
                self.move_edit(intent, &stored, moving)?;
            }
        }
        for (stored, mut intent) in edits {
            if rename(&mut intent, &renamed)? {
                self.move_edit(intent, &stored, moving)?;
            }
        }
        for (stored, body) in facts {
            self.move_fact(body, &stored, moving)?;
        }
        Ok(())
    }

    /// Operations that have not come to rest, in the order of capture.
    fn unsettled(&self) -> Result<Vec<Stored>, CaptureError> {
        let sql = format!(
            "SELECT {} FROM operations WHERE state NOT IN ('accepted', 'superseded') ORDER BY pos",
            journal::STORED
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut unsettled = Vec::new();
        while let Some(row) = rows.next()? {
            unsettled.push(Stored::read(row)?);
        }
        Ok(unsettled)
    }

    /// A capture, or what is said of one: its photos, its place, the session that it came of.
    fn move_fact(
        &mut self,
        mut body: Body,
        stored: &Stored,
        moving: &mut Moving,
    ) -> Result<(), CaptureError> {
        let op_id = self.next_op_id(moving.clock.wall_ms);
        let moved = |id: EventId| {
            let moved = moving.moved.moved.get(&id.into());
            moved.map_or(id, |op| EventId::from(*op))
        };
        let vehicle = VehicleId(moving.to);
        match &mut body {
            Body::Event(event) => {
                event.corrects = event.corrects.map(moved);
                event.id = op_id.into();
                event.vehicle_id = vehicle;
            }
            Body::Photo(said) => {
                said.event_id = moved(said.event_id);
                said.vehicle_id = vehicle;
            }
            Body::LocationCorrection(said) => {
                said.event_id = moved(said.event_id);
                said.vehicle_id = vehicle;
            }
            Body::Session(session) => {
                if let Standing::Completed { event_id, .. } = &mut session.standing {
                    *event_id = moved(*event_id);
                }
                session.vehicle_id = vehicle;
            }
            Body::Record(_) | Body::Other(_) => {}
        }
        let supersedes = self.replaced(stored, moving)?;
        let lane = moving.to;
        let needs = unsettled_creation(&self.conn, lane)?.into_iter().collect();
        let draft = Draft { op_id, lane, supersedes, needs, body, clock: moving.clock };
        moving.replace(stored.sealed.op_id, draft);
        Ok(())
    }

    fn move_edit(
        &mut self,
        mut intent: RecordIntent,
        stored: &Stored,
        moving: &mut Moving,
    ) -> Result<(), CaptureError> {
        follow_texts(&mut intent, &moving.moved.moved);
        let supersedes = self.replaced(stored, moving)?;
        let creation = match intent.step.action {
            Action::Create => None,
            _ => moving.creation_of(intent.record_id),
        };
        let mut draft = self.draft(intent, supersedes, moving.clock)?;
        draft.needs.extend(creation);
        moving.replace(stored.sealed.op_id, draft);
        Ok(())
    }
}

fn is_by_key(intent: &RecordIntent) -> Result<bool, CaptureError> {
    Ok(matches!(find(&intent.collection)?.key, Key::Natural(_)))
}

/// A creation whose id follows from the record that it is about: of another record, from now on.
fn made_anew(
    mut intent: RecordIntent,
    renamed: &mut Renamed,
) -> Result<Option<RecordIntent>, CaptureError> {
    let collection = find(&intent.collection)?;
    let before = intent.record_id;
    if !rename(&mut intent, renamed)? {
        return Ok(None);
    }
    let set = intent.step.patch.iter().filter_map(|(name, edit)| match edit {
        FieldEdit::Set(value) => Some((name.clone(), value.clone())),
        _ => None,
    });
    if let Some(id) = collection.natural_id(&set.collect()) {
        renamed.insert(before, id);
        be_of(&mut intent, id);
    }
    Ok(Some(intent))
}

/// Names the existing records in place of those that they are the same as. Returns whether the
/// intent named one.
fn rename(intent: &mut RecordIntent, renamed: &Renamed) -> Result<bool, CaptureError> {
    let collection = find(&intent.collection)?;
    let mut named = rename_in(&mut intent.step, collection, renamed);
    for instead in &mut intent.instead {
        named |= rename_in(&mut instead.step, collection, renamed);
    }
    if let Some(id) = renamed.get(&intent.record_id) {
        be_of(intent, *id);
        named = true;
    }
    Ok(named)
}

/// The intent becomes one on another record, of which the person has seen nothing.
fn be_of(intent: &mut RecordIntent, id: Uuid) {
    if intent.record_id != id {
        intent.record_id = id;
        intent.heads.clear();
        intent.instead.clear();
    }
}

fn rename_in(step: &mut Step, collection: &'static Collection, renamed: &Renamed) -> bool {
    let mut named = false;
    for (name, edit) in &mut step.patch {
        let refers = matches!(collection.field(name).map(|field| field.form), Some(Form::Ref(_)));
        if let (true, FieldEdit::Set(Value::String(id))) = (refers, edit)
            && let Some(new) = Uuid::parse_str(id).ok().and_then(|id| renamed.get(&id))
        {
            *id = new.to_string();
            named = true;
        }
    }
    if let Some(new) = step.reassign_to.and_then(|id| renamed.get(&id)) {
        step.reassign_to = Some(*new);
        named = true;
    }
    named
}

/// Texts that were written over others of the same record count over what took their place.
fn follow_texts(intent: &mut RecordIntent, moved: &BTreeMap<OpId, OpId>) {
    for edit in intent.step.patch.values_mut() {
        if let FieldEdit::Text(TextEdit { over, .. }) = edit {
            for over in over {
                over.op_id = moved.get(&over.op_id).copied().unwrap_or(over.op_id);
            }
        }
    }
}
