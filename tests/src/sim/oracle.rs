//! The invariants. Each says in a sentence what was promised and not kept.

use std::collections::{BTreeMap, BTreeSet};

use motomind_protocol::records::Action;
use motomind_protocol::{EventId, Hash, OpId, OpState, verify_chain};
use uuid::Uuid;

use super::mirrored::mirrored;
use super::tenant::Fate;
use super::timeline::effective_events;
use super::world::{Checked, World};

impl World {
    /// Before a phone is opened: its journal holds every acknowledged capture, in order, in one
    /// unbroken chain, and nothing that nobody captured.
    ///
    /// # Errors
    /// What was lost, doubled or invented.
    pub fn check_journal(&mut self, index: usize) -> Checked {
        let rows = self.phones[index]
            .journal()
            .map_err(|error| format!("the journal of phone {index} cannot be read: {error}"))?;
        let there: BTreeSet<OpId> = rows.iter().map(|row| row.sealed.op_id).collect();
        let mut held = self.phones[index].held.clone();
        held.retain(|op| there.contains(op) || !self.may_be_pruned(*op));
        if let Some(lost) = held.iter().find(|op| !there.contains(op)) {
            return Err(format!("phone {index} lost the acknowledged capture {lost}"));
        }
        let complete = held.len() == self.phones[index].held.len();
        if !complete {
            self.trace.count("pruned");
        }
        for row in &rows {
            if !held.contains(&row.sealed.op_id) {
                self.adopt(index, row)?;
                held.push(row.sealed.op_id);
            }
        }
        self.editors.settle_doubts(index);
        self.phones[index].kept.in_doubt = false;
        if !held.iter().eq(rows.iter().map(|row| &row.sealed.op_id)) {
            return Err(format!("phone {index} holds its captures in another order"));
        }
        let pruned = self.phones[index]
            .pruned_up_to()
            .map_err(|error| format!("the checkpoint of phone {index} cannot be read: {error}"))?;
        // The id of a pruned capture may have been used again: then all ids are there, and its
        // first capture is not.
        let reused = held.iter().any(|op| self.ledger.reused.contains(op));
        if complete && !reused && pruned.is_some() {
            return Err(format!("phone {index} has a checkpoint and lacks nothing"));
        }
        let chain = rows.iter().map(|row| &row.sealed);
        verify_chain(pruned.unwrap_or(Hash::ZERO), chain)
            .map(drop)
            .map_err(|broken| format!("the chain of phone {index} breaks: {broken:?}"))
    }

    /// Whether the server has confirmed an operation, or closed its id for an amendment or discard.
    fn may_be_pruned(&self, op: OpId) -> bool {
        let mut by = self.ledger.replacements(op).iter().copied();
        self.accepted.contains_key(&op)
            || by.any(|by| self.may_be_pruned(by))
            || self.editors.replacements(op).any(|by| self.may_be_pruned(by))
    }

