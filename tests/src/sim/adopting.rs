//! Operations that a journal holds though the power took the answer: there must have been a call that
//! meant each of them.

use motomind_protocol::records::{RecordIntent, find};
use motomind_protocol::{Body, EventId, OpId, Operation, VehicleId};

use super::ledger::Fact;
use super::phone::JournalRow;
use super::world::{Checked, World};

impl World {
    /// A capture in the journal that was never acknowledged: there must have been a call.
    pub(super) fn adopt(&mut self, index: usize, row: &JournalRow) -> Checked {
        let op = row.sealed.op_id;
        let operation: Operation =
            serde_json::from_str(&row.sealed.text).map_err(|error| error.to_string())?;
        let event = match &operation.body {
            Body::Event(event) => event,
            Body::Record(intent) => {
                return self.adopt_edit(index, &operation, intent, &row.sealed.text);
            }
            Body::Photo(said) => {
                let about = (said.vehicle_id, Some(said.event_id));
                return self.adopt_statement(index, &operation, about);
            }
            Body::LocationCorrection(said) => {
                let about = (said.vehicle_id, Some(said.event_id));
                return self.adopt_statement(index, &operation, about);
            }
            Body::Session(said) => {
                return self.adopt_statement(index, &operation, (said.vehicle_id, None));
            }
            Body::Other(_) => return Err(format!("{op} says nothing that anyone here says")),
        };
        let target = operation.supersedes.first().copied().or(event.corrects.map(OpId::from));
        let phone = &mut self.phones[index];
        let moved = target.filter(|target| {
            self.editors.moved_to(index, event.vehicle_id) && phone.held.contains(target)
        });
        if let Some((old, fact)) = moved.and_then(|old| Some((old, self.ledger.fact(old)?.clone())))
        {
            let vehicle = event.vehicle_id;
            let discard = event.is_retraction();
            self.ledger
                .add(op, Fact { vehicle, replaces: Some(old), corrects: None, discard, ..fact });
        } else if !phone.in_doubt.contains(&op) {
            let target = target.filter(|target| phone.in_doubt.contains(target));
            let Some(target) = target.filter(|_| event.is_retraction()) else {
                return Err(format!("phone {index} holds {op}, which nobody captured there"));
            };
            self.ledger.add(
                op,
                Fact {
                    vehicle: event.vehicle_id,
                    notes: None,
                    miles: None,
                    replaces: Some(target),
                    discard: true,
                    corrects: None,
                    set_aside: false,
                },
            );
        }
        phone.held.push(op);
        phone.in_doubt.retain(|other| *other != op);
        Ok(())
    }

    /// A statement that followed from a call whose answer the power took.
    fn adopt_statement(
        &mut self,
        index: usize,
        said: &Operation,
        (vehicle, event): (VehicleId, Option<EventId>),
    ) -> Checked {
        let op = said.op_id;
        let old = said.supersedes.first().copied();
        let held = old.is_some_and(|old| self.phones[index].held.contains(&old));
        // What was said of a record's vehicle moves with it to the one that it is the same as.
        let moved = held && self.editors.moved_to(index, vehicle);
        if !self.phones[index].kept.in_doubt && !moved {
            return Err(format!("phone {index} holds the statement {op}, which nobody made there"));
        }
        self.phones[index].held.push(op);
        self.ledger.say(op, vehicle, event, old);
        Ok(())
    }

    fn adopt_edit(
        &mut self,
        index: usize,
        operation: &Operation,
        intent: &RecordIntent,
        text: &str,
    ) -> Checked {
        let op = operation.op_id;
        let collection = find(&intent.collection).ok_or("no such collection")?;
        let key = (collection.name, intent.record_id);
        let known = self.editors.adopt(index, operation, key, text)
            || self.editors.follow(index, op, operation, key);
        if !known {
            return Err(format!("phone {index} holds {op}, an edit that nobody made there"));
        }
        self.phones[index].held.push(op);
        Ok(())
    }
}
