//! How people capture: once, twice, many at a time, again when in doubt, or under an id that is taken.

use motomind_core::{Capture, CaptureError, Captured};
use motomind_protocol::{Fix, FixSource, Millis, OpId, VehicleId, code, registry, uuid_v7};
use serde_json::json;
use uuid::Uuid;

use super::ledger::Fact;
use super::world::{Checked, World};

const HOUR_MS: Millis = 60 * 60_000;

/// Who does what to which capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A fact of its own.
    New,
    /// In the place of another.
    Instead(OpId),
}

impl World {
    /// An id as an app makes them.
    pub(super) fn fresh_id(&mut self, index: usize) -> OpId {
        let clock = self.phones[index].clock(self.now);
        OpId(uuid_v7(clock, self.dice.bytes()))
    }

    /// A believable capture: readings rise with time, and some do not.
    pub fn invent(&mut self, index: usize) -> Capture {
        let vehicle = match self.dice.below(40) {
            0 => VehicleId(Uuid::from_u128(0xbad)),
            _ => *self.dice.pick(&self.vehicles).unwrap_or(&VehicleId(Uuid::nil())),
        };
        let kinds = ["odometer", "odometer", "fuel", "damage", "expense", "sparkle"];
        let kind = kinds[self.dice.index(kinds.len()).unwrap_or(0)];
        let age = match self.dice.below(4) {
            0 => self.dice.between(0, 48 * HOUR_MS),
            _ => 0,
        };
        let at = self.phones[index].clock(self.now) - age;
        let day = chrono::DateTime::from_timestamp_millis(at).unwrap_or_default();
        let mut capture = Capture::new(vehicle, kind, at, day.date_naive(), "America/Denver");
        self.captures += 1;
        let mark = match self.dice.below(60) {
            0 => " poison",
            1 => " held",
            _ => "",
        };
        capture.notes = Some(format!("note {}{mark}", self.captures));
        let driven = (self.now - age) / HOUR_MS % 100_000;
        let slip = match self.dice.below(12) {
            0 => self.dice.between(-400, 400),
            _ => self.dice.between(-1, 1),
        };
        match kind {
            "odometer" => capture.miles = Some((driven + slip).max(0)),
            "fuel" => {
                let _ = capture.payload.insert("gallons".into(), json!(11.5));
                capture.total_minor = Some(4_321);
                capture.miles = self.dice.permille(500).then_some((driven + slip).max(0));
            }
            "damage" => {
                let _ = capture.payload.insert("description".into(), json!("a dent"));
            }
            _ => capture.total_minor = Some(0),
        }
        if self.dice.permille(300) {
            capture.fix = Some(Fix::at(39.7, -104.9, FixSource::Gps));
        }
        capture
    }

