//! A refused creation turns out to be a record that exists: two people have registered one car.

mod waiting;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use motomind_protocol::records::RecordIntent;
use motomind_protocol::{Body, OpId, Operation, VehicleId};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::edit::known;
use super::overlay;
use crate::capture::Draft;
use crate::device::Device;
use crate::error::CaptureError;
use crate::fact::Clock;
use crate::ids::blob;
use crate::journal::{self, Stored};
use crate::mirror::RecordRef;
use crate::overlay as events;
use crate::photos::session as sessions;

/// What became of a refused creation that is the same as an existing record.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Moved {
    /// Operations of the refused record that were taken back, since the existing one says all
    /// that they said, or cannot ([`Moved::typed`]).
    pub closed: Vec<OpId>,
    /// The creation, edits of it, and captures and edits that spoke of it; and what speaks of the
    /// existing record instead.
    pub moved: BTreeMap<OpId, OpId>,
    /// The edit that adds to the existing record's texts.
    pub filled: Option<OpId>,
    /// What was typed for the refused record where the existing one says something else.
    pub typed: Vec<Typed>,
}

/// A value that was typed for a refused record that is the same as an existing one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Typed {
    /// The field; `preferences.units` for a key of an object.
    pub field: String,
    /// What was typed.
    pub value: Value,
    /// What the existing record says; null where it says nothing.
    pub existing: Value,
    /// Whether the existing record has it too: as a competing value, to choose from in
    /// [`Device::conflicts`]; a text behind its own. Where not, this and the journal are the only
    /// places that have it: the record cannot take it, or this device had changed the record after
    /// it saw what it says, so that the server would take it for a choice.
    pub kept: bool,
}

impl Device {
    /// Says that a record whose creation was refused is the same as an existing one. In one
    /// durable step everything that spoke of it speaks of the existing record: captures, edits of
    /// other records, and what its creation and edits of it said. That fills what the existing
    /// record lacks; where it says something else, both values compete.
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
        known(&there, &there.shown())?;
        let mut moving = Moving {
            from: refused.id,
            to: existing.id,
            clock,
            moved: Moved::default(),
            drafts: Vec::new(),
            foreign: Vec::new(),
        };
        self.move_words(&old, &there, &mut moving)?;
        self.move_waiting(&mut moving)?;
        let why = format!("the same as {}", existing.id);
        let aside = moving.foreign.into_iter().map(|op_id| (op_id, why.clone()));
        let (from, to) = (moving.from, moving.to);
        let sealed = self.seal_all_and(moving.drafts, aside.collect(), |conn| {
            // What is photographed on it at this moment is of the vehicle that is there.
            sessions::move_to(conn, VehicleId(from), VehicleId(to))
        })?;
        self.show_moved(refused, &moving.moved, sealed)?;
        Ok(moving.moved)
    }

    fn show_moved(
        &mut self,
        refused: &RecordRef,
        moved: &Moved,
        sealed: Vec<Operation>,
    ) -> Result<(), CaptureError> {
        let mut records = BTreeSet::from([refused.clone()]);
        records.extend(sealed.iter().filter_map(overlay::record_of));
        for old in moved.moved.keys() {
            let stored = journal::find(&self.conn, *old)?;
            let operation = stored.map(|stored| stored.operation()).transpose()?;
            records.extend(operation.as_ref().and_then(overlay::record_of));
        }
        overlay::show(self, records);
        events::show(self, sealed.into_iter().filter(|op| op.event().is_some()).collect());
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

    /// What an operation that takes this one's place is to name. An id that turned out to be
    /// another's is not named: the operation is put aside here once the move is durable.
    fn replaced(&self, stored: &Stored, moving: &mut Moving) -> Result<Vec<OpId>, CaptureError> {
        let op_id = stored.sealed.op_id;
        let mut chain = journal::replaced_with(&self.conn, op_id)?;
        if stored.has_a_foreign_id() {
            chain.remove(0);
            moving.foreign.push(op_id);
        }
        Ok(chain)
    }
}

/// A move that is being prepared.
struct Moving {
    from: Uuid,
    to: Uuid,
    clock: Clock,
    moved: Moved,
    drafts: Vec<Draft>,
    /// Operations whose ids are another's.
    foreign: Vec<OpId>,
}

impl Moving {
    /// Takes up what speaks in an operation's place.
    fn replace(&mut self, old: OpId, draft: Draft) {
        self.moved.moved.insert(old, draft.op_id);
        self.drafts.push(draft);
    }

    /// The creation of a record that is itself being moved.
    fn creation_of(&self, record: Uuid) -> Option<OpId> {
        let creates = |intent: &RecordIntent| {
            intent.record_id == record
                && intent.step.action == motomind_protocol::records::Action::Create
        };
        let creation = self.drafts.iter().find(|draft| match &draft.body {
            Body::Record(intent) => creates(intent),
            _ => false,
        });
        creation.map(|draft| draft.op_id)
    }
}
