//! A refused creation turns out to be a record that exists: two people have registered one car.

use std::collections::{BTreeMap, BTreeSet};

use motomind_protocol::records::schema::Key;
use motomind_protocol::records::{Action, FieldEdit, RecordIntent};
use motomind_protocol::{Body, Event, EventId, OpId, VehicleId};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::edit::{intent, known, patch_of, unsettled_creation};
use super::{overlay, replay::Replay};
use crate::capture::Draft;
use crate::device::Device;
use crate::error::CaptureError;
use crate::fact::Clock;
use crate::ids::blob;
use crate::journal::{self, Stored};
use crate::mirror::RecordRef;
use crate::{open, overlay as events};

/// What became of a refused creation that is the same as an existing record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Operations of the refused record that were taken back.
    pub closed: Vec<OpId>,
    /// Captures and edits that spoke of it, and what speaks of the existing record instead.
    pub moved: BTreeMap<OpId, OpId>,
    /// The edit that fills what the existing record lacked.
    pub filled: Option<OpId>,
}

impl Device {
    /// Says that a record whose creation was refused is the same as an existing one. In one
    /// durable step its creation and the edits of it are taken back, captures and edits of other
    /// records that wait for it move to the existing record, and what that one lacks is filled
    /// from it.
    ///
    /// # Errors
    /// [`CaptureError::NotRefused`], [`CaptureError::UnknownRecord`] for the existing one;
    /// nothing was stored then.
    pub fn same_as(
        &mut self,
        refused: &RecordRef,
        existing: &RecordRef,
        clock: impl Into<Clock>,
    ) -> Result<Moved, CaptureError> {
        let clock = clock.into();
        let _ = events::mend(self);
        let _ = events::catch_up(self);
        let old = self.replay(refused)?;
        let is_refused = old.own.iter().any(|own| own.refused && own.creates());
        if !is_refused || refused.collection != existing.collection || refused.id == existing.id {
            return Err(CaptureError::NotRefused);
        }
        let there = self.replay(existing)?;
        let before = known(&there, &there.shown())?;
        let mut moving = Moving {
            from: refused.id,
            to: existing.id,
            moved: Moved::default(),
            drafts: Vec::new(),
        };
        self.close_record(&old, &mut moving, clock)?;
        self.move_waiting(&mut moving, clock)?;
        self.fill(&old, &there, &before, &mut moving, clock)?;
        let sealed = self.seal_all(moving.drafts)?;
        let mut records = BTreeSet::from([refused.clone(), existing.clone()]);
        records.extend(sealed.iter().filter_map(overlay::record_of));
        for old in moving.moved.moved.keys() {
            let stored = journal::find(&self.conn, *old)?;
            let operation = stored.map(|stored| stored.operation()).transpose()?;
            records.extend(operation.as_ref().and_then(overlay::record_of));
        }
        overlay::show(self, records);
        events::show(self, sealed.into_iter().filter(|op| op.event().is_some()).collect());
        Ok(moving.moved)
    }

    /// Takes the refused creation back, and every edit of it.
    fn close_record(
        &mut self,
        old: &Replay,
        moving: &mut Moving,
        clock: Clock,
    ) -> Result<(), CaptureError> {
        // Edits first: each is taken back from what the ones before it have left.
        for own in old.own.iter().rev() {
            if let Some(draft) = self.discard_draft(own.op_id, clock)? {
                moving.moved.closed.push(own.op_id);
                moving.drafts.push(draft);
            }
        }
        Ok(())
    }

