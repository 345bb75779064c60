//! The model server's state and judgement, as `docs/protocol.md` says under "How the server
//! judges an operation". It shares with the real server the protocol crate and nothing else, and
//! of that, for events and statements, the forms and the laws of what counts: which operations are
//! closed, what waits and what is refused it decides by itself, so that each checks the other's
//! reading. Intents are judged by `protocol::records` on both: see [`super::intents`].

use std::collections::{BTreeMap, BTreeSet};

use motomind_protocol::effective::{Act, may_act};
use motomind_protocol::wire::{ChangeKind, Outcome, Rejection};
use motomind_protocol::{
    Body, DeviceId, Event, EventId, EventRecord, Flag, Hash, Identity, Incarnation, Millis, OpId,
    Operation, Role, SealedOperation, UserId, code, is_clock_ahead, validate,
};

use super::custody::Held;
use super::log::Log;
use super::records::Records;
use super::statements::Statements;
use super::timeline;
use super::uploads::Photos;
use crate::dice::Dice;

/// What the server knows of an operation.
#[derive(Clone, Debug)]
pub struct Known {
    /// Absent when the id was closed before the operation arrived.
    pub hash: Option<Hash>,
    /// What became of it.
    pub fate: Fate,
    /// Whose it is; of one that never came, who closed it.
    pub user: UserId,
}

/// What became of an operation. One that waits leaves no trace.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// In the log at this sequence.
    Accepted(u64),
    /// Refused; judged again when offered again.
    Refused,
    /// Its id is closed for ever by that operation.
    Closed(OpId),
}

/// A tenant's data. Cloning it is the backup.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// The changes that devices pull.
    pub log: Log,
    /// Every operation that arrived or was closed.
    pub operations: BTreeMap<OpId, Known>,
    /// Every accepted event.
    pub events: BTreeMap<EventId, (u64, EventRecord)>,
    /// Vehicles, garages, reminders and their like.
    pub records: Records,
    /// What is stated beside events.
    pub statements: Statements,
    /// The photo store.
    pub photos: Photos,
    /// What it holds of each device's journal.
    pub held: Held,
    /// Operations accepted since somebody asked last.
    pub fresh: Vec<OpId>,
    device_seqs: BTreeMap<(DeviceId, Incarnation, u64), Hash>,
}

/// Who pushes, and when.
#[derive(Clone, Copy, Debug)]
pub struct Pusher {
    /// Of the token.
    pub identity: Identity,
    /// Of the token.
    pub role: Role,
    /// Of the request.
    pub incarnation: Incarnation,
    /// Of the batch's first operation.
    pub device_id: DeviceId,
    /// Server clock.
    pub now: Millis,
}

pub(super) type Refused<T> = Result<T, Box<Outcome>>;

impl Tenant {
    /// An empty tenant.
    #[must_use]
    pub fn new(dice: &mut Dice) -> Self {
        Self {
            log: Log::new(dice),
            operations: BTreeMap::new(),
            events: BTreeMap::new(),
            records: Records::default(),
            statements: Statements::default(),
            photos: Photos::default(),
            held: Held::default(),
            fresh: Vec::new(),
            device_seqs: BTreeMap::new(),
        }
    }

    /// Another SQL client inserts an event.
    pub fn write_event(&mut self, event: Event, now: Millis, dice: &mut Dice) {
        let record = EventRecord {
            corrects: event.corrects,
            event,
            received_at: now,
            op_id: None,
            device_id: None,
            user_id: None,
            flags: Vec::new(),
            extra: serde_json::Map::new(),
        };
        self.store(record, dice);
    }

    fn store(&mut self, record: EventRecord, dice: &mut Dice) -> u64 {
        let id = record.event.id;
        let change = ChangeKind::Event(Box::new(record.clone()));
        let seq = self.log.append(change, dice);
        self.events.insert(id, (seq, record));
        seq
    }

    /// An event that is in the log twice.
    #[must_use]
    pub fn doubled(&self) -> Option<EventId> {
        let mut seen = BTreeSet::new();
        let entries = self.log.entries().iter();
        let events = entries.filter_map(|entry| match &entry.change.what {
            ChangeKind::Event(record) => Some(record.event.id),
            _ => None,
        });
        events.into_iter().find(|id| !seen.insert(*id))
    }