    /// What a phone shows: every capture of its own once, and everything that it has shown as
    /// accepted before.
    ///
    /// # Errors
    /// What vanished or is shown twice or wrongly.
    pub fn check_screen(&mut self, index: usize) -> Checked {
        if self.phones[index].disk.power_is_out() {
            self.lose_power(index);
            return Ok(());
        }
        let clock = self.phones[index].clock(self.now);
        let entries = match self.phones[index].timeline() {
            // Looking lays fresh captures over the mirror: the power may go out over that.
            Err(_) if self.phones[index].disk.power_is_out() => {
                self.lose_power(index);
                return Ok(());
            }
            entries => entries?,
        };
        let shown: BTreeMap<EventId, OpState> =
            entries.iter().map(|entry| (entry.event_id, entry.state)).collect();
        if shown.len() != entries.len() {
            return Err(format!("phone {index} shows an event twice"));
        }
        let phone = &self.phones[index];
        for op in phone.held.iter().filter(|op| !shown.contains_key(&(**op).into())) {
            if self.must_be_shown(index, *op)? {
                let why = phone.explain(*op);
                return Err(format!("phone {index} does not show its own {op}{why}"));
            }
        }
        let gone = |id: &&EventId| {
            // An amendment made while a restored server is offered it again takes its place.
            !shown.contains_key(*id)
                && !self.lost_by_server.contains(*id)
                && !self.ledger.is_replaced((**id).into())
        };
        if let Some(gone) = phone.shown.iter().find(gone) {
            return Err(format!("the accepted {gone} vanished from phone {index}"));
        }
        // A discard that had nothing to retract is accepted and then no event.
        let discard = |id: EventId| self.ledger.fact(id.into()).is_some_and(|fact| fact.discard);
        let device = phone.device.as_ref().ok_or("the phone is off")?;
        let pending = device.pending(clock).map_err(|error| error.to_string())?;
        let is_event =
            |op: OpId| self.editors.edit(op).is_none() && self.ledger.statement(op).is_none();
        for item in pending.iter().filter(|item| is_event(item.op_id)) {
            let state = shown.get(&item.op_id.into());
            // That it is on its way this very moment is in the journal alone; that it has arrived
            // may be known from the log before the reply comes.
            let unsent = |state| [OpState::Queued, OpState::Sending].contains(state);
            let unsent = unsent(&item.state) && state.is_some_and(unsent);
            // A discard that had nothing to retract leaves no event.
            let arrived = self.accepted.contains_key(&item.op_id)
                && (state == Some(&OpState::Accepted)
                    || (state.is_none() && discard(item.op_id.into())));
            if state != Some(&item.state) && !unsent && !arrived {
                let why = phone.explain(item.op_id);
                return Err(format!(
                    "phone {index} shows {} as {state:?}, it is {:?}{why}",
                    item.op_id, item.state
                ));
            }
        }
        let empty = pending.is_empty();
        let accepted = |(id, state)| (state == OpState::Accepted && !discard(id)).then_some(id);
        let shown = shown.into_iter().filter_map(accepted).collect();
        let phone = &mut self.phones[index];
        phone.shown = shown;
        let shown = self.check_records_shown(index);
        self.looked(index, shown)?;
        if self.phones[index].device.is_none() {
            return Ok(());
        }
        if empty { self.check_arrived(index) } else { Ok(()) }
    }

    /// Whether a capture that is not on the screen should be: not when an amendment took its
    /// place, nor a discard that had nothing to retract, nor what was pruned and awaits a page.
    fn must_be_shown(&self, index: usize, op: OpId) -> Checked<bool> {
        let discard = self.ledger.fact(op).is_none_or(|fact| fact.discard);
        if discard || self.ledger.is_replaced(op) {
            return Ok(false);
        }
        let clock = self.phones[index].clock(self.now);
        let device = self.phones[index].device.as_ref().ok_or("the phone is off")?;
        let stored = device.operation(op, clock).map_err(|error| error.to_string())?;
        Ok(stored.is_some() || !self.accepted.contains_key(&op))
    }

    /// `pending == 0` means that the server has it all (or had it, before it was restored).
    fn check_arrived(&self, index: usize) -> Checked {
        for op in &self.phones[index].held {
            let fate = self.server.tenant.operations.get(op).map(|known| &known.fate);
            let there = matches!(fate, Some(Fate::Accepted(_)));
            let lost_by_server =
                self.accepted.get(op).is_some_and(|restores| *restores < self.restores);
            if !there && !lost_by_server && !self.is_replaced(*op) {
                return Err(format!(
                    "phone {index} has nothing pending, but the server lacks {op}: {fate:?}"
                ));
            }
        }
        Ok(())
    }

    /// The vehicle or record that an operation is about, if its place in the order is promised.
    fn lane(&self, op: OpId) -> Option<Uuid> {
        match self.ledger.fact(op) {
            Some(fact) => (!fact.set_aside).then_some(fact.vehicle.0),
            None => match self.ledger.statement(op) {
                Some((vehicle, _)) => Some(vehicle.0),
                None => self.editors.edit(op).map(|edit| edit.key.1),
            },
        }
    }

    /// Whether an amendment or discard took its place.
    fn is_replaced(&self, op: OpId) -> bool {
        self.ledger.is_replaced(op)
            || self.editors.replacements(op).next().is_some()
            || self.went_with_its_event(op)
    }

    /// Whether a statement was refused because its event was discarded: it went with that. A
    /// restored server may know of neither, and of an id that two people used it knows one event:
    /// what the other one discarded was closed to that person alone.
    fn went_with_its_event(&self, op: OpId) -> bool {
        let Some(event) = self.ledger.statement(op).and_then(|(_, event)| event) else {
            return false;
        };
        match self.server.tenant.fate(op) {
            Some(Fate::Refused) if self.ledger.reused.contains(&event.into()) => {
                self.ledger.is_discarded(event.into())
            }
            Some(Fate::Refused) => self.server.tenant.is_discarded(event),
            None => self.restores > 0 && self.ledger.is_discarded(event.into()),
            _ => false,
        }
    }

