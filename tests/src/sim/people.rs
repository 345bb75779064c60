//! What people do with what they captured: amend, discard, retry; and they correct each other.

use motomind_core::{CaptureError, TimelineEntry};
use motomind_protocol::effective::Act;
use motomind_protocol::{EventId, Millis, OpId, OpState, registry};
use serde_json::json;

use super::capture::How;
use super::ledger::Fact;
use super::world::{Checked, World};

impl World {
    fn shown(&self, index: usize, mut which: impl FnMut(&TimelineEntry) -> bool) -> Vec<OpId> {
        let entries = self.phones[index].timeline().unwrap_or_default();
        let chosen = entries.iter().filter(|entry| which(entry));
        chosen.map(|entry| entry.event_id.into()).collect()
    }

    /// Amends or discards a capture of this phone: pending, refused or accepted.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn mend(&mut self, index: usize, discard: bool) -> Checked {
        let held = self.phones[index].held.clone();
        let standing = self.shown(index, |entry| {
            held.contains(&entry.event_id.into())
                && (!entry.hidden || entry.state != OpState::Accepted)
                && Act::of_type(&entry.kind).states_a_fact()
        });
        match self.dice.pick(&standing).copied() {
            Some(op) => self.mend_one(index, op, discard),
            None => Ok(()),
        }
    }

    /// Amends or discards one capture.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn mend_one(&mut self, index: usize, op: OpId, discard: bool) -> Checked {
        let clock = self.phones[index].clock(self.now);
        let Some(fact) = self.ledger.fact(op).cloned() else {
            return Ok(());
        };
        // Of an id that is another's, only the device knows what may be said.
        if discard && (self.ledger.reused.contains(&op) || self.dice.permille(500)) {
            return self.discard(index, op, &fact, clock);
        }
        let mut capture = self.invent(index);
        capture.vehicle_id = fact.vehicle;
        if !discard && self.dice.permille(100) {
            // It was another vehicle.
            capture.vehicle_id = self.dice.pick(&self.vehicles).copied().unwrap_or(fact.vehicle);
        }
        if discard {
            capture.kind = registry::RETRACTION.into();
            capture.corrects = Some(op.into());
            capture.miles = None;
        }
        self.capture(index, capture, How::Instead(op))
    }

    fn discard(&mut self, index: usize, op: OpId, fact: &Fact, clock: Millis) -> Checked {
        let Some(device) = self.phones[index].device.as_mut() else {
            return Ok(());
        };
        let result = device.discard(op, "not mine", clock);
        self.note(|| format!("{index} discards {op}: {:?}", result.as_ref().err()));
        match result {
            Ok(captured) if captured.op_id == op => {
                self.ledger.set_aside.insert(op);
                self.trace.count("set aside");
                self.ask(index)
            }
            Ok(captured) => {
                // Of an amendment to another vehicle, what had arrived is taken back where it is.
                let device = self.phones[index].device.as_ref();
                let pending = device.and_then(|device| device.pending(clock).ok());
                let pending = pending.unwrap_or_default();
                let item = pending.into_iter().find(|item| item.op_id == captured.op_id);
                let event = item.and_then(|item| item.event);
                let fact = Fact {
                    vehicle: event.map_or(fact.vehicle, |event| event.vehicle_id),
                    notes: None,
                    miles: None,
                    replaces: Some(op),
                    discard: true,
                    corrects: None,
                    set_aside: false,
                };
                self.ledger.add(captured.op_id, fact);
                self.told(index, captured.op_id, Ok(captured))
            }
            // Its own id is not known; that of its target is.
            Err(CaptureError::AlreadySuperseded | CaptureError::UnknownOperation) => Ok(()),
            other => self.told(index, op, other),
        }
    }

    /// Corrects or retracts what someone else captured.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn correct_another(&mut self, index: usize) -> Checked {
        let held = self.phones[index].held.clone();
        let others = self.shown(index, |entry| {
            !held.contains(&entry.event_id.into())
                && entry.state == OpState::Accepted
                && !entry.hidden
        });
        let Some(op) = self.dice.pick(&others).copied() else {
            return Ok(());
        };
        let entries = self.phones[index].timeline().unwrap_or_default();
        let entry = entries.iter().find(|entry| entry.event_id == EventId::from(op));
        let Some(vehicle) = entry.map(|entry| entry.vehicle_id) else {
            return Ok(());
        };
        let mut capture = self.invent(index);
        capture.vehicle_id = vehicle;
        capture.corrects = Some(op.into());
        capture.reason = Some("seen otherwise".into());
        if self.dice.permille(300) {
            capture.kind = registry::RETRACTION.into();
            capture.miles = None;
        } else if self.dice.permille(200) {
            capture.payload.insert("correction".into(), json!(true));
        }
        self.capture(index, capture, How::New)
    }

    /// Brings back something that was retracted, one's own or someone else's.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn bring_back(&mut self, index: usize) -> Checked {
        let hidden = self.shown(index, |entry| {
            entry.hidden
                && entry.state == OpState::Accepted
                && Act::of_type(&entry.kind).states_a_fact()
        });
        let Some(device) = self.phones[index].device.as_ref() else {
            return Ok(());
        };
        let retracted = |op: &OpId| {
            let event = EventId::from(*op);
            let family = device.family(event).ok().flatten()?;
            let one = family.members.into_iter().find(|one| one.entry.event_id == event)?;
            one.retracted.then_some((*op, one.entry.vehicle_id))
        };
        let retracted: Vec<_> = hidden.iter().filter_map(retracted).collect();
        let Some((op, vehicle)) = self.dice.pick(&retracted).copied() else {
            return Ok(());
        };
        self.trace.count("brought back");
        let mut capture = self.invent(index);
        capture.vehicle_id = vehicle;
        capture.kind = registry::RESTORATION.into();
        capture.miles = None;
        capture.corrects = Some(op.into());
        capture.reason = Some("it was right".into());
        self.capture(index, capture, How::New)
    }

    /// Presses "try again" on something refused.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn retry(&mut self, index: usize) -> Checked {
        let refused = self.pending_as(index, &[OpState::Rejected])?;
        let clock = self.phones[index].clock(self.now);
        let Some((op, device)) = self.dice.pick(&refused).zip(self.phones[index].device.as_mut())
        else {
            return Ok(());
        };
        let tried = device.retry(*op, clock).map_err(|error| error.to_string());
        self.note(|| format!("{index} retries {op}"));
        match self.survived(index, tried)? {
            Some(()) => self.ask(index),
            None => Ok(()),
        }
    }

    /// The captures that are pending in one of these states, on a phone that is on.
    ///
    /// # Errors
    /// What the device says.
    pub fn pending_as(&self, index: usize, states: &[OpState]) -> Checked<Vec<OpId>> {
        let clock = self.phones[index].clock(self.now);
        let Some(device) = self.phones[index].device.as_ref() else {
            return Ok(Vec::new());
        };
        let pending = device.pending(clock).map_err(|error| error.to_string())?;
        let chosen = pending.into_iter().filter(|item| states.contains(&item.state));
        Ok(chosen.map(|item| item.op_id).collect())
    }
}