    /// Judges one operation and keeps what follows from it.
    pub fn judge(&mut self, pusher: &Pusher, sealed: &SealedOperation, dice: &mut Dice) -> Outcome {
        let operation = match self.admit(pusher, sealed) {
            Ok(operation) => operation,
            Err(outcome) => {
                // It came, although it was closed.
                let closed =
                    matches!(&*outcome, Outcome::Rejected(r) if r.code == code::SUPERSEDED);
                if let Some(operation) = sealed.open().ok().filter(|_| closed) {
                    self.held.keep(&operation, sealed);
                }
                return *outcome;
            }
        };
        let outcome = self.decide(pusher, &operation, dice).unwrap_or_else(|refused| *refused);
        let outcome = self.blame(outcome, &operation);
        let fate = match &outcome {
            Outcome::Accepted { seq, .. } => {
                self.fresh.push(operation.op_id);
                Fate::Accepted(*seq)
            }
            Outcome::Waiting { .. } => return outcome,
            _ => Fate::Refused,
        };
        self.held.keep(&operation, sealed);
        let (hash, user) = (Some(sealed.hash), operation.user_id);
        self.operations.insert(operation.op_id, Known { hash, fate, user });
        let place = (operation.device_id, operation.incarnation, operation.device_seq);
        self.device_seqs.entry(place).or_insert(sealed.hash);
        outcome
    }

    /// Rules 1 to 3: whether it is to be judged at all.
    fn admit(&self, pusher: &Pusher, sealed: &SealedOperation) -> Refused<Operation> {
        let operation =
            sealed.open().map_err(|violations| Box::new(Outcome::Rejected(violations.into())))?;
        let whose = Identity { tenant_id: operation.tenant_id, user_id: operation.user_id };
        if whose != pusher.identity {
            return refuse(code::WRONG_IDENTITY, None);
        }
        if operation.device_id != pusher.device_id {
            return refuse(code::WRONG_IDENTITY, Some("device_id"));
        }
        if matches!(operation.body, Body::Other(_)) {
            return refuse(code::UNSUPPORTED, None);
        }
        if let Some(known) = self.known_to(operation.user_id, operation.op_id) {
            match (known.hash, &known.fate) {
                (Some(known_hash), _) if known_hash != sealed.hash => {
                    return Err(Box::new(Outcome::OpIdReused { known_hash }));
                }
                (_, Fate::Accepted(seq)) => {
                    return Err(Box::new(Outcome::Duplicate { seq: *seq }));
                }
                (_, Fate::Closed(_)) => return refuse(code::SUPERSEDED, None),
                (_, Fate::Refused) => {}
            }
        }
        let place = (operation.device_id, operation.incarnation, operation.device_seq);
        let taken = self.device_seqs.get(&place);
        if operation.incarnation == pusher.incarnation
            && taken.is_some_and(|hash| *hash != sealed.hash)
        {
            let at = operation.device_seq;
            return Err(Box::new(Outcome::Forked { at }));
        }
        let is_anothers = |op: &&OpId| {
            let known = self.operations.get(op).filter(|known| known.hash.is_some());
            known.is_some_and(|known| known.user != operation.user_id)
        };
        if let Some(anothers) = operation.supersedes.iter().find(is_anothers) {
            let rejection = Rejection::supersedes_anothers(*anothers);
            return Err(Box::new(Outcome::Rejected(rejection)));
        }
        Ok(operation)
    }

    /// What is known of an operation, for one of this person's that names it. An id that was closed
    /// before anything came under it is closed to whoever closed it.
    pub(super) fn known_to(&self, user: UserId, op: OpId) -> Option<&Known> {
        self.operations.get(&op).filter(|known| known.hash.is_some() || known.user == user)
    }

    /// What became of an operation, for one of this person's that names it.
    pub(super) fn fate_to(&self, user: UserId, op: OpId) -> Option<&Fate> {
        self.known_to(user, op).map(|known| &known.fate)
    }

    /// Rules 4 to 8.
    fn decide(
        &mut self,
        pusher: &Pusher,
        operation: &Operation,
        dice: &mut Dice,
    ) -> Refused<Outcome> {
        if let Some(intent) = operation.intent() {
            return self.decide_record(pusher, operation, intent, dice);
        }
        let Some(event) = operation.event() else {
            return self.decide_statement(pusher, operation, dice);
        };
        let target = self.target(operation);
        if event.is_retraction() && !operation.supersedes.is_empty() && target.is_none() {
            let closed = self.close_all(operation, true, dice);
            let seq = closed.unwrap_or_else(|| self.log.head());
            let flags = Vec::new();
            return Ok(Outcome::Accepted { seq, flags });
        }
        validate(event).map_err(|violations| Box::new(Outcome::Rejected(violations.into())))?;
        self.needed(operation)?;
        if !self.records.has_live_vehicle(event.vehicle_id) {
            return refuse(code::UNKNOWN_VEHICLE, Some("vehicle_id"));
        }
        if pusher.role < Role::Technician {
            return refuse(code::FORBIDDEN, None);
        }
        if self.events.contains_key(&event.id) {
            return refuse(code::EVENT_ID_TAKEN, Some("id"));
        }
        self.close_all(operation, false, dice);
        let corrects = match target.and_then(|target| self.act(target)) {
            // In the place of a retraction or restoration: a fact stands alone, another act is
            // about the same event.
            Some((_, about)) => about.filter(|_| !event.act().states_a_fact()),
            None => target.or(operation.parent()),
        };
        let user = operation.user_id;
        let corrects = corrects.map(|id| self.resolve(id, event, user)).transpose()?;
        self.may_act(pusher, event, corrects)?;
        let mut flags = Vec::new();
        if is_clock_ahead(event.occurred_at, pusher.now) {
            flags.push(Flag::ClockAhead);
        }
        let record = EventRecord {
            event: event.clone(),
            received_at: pusher.now,
            op_id: Some(operation.op_id),
            device_id: Some(operation.device_id),
            user_id: Some(operation.user_id),
            corrects,
            flags: flags.clone(),
            extra: serde_json::Map::new(),
        };
        timeline::judge(&self.events, &record).map_err(|contradiction| {
            let neighbour = contradiction.neighbour();
            let message = contradiction.message(event.miles.unwrap_or_default());
            let rejection = Rejection::new(code::ODOMETER_OUT_OF_ORDER, message).field("miles");
            Box::new(Outcome::Rejected(Rejection { neighbour: Some(neighbour), ..rejection }))
        })?;
        let seq = self.store(record, dice);
        Ok(Outcome::Accepted { seq, flags })
    }