    /// Captures, amends or discards, and remembers what was acknowledged.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn capture(&mut self, index: usize, mut capture: Capture, how: How) -> Checked {
        let op = match capture.op_id {
            Some(op) => op,
            None => self.fresh_id(index),
        };
        capture.op_id = Some(op);
        let fact = remembered(&capture, how);
        if self.ledger.fact(op).is_none() {
            self.ledger.add(op, fact);
        }
        let clock = self.phones[index].clock(self.now);
        let mut result = self.call(index, &capture, how, clock);
        if let Err(CaptureError::ConfirmJump { .. }) = result {
            let _ = capture.payload.insert("confirmed_jump".into(), json!(true));
            result = self.call(index, &capture, how, clock);
        }
        self.note(|| format!("{index} captures {op} {how:?}: {:?}", result.as_ref().err()));
        let unsure = matches!(result, Err(CaptureError::Store(_))) && how == How::New;
        self.told(index, op, result)?;
        if unsure {
            self.phones[index].unsure.push(capture);
        }
        Ok(())
    }

    /// The person does not know whether it was stored, and does it again: it is one capture.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn repeat_doubtful(&mut self, index: usize) -> Checked {
        for capture in std::mem::take(&mut self.phones[index].unsure) {
            let Some(op) = capture.op_id else { continue };
            let kept = self.phones[index].held.contains(&op);
            self.trace.count(if kept { "in doubt, was kept" } else { "in doubt, was lost" });
            self.capture(index, capture, How::New)?;
        }
        self.repeat_doubtful_photos(index)
    }

    /// An app makes an id that is not unique: another capture on another phone has it.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn reuse_id(&mut self, index: usize) -> Checked {
        let others = self.phones.iter().flat_map(|phone| phone.held.iter().copied());
        let others: Vec<OpId> = others.collect();
        let Some(op) = self.dice.pick(&others).copied() else {
            return Ok(());
        };
        let Some(fact) = self.ledger.fact(op).cloned().filter(|fact| !fact.discard) else {
            return Ok(());
        };
        let mut capture = self.invent(index);
        capture.op_id = Some(op);
        capture.vehicle_id = fact.vehicle;
        capture.payload.insert("confirmed_jump".into(), json!(true));
        let set_aside = remembered(&capture, How::New).set_aside;
        let clock = self.phones[index].clock(self.now);
        let result = self.call(index, &capture, How::New, clock);
        self.note(|| format!("{index} uses {op} again: {:?}", result.as_ref().err()));
        match result {
            Err(CaptureError::IdReused) => Ok(()),
            result => {
                let first = self.ledger.first(op);
                self.ledger.contested.insert(first);
                self.ledger.reuse(op, set_aside);
                self.told(index, op, result)
            }
        }
    }

    pub(super) fn call(
        &mut self,
        index: usize,
        capture: &Capture,
        how: How,
        clock: Millis,
    ) -> Result<Captured, CaptureError> {
        let capture = capture.clone();
        let device = self.phones[index].device.as_mut();
        let device = device.ok_or(CaptureError::UnknownOperation)?;
        match how {
            How::New => device.capture(capture, clock),
            How::Instead(old) => device.amend(old, capture, clock),
        }
    }

    /// The device's answer to a capture.
    pub(super) fn told(
        &mut self,
        index: usize,
        op: OpId,
        result: Result<Captured, CaptureError>,
    ) -> Checked {
        match result {
            Ok(captured) if captured.op_id != op => {
                Err(format!("{op} was captured as {}", captured.op_id))
            }
            Ok(captured) => {
                let held = self.phones[index].held.contains(&op);
                if captured.duplicate && !held && !self.accepted.contains_key(&op) {
                    return Err(format!("{op} is called a duplicate and is none"));
                }
                if !captured.duplicate {
                    // An id whose first capture was pruned long ago may be used again.
                    self.phones[index].held.retain(|other| *other != op);
                    self.note_statements(index, Some(op))?;
                    if !self.phones[index].held.contains(&op) {
                        self.phones[index].held.push(op);
                    }
                }
                self.phones[index].in_doubt.retain(|other| *other != op);
                self.ask(index)
            }
            Err(CaptureError::Store(error)) => {
                if self.survived::<()>(index, Err(error.to_string()))?.is_none() {
                    self.phones[index].in_doubt.push(op);
                    self.phones[index].kept.in_doubt = true;
                }
                Ok(())
            }
            Err(CaptureError::AlreadySuperseded | CaptureError::UnknownOperation) => {
                self.ledger.forget(op);
                Ok(())
            }
            // Repeated after the power took the newest of the mirror, and with it the retraction.
            Err(CaptureError::Invalid(why))
                if why.iter().any(|v| v.code == code::NOT_RETRACTED) =>
            {
                self.ledger.forget(op);
                Ok(())
            }
            Err(error) => Err(format!("phone {index} refuses {op}: {error}")),
        }
    }

    /// Taps the same button twice.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn tap_twice(&mut self, index: usize) -> Checked {
        let mut capture = self.invent(index);
        capture.op_id = Some(self.fresh_id(index));
        capture.payload.insert("confirmed_jump".into(), json!(true));
        self.capture(index, capture.clone(), How::New)?;
        let before = self.phones[index].held.len();
        if self.phones[index].device.is_none() {
            return Ok(());
        }
        self.capture(index, capture, How::New)?;
        if self.phones[index].held.len() > before && before > 0 {
            return Err(format!("phone {index} captured one id twice"));
        }
        Ok(())
    }

    /// Imports several captures in one go, one of them invalid.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn import(&mut self, index: usize) -> Checked {
        let mut captures = Vec::new();
        for _ in 0..=self.dice.below(6) {
            let mut capture = self.invent(index);
            capture.op_id = Some(self.fresh_id(index));
            capture.payload.insert("confirmed_jump".into(), json!(true));
            captures.push(capture);
        }
        if self.dice.permille(300) {
            captures[0].miles = Some(-1);
        }
        for capture in &captures {
            let op = capture.op_id.unwrap_or(OpId(Uuid::nil()));
            self.ledger.add(op, remembered(capture, How::New));
        }
        let clock = self.phones[index].clock(self.now);
        let Some(device) = self.phones[index].device.as_mut() else {
            return Ok(());
        };
        let results = device.capture_all(captures.clone(), clock);
        self.note(|| format!("{index} imports {}", captures.len()));
        let results = match results {
            Ok(results) => results,
            Err(error) => {
                let mut doubt: Vec<OpId> = captures.iter().filter_map(|c| c.op_id).collect();
                if self.survived::<()>(index, Err(error.to_string()))?.is_none() {
                    self.phones[index].in_doubt.append(&mut doubt);
                }
                return Ok(());
            }
        };
        for (capture, result) in captures.iter().zip(results) {
            let op = capture.op_id.unwrap_or(OpId(Uuid::nil()));
            match result {
                Err(CaptureError::Invalid(_)) if capture.miles == Some(-1) => {
                    self.ledger.forget(op)
                }
                Ok(captured) if capture.miles == Some(-1) => {
                    return Err(format!("{} was captured and is invalid", captured.op_id));
                }
                result => self.told(index, op, result)?,
            }
        }
        Ok(())
    }
}

/// What a person remembers of a capture.
pub(super) fn remembered(capture: &Capture, how: How) -> Fact {
    let notes = capture.notes.clone();
    let discard = capture.kind == registry::RETRACTION;
    let replaces = match how {
        How::Instead(old) => Some(old),
        How::New => None,
    };
    let marked = |word| notes.as_ref().is_some_and(|notes: &String| notes.contains(word));
    Fact {
        vehicle: capture.vehicle_id,
        miles: capture.miles,
        replaces,
        discard: discard && replaces.is_some(),
        corrects: capture.corrects.filter(|_| replaces.is_none()),
        set_aside: marked("poison") || marked("held"),
        notes,
    }
}