    /// Within a lane operations arrive in the order of capture.
    ///
    /// # Errors
    /// The two that did not.
    pub fn check_arrivals(&mut self) -> Checked {
        let new = &self.server.arrivals[self.arrivals_checked..];
        for op in new {
            let Some(lane) = self.lane(*op).filter(|_| !self.ledger.reused.contains(op)) else {
                continue;
            };
            // A mended creation comes before the edits that followed the refused one.
            let edit = self.editors.edit(*op);
            if edit.is_some_and(|e| e.action == Action::Create && e.replaces.is_some()) {
                continue;
            }
            for phone in self.phones.iter().filter(|phone| phone.held.contains(op)) {
                let before = phone.held.iter().take_while(|other| *other != op);
                let early = before.filter(|other| !self.server.has_seen(**other));
                for other in early {
                    if self.lane(*other) == Some(lane) && !self.is_replaced(*other) {
                        return Err(format!("{op} overtook {other} in their lane"));
                    }
                }
            }
        }
        self.arrivals_checked = self.server.arrivals.len();
        Ok(())
    }

    /// After quiet: every capture is on the server as it was captured, once, and every mirror is
    /// what the server's log says.
    ///
    /// # Errors
    /// What is missing or differs.
    pub fn check_everything(&mut self) -> Checked {
        if let Some(id) = self.server.tenant.doubled() {
            return Err(format!("{id} is twice in the log"));
        }
        let held: BTreeSet<OpId> = self.phones.iter().flat_map(|p| p.held.clone()).collect();
        for op in &held {
            self.check_settled(*op)?;
        }
        self.check_intents(&held)?;
        self.check_nothing_lost()?;
        self.check_no_photo_is_nowhere()?;
        self.count_places_corrected_offline();
        for index in 0..self.phones.len() {
            self.check_screen(index)?;
            mirrored(&self.phones[index], &self.server.tenant)
                .map_err(|what| format!("mirror {index} {what}"))?;
            self.check_records_mirrored(index)?;
            self.check_photos(index)?;
            self.phones[index].close();
            self.check_journal(index)?;
        }
        Ok(())
    }

    fn check_settled(&self, op: OpId) -> Checked {
        let fate = self.server.tenant.operations.get(&op).map(|known| &known.fate);
        let fact = self.ledger.fact(op);
        match fate {
            Some(Fate::Accepted(_)) => {}
            Some(Fate::Closed(_)) => return Ok(()),
            _ if self.is_replaced(op) => return Ok(()),
            other => {
                let holders = self.phones.iter().filter(|phone| phone.held.contains(&op));
                let why: String = holders.map(|phone| phone.explain(op)).collect();
                return Err(format!("{op} is held and not on the server: {other:?}{why}"));
            }
        }
        if self.ledger.reused.contains(&op) {
            return Ok(());
        }
        let event = self.server.tenant.events.get(&op.into());
        if let (Some(fact), Some((_, record))) = (fact, event)
            && (record.event.miles != fact.miles
                || record.event.notes != fact.notes
                || record.event.vehicle_id != fact.vehicle)
        {
            return Err(format!("{op} arrived as something else"));
        }
        Ok(())
    }

    /// Of a capture and its amendments exactly the last counts, or none when it was discarded.
    fn check_intents(&self, held: &BTreeSet<OpId>) -> Checked {
        let counting = effective_events(&self.server.tenant.events, None);
        for (first, fact) in self.ledger.facts() {
            if fact.replaces.is_some() || fact.corrects.is_some() {
                continue;
            }
            if !held.contains(&first) || self.ledger.contested.contains(&first) {
                continue;
            }
            let mut family = vec![first];
            let mut last = first;
            let mut alone = true;
            while let [next, rest @ ..] = self.ledger.replacements(last) {
                alone &= rest.is_empty() && held.contains(next);
                family.push(*next);
                last = *next;
            }
            let discarded = self.ledger.fact(last).is_some_and(|fact| fact.discard);
            // Discarding an amendment brings back what it amended, or not: it depends on what
            // had arrived, and the person sees which.
            if !alone || (discarded && family.len() > 2) {
                continue;
            }
            let count: Vec<&OpId> =
                family.iter().filter(|op| counting.contains(&EventId::from(**op))).collect();
            let meant: Vec<&OpId> = if discarded { vec![] } else { vec![&last] };
            if count != meant {
                return Err(format!("of {family:?} {count:?} count, {meant:?} should"));
            }
        }
        Ok(())
    }
}