    /// Rule 5: of the operations whose place this one takes, the newest that was accepted.
    fn target(&self, operation: &Operation) -> Option<EventId> {
        let accepted = |op: &&OpId| {
            let fate = self.operations.get(op).map(|known| &known.fate);
            matches!(fate, Some(Fate::Accepted(_))) && self.events.contains_key(&(**op).into())
        };
        let target = operation.supersedes.iter().find(accepted);
        target.map(|op| EventId::from(*op))
    }

    /// What an event does to which other one, if it is a retraction or restoration.
    fn act(&self, id: EventId) -> Option<(Act, Option<EventId>)> {
        let (_, record) = self.events.get(&id)?;
        let act = record.event.act();
        (!act.states_a_fact()).then_some((act, record.corrects))
    }

    /// Closes every operation whose place this one takes and that was not accepted. What had not
    /// arrived goes into the log, and so does one, the first, when its sequence is needed.
    pub(super) fn close_all(
        &mut self,
        operation: &Operation,
        needs_seq: bool,
        dice: &mut Dice,
    ) -> Option<u64> {
        let by = operation.op_id;
        let mut first = None;
        for old in &operation.supersedes {
            let known = self.known_to(operation.user_id, *old).cloned();
            let fate = known.as_ref().map(|known| known.fate.clone());
            if matches!(fate, Some(Fate::Accepted(_))) {
                continue;
            }
            if fate.is_none() || (needs_seq && first.is_none()) {
                let closed = ChangeKind::Closed { op_id: *old, by };
                let seq = self.log.append(closed, dice);
                first.get_or_insert(seq);
            }
            if !matches!(fate, Some(Fate::Closed(_))) {
                let hash = known.and_then(|known| known.hash);
                let fate = Fate::Closed(by);
                let user = operation.user_id;
                self.operations.insert(*old, Known { hash, fate, user });
            }
        }
        first
    }

    /// Rule 6: which event a correction really names.
    fn resolve(&self, named: EventId, event: &Event, user: UserId) -> Refused<EventId> {
        let mut id = named;
        loop {
            if let Some((_, parent)) = self.events.get(&id) {
                if parent.event.vehicle_id != event.vehicle_id {
                    return refuse(code::UNKNOWN_VEHICLE, Some("corrects"));
                }
                if !parent.event.act().states_a_fact() && id != named {
                    return refuse(code::PARENT_REJECTED, Some("corrects"));
                }
                return Ok(id);
            }
            match self.fate_to(user, id.into()) {
                None => return Err(Box::new(Outcome::Waiting { parent: id })),
                Some(Fate::Closed(by)) => id = (*by).into(),
                // A discard that stated nothing is accepted and is no event.
                Some(Fate::Refused | Fate::Accepted(_)) => {
                    return refuse(code::PARENT_REJECTED, Some("corrects"));
                }
            }
        }
    }

    fn may_act(&self, pusher: &Pusher, event: &Event, corrects: Option<EventId>) -> Refused<()> {
        let Some((named, (_, parent))) = corrects.and_then(|id| Some((id, self.events.get(&id)?)))
        else {
            return Ok(());
        };
        let anothers = parent.user_id != Some(pusher.identity.user_id);
        if !event.act().states_a_fact() && anothers && pusher.role < Role::Manager {
            return refuse(code::FORBIDDEN, None);
        }
        let retracted = timeline::is_retracted(&self.events, named);
        may_act(event.act(), parent.event.act(), retracted)
            .or_else(|(code, _)| refuse(code, Some("corrects")))
    }
}

pub(super) fn refuse<T>(code: &str, field: Option<&str>) -> Refused<T> {
    let rejection = Rejection::new(code, "the model server refuses it");
    Err(Box::new(Outcome::Rejected(match field {
        Some(field) => rejection.field(field),
        None => rejection,
    })))
}