    /// Lets what speaks of the refused record speak of the existing one.
    fn move_waiting(&mut self, moving: &mut Moving, clock: Clock) -> Result<(), CaptureError> {
        let mut waiting: Vec<Stored> = Vec::new();
        {
            let sql = format!(
                "SELECT {} FROM operations WHERE state NOT IN ('accepted', 'superseded') \
                 ORDER BY pos",
                journal::STORED
            );
            let mut statement = self.conn.prepare_cached(&sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                waiting.push(Stored::read(row)?);
            }
        }
        for stored in waiting {
            let operation = stored.operation()?;
            match operation.body {
                Body::Event(event) if event.vehicle_id.0 == moving.from => {
                    self.move_event(*event, &stored, moving, clock)?;
                }
                Body::Record(intent) if intent.record_id != moving.from => {
                    self.move_edit(*intent, &stored, moving, clock)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn move_event(
        &mut self,
        mut event: Event,
        stored: &Stored,
        moving: &mut Moving,
        clock: Clock,
    ) -> Result<(), CaptureError> {
        let old = stored.sealed.op_id;
        let op_id = OpId(open::new_uuid(&mut self.rng, clock.wall_ms));
        let moved = |id: EventId| moving.moved.moved.get(&id.into()).map(|op| EventId::from(*op));
        event.corrects = event.corrects.map(|id| moved(id).unwrap_or(id));
        event.id = op_id.into();
        event.vehicle_id = VehicleId(moving.to);
        let supersedes = journal::replaced_with(&self.conn, old)?;
        let lane = moving.to;
        let body = Body::Event(Box::new(event));
        let needs = unsettled_creation(&self.conn, lane)?.into_iter().collect();
        moving.drafts.push(Draft { op_id, lane, supersedes, needs, body, clock });
        moving.moved.moved.insert(old, op_id);
        Ok(())
    }

    /// An unsettled edit of another record that names the refused one. One that is about it by its
    /// natural key becomes another record.
    fn move_edit(
        &mut self,
        mut intent: RecordIntent,
        stored: &Stored,
        moving: &mut Moving,
        clock: Clock,
    ) -> Result<(), CaptureError> {
        let collection = super::edit::find(&intent.collection)?;
        let mut renamed = false;
        let steps = [&mut intent.step].into_iter();
        for step in steps.chain(intent.instead.iter_mut().map(|instead| &mut instead.step)) {
            for edit in step.patch.values_mut() {
                if let FieldEdit::Set(Value::String(id)) = edit
                    && Uuid::parse_str(id).is_ok_and(|id| id == moving.from)
                {
                    *id = moving.to.to_string();
                    renamed = true;
                }
            }
        }
        if !renamed {
            return Ok(());
        }
        let old = stored.sealed.op_id;
        let by_key = matches!(collection.key, Key::Natural(_));
        let draft = if by_key && intent.step.action == Action::Create {
            moving.drafts.extend(self.discard_draft(old, clock)?);
            moving.moved.closed.push(old);
            let set = intent.step.patch.iter().filter_map(|(name, edit)| match edit {
                FieldEdit::Set(value) => Some((name.clone(), value.clone())),
                _ => None,
            });
            let Some(id) = collection.natural_id(&set.collect()) else { return Ok(()) };
            intent.record_id = id;
            intent.instead.clear();
            self.draft(intent, Vec::new(), clock)?
        } else {
            let supersedes = journal::replaced_with(&self.conn, old)?;
            self.draft(intent, supersedes, clock)?
        };
        moving.moved.moved.insert(old, draft.op_id);
        moving.drafts.push(draft);
        Ok(())
    }

    /// Gives the existing record what it lacks and the refused one had.
    fn fill(
        &mut self,
        old: &Replay,
        there: &Replay,
        before: &Map<String, Value>,
        moving: &mut Moving,
        clock: Clock,
    ) -> Result<(), CaptureError> {
        let mut lacking = old.shown().fields();
        lacking.retain(|name, _| !before.contains_key(name) && !there.collection.is_key(name));
        let mut patch = patch_of(there.collection, before, lacking);
        there.shown().place_texts(&mut patch);
        if patch.is_empty() {
            return Ok(());
        }
        let step =
            motomind_protocol::records::Step { action: Action::Edit, patch, reassign_to: None };
        let draft = self.draft(intent(there, step), Vec::new(), clock)?;
        moving.moved.filled = Some(draft.op_id);
        moving.drafts.push(draft);
        Ok(())
    }

    /// Captures and edits that wait for a record whose creation was refused.
    ///
    /// # Errors
    /// [`crate::StoreError`] when the journal cannot be read.
    pub fn waiting_for(&self, record: &RecordRef) -> Result<u64, crate::StoreError> {
        let count: i64 = self
            .conn
            .prepare_cached(
                "SELECT count(*) FROM operations
                 WHERE lane = ?1 AND state NOT IN ('accepted', 'superseded')
                   AND coalesce(action, '') <> 'create'",
            )?
            .query_row([blob(&record.id)], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }
}

/// A move that is being prepared.
struct Moving {
    from: Uuid,
    to: Uuid,
    moved: Moved,
    drafts: Vec<Draft>,
}
