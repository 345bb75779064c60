//! How the model server judges and keeps what is stated beside events, as `docs/protocol.md` says
//! under "Photos, places and sessions".

use std::collections::{BTreeMap, BTreeSet};

use motomind_protocol::wire::{ChangeKind, MissingPhotos, Outcome, Stated};
use motomind_protocol::{
    Attachment, Body, DeviceId, EventId, EventRecord, Hash, LocationCorrection, OpId, Operation,
    Role, UserId, VehicleId, code, limits,
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::tenant::{Fate, Pusher, Refused, Tenant, refuse};
use super::timeline::root_of;
use crate::dice::Dice;

/// Everything that was stated, with its sequence.
#[derive(Clone, Debug, Default)]
pub struct Statements {
    /// Of photos on events.
    pub photos: Vec<(u64, Stated<Attachment>)>,
    /// Of where events happened.
    pub places: Vec<(u64, Stated<LocationCorrection>)>,
    /// Whose each session is.
    sessions: BTreeMap<Uuid, (UserId, DeviceId)>,
}

impl Tenant {
    /// Judges a statement, from the superseded operations on.
    pub(super) fn decide_statement(
        &mut self,
        pusher: &Pusher,
        operation: &Operation,
        dice: &mut Dice,
    ) -> Refused<Outcome> {
        let user = operation.user_id;
        let is_accepted = |op: &OpId| matches!(self.fate_to(user, *op), Some(Fate::Accepted(_)));
        let none_accepted = !operation.supersedes.iter().any(is_accepted);
        let flags = Vec::new();
        if operation.takes_back() && !operation.supersedes.is_empty() && none_accepted {
            let closed = self.close_all(operation, true, dice);
            let seq = closed.unwrap_or_else(|| self.log.head());
            return Ok(Outcome::Accepted { seq, flags });
        }
        self.close_all(operation, false, dice);
        self.needed(operation)?;
        let (violations, vehicle, named) = match &operation.body {
            Body::Photo(said) => (said.validate(), said.vehicle_id, Some(said.event_id)),
            Body::LocationCorrection(said) => {
                (said.validate(), said.vehicle_id, Some(said.event_id))
            }
            Body::Session(said) => (said.validate(), said.vehicle_id, None),
            _ => return refuse(code::UNSUPPORTED, None),
        };
        violations.map_err(|violations| Box::new(Outcome::Rejected(violations.into())))?;
        if pusher.role < Role::Technician {
            return refuse(code::FORBIDDEN, None);
        }
        if !self.records.has_live_vehicle(vehicle) {
            return refuse(code::UNKNOWN_VEHICLE, Some("vehicle_id"));
        }
        let event = named.map(|event| self.about(event, vehicle, user)).transpose()?;
        let seq = match &operation.body {
            Body::Photo(said) => self.attach(pusher, operation, said, event, dice)?,
            Body::LocationCorrection(said) => {
                let stated = stated(pusher, operation, &**said, event);
                self.note_correction(&stated);
                let change = ChangeKind::LocationCorrection(Box::new(stated.clone()));
                let seq = self.log.append(change, dice);
                self.statements.places.push((seq, stated));
                seq
            }
            Body::Session(said) => {
                let owner = (operation.user_id, operation.device_id);
                if *self.statements.sessions.entry(said.id).or_insert(owner) != owner {
                    return refuse(code::RECORD_ID_TAKEN, Some("id"));
                }
                let stated = stated(pusher, operation, &**said, None);
                self.log.append(ChangeKind::Session(Box::new(stated)), dice)
            }
            _ => return refuse(code::UNSUPPORTED, None),
        };
        Ok(Outcome::Accepted { seq, flags })
    }

    /// The event that a statement is about: the one named, or what took its place.
    fn about(&self, named: EventId, vehicle: VehicleId, user: UserId) -> Refused<EventId> {
        let mut id = named;
        loop {
            if let Some((_, record)) = self.events.get(&id) {
                if !record.event.act().states_a_fact() {
                    let why = [code::PARENT_REJECTED, code::NOT_CORRECTABLE];
                    return refuse(why[usize::from(id == named)], Some("event_id"));
                }
                // An amendment may have moved it to another vehicle; what is said of it follows.
                if id == named && record.event.vehicle_id != vehicle {
                    return refuse(code::UNKNOWN_VEHICLE, Some("event_id"));
                }
                return Ok(id);
            }
            match self.fate_to(user, id.into()) {
                None | Some(Fate::Refused) => {
                    return Err(Box::new(Outcome::Waiting { parent: id }));
                }
                Some(Fate::Closed(by)) => id = (*by).into(),
                Some(Fate::Accepted(_)) => return refuse(code::PARENT_REJECTED, Some("event_id")),
            }
        }
    }

    fn attach(
        &mut self,
        pusher: &Pusher,
        operation: &Operation,
        said: &Attachment,
        event: Option<EventId>,
        dice: &mut Dice,
    ) -> Refused<u64> {
        let family = event.and_then(|event| self.family_root(event));
        let first = self.statements.photos.iter().find(|(_, other)| {
            let other_family = other.event_id.and_then(|event| self.family_root(event));
            other.said.photo == said.photo && other_family == family && !other.said.removed
        });
        let anothers = first.is_some_and(|(_, first)| first.user_id != Some(operation.user_id));
        if said.removed && anothers && pusher.role < Role::Manager {
            return refuse(code::FORBIDDEN, None);
        }
        let known = |one: &(u64, Stated<Attachment>)| {
            one.1.said.photo == said.photo && one.1.said.facts.is_some()
        };
        if said.facts.is_none() && !self.statements.photos.iter().any(known) {
            return refuse(code::MISSING, Some("facts"));
        }
        let stated = stated(pusher, operation, said, event);
        let seq = self.log.append(ChangeKind::Photo(Box::new(stated.clone())), dice);
        self.statements.photos.push((seq, stated));
        Ok(seq)
    }

    fn note_correction(&mut self, stated: &Stated<LocationCorrection>) {
        let root = stated.event_id.and_then(|event| self.family_root(event));
        let mut others =
            self.statements.places.iter().filter(|(_, other)| {
                other.event_id.and_then(|event| self.family_root(event)) == root
            });
        if others.any(|(_, other)| other.user_id != stated.user_id) {
            self.records.remarks.push("a place corrected by two");
        }
    }

    /// Whether an event was discarded before it was accepted.
    #[must_use]
    pub fn is_discarded(&self, event: EventId) -> bool {
        let mut id = event;
        while let Some(Fate::Closed(by)) = self.fate(id.into()) {
            id = (*by).into();
        }
        let is_fact = self.events.get(&id).is_some_and(|(_, r)| r.event.act().states_a_fact());
        id != event && !is_fact && matches!(self.fate(id.into()), Some(Fate::Accepted(_)))
    }

    /// The first of an event's family.
    #[must_use]
    pub fn family_root(&self, event: EventId) -> Option<EventId> {
        self.events.get(&event).map(|(_, record)| root_of(&self.events, record))
    }

    /// The photos that a device was the first to name and whose originals are not here.
    pub(super) fn missing_photos(&self, device: DeviceId) -> MissingPhotos {
        let mut first: BTreeMap<Hash, Option<DeviceId>> = BTreeMap::new();
        for (_, stated) in &self.statements.photos {
            first.entry(stated.said.photo).or_insert(stated.device_id);
        }
        // Where no statement has come yet, the event that was captured with it names it.
        let mut events: Vec<_> = self.events.values().collect();
        events.sort_by_key(|(seq, _)| *seq);
        for (_, record) in events {
            for photo in captured_with(record) {
                first.entry(photo).or_insert(record.device_id);
            }
        }
        let mine = first.into_iter().filter(|(_, by)| *by == Some(device));
        let mut named: BTreeSet<Hash> = mine.map(|(photo, _)| photo).collect();
        named.retain(|photo| self.photos.original(*photo).is_none() && !self.is_off(*photo));
        let photos: Vec<Hash> = named.into_iter().collect();
        let facts = |photo: &Hash| {
            let mut of = self.statements.photos.iter().filter(|one| one.1.said.photo == *photo);
            of.find_map(|one| one.1.said.facts.as_ref().map(|facts| facts.size))
        };
        let bytes = photos.iter().filter_map(facts).sum();
        let count = photos.len() as u64;
        MissingPhotos {
            count,
            bytes,
            photos: photos.into_iter().take(limits::CUSTODY_PHOTOS_MAX).collect(),
        }
    }

    /// Whether a photo is or was on an event, and whether this person has put it on one.
    pub(super) fn put_on_events(&self, photo: Hash, user: UserId) -> (bool, bool) {
        let said = self.statements.photos.iter().map(|(_, stated)| stated);
        let of_it: Vec<_> = said.filter(|stated| stated.said.photo == photo).collect();
        (!of_it.is_empty(), of_it.iter().any(|stated| stated.user_id == Some(user)))
    }

    /// The photos that are on events, each with the people who put it there.
    #[must_use]
    pub fn on_events(&self) -> BTreeMap<Hash, BTreeSet<UserId>> {
        let mut on: BTreeMap<Hash, BTreeSet<UserId>> = BTreeMap::new();
        for (_, stated) in &self.statements.photos {
            on.entry(stated.said.photo).or_default().extend(stated.user_id);
        }
        for (_, record) in self.events.values() {
            for photo in captured_with(record) {
                on.entry(photo).or_default().extend(record.user_id);
            }
        }
        on.retain(|photo, _| !self.is_off(*photo));
        on
    }

    /// Whether a photo was on events and was taken off every one.
    fn is_off(&self, photo: Hash) -> bool {
        let mut newest: BTreeMap<Option<EventId>, bool> = BTreeMap::new();
        for (_, stated) in self.statements.photos.iter().filter(|one| one.1.said.photo == photo) {
            let root = stated.event_id.and_then(|event| self.family_root(event));
            newest.insert(root, stated.said.removed);
        }
        !newest.is_empty() && newest.values().all(|removed| *removed)
    }
}

/// The photos that an event was captured with.
fn captured_with(record: &EventRecord) -> impl Iterator<Item = Hash> {
    let photos = record.event.payload.get("photos").and_then(Value::as_array);
    photos.into_iter().flatten().filter_map(|photo| photo.as_str()?.parse().ok())
}

fn stated<T: Clone>(
    pusher: &Pusher,
    operation: &Operation,
    said: &T,
    event_id: Option<EventId>,
) -> Stated<T> {
    Stated {
        id: operation.op_id.0,
        said: said.clone(),
        event_id,
        received_at: pusher.now,
        op_id: Some(operation.op_id),
        device_id: Some(operation.device_id),
        user_id: Some(operation.user_id),
        extra: Map::new(),
    }
}
