//! What people do with photos and places: capture with them, add them later, describe them, take
//! them off, say where something happened, begin sessions and come back to them, make room.

use motomind_core::{
    Capture, CaptureError, Captured, HostPreview, LocationSaid, NewPhoto, PhotoEdit, PhotoMeta,
    PhotoTarget, Variant,
};
use motomind_protocol::effective::Act;
use motomind_protocol::flow::{Left, Path};
use motomind_protocol::place::CorrectionMethod;
use motomind_protocol::{EventId, Hash, OpId, VehicleId, code};
use serde_json::json;
use uuid::Uuid;

use super::capture::{How, remembered};
use super::pictures::Taken;
use super::world::{Checked, World};

/// A session that a person is at.
#[derive(Clone, Debug)]
pub struct Ongoing {
    /// The session.
    pub id: Uuid,
    /// Its vehicle.
    pub vehicle: VehicleId,
    /// Photos that were acknowledged in it.
    pub photos: Vec<Hash>,
    /// The phone went off meanwhile.
    pub interrupted: bool,
    /// What the vehicle turned out to be, unless the power took the answer.
    pub perhaps: Option<VehicleId>,
}

/// What a phone must hold of photos.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Photos that were acknowledged on events.
    pub photos: Vec<Hash>,
    /// The session that the person is at.
    pub session: Option<Ongoing>,
    /// The power took the answer to something; what it stated may be in the journal.
    pub in_doubt: bool,
}

/// A capture with photos, or the end of a session, that the person will make again.
#[derive(Clone, Debug)]
pub struct Unsure {
    capture: Capture,
    pictures: Vec<Taken>,
    session: Option<Ongoing>,
}

impl World {
    /// Someone does something with photos or places.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn photograph(&mut self, index: usize) -> Checked {
        match self.dice.below(24) {
            0..=6 => {
                let pictures = (0..=self.dice.below(3)).map(|_| self.take_picture()).collect();
                let capture = self.confirmed(index);
                self.capture_with_photos(index, Unsure { capture, pictures, session: None })
            }
            7..=9 => self.add_photo_to_event(index),
            10..=11 => self.say_of_photo(index, false),
            12 => self.say_of_photo(index, true),
            13..=16 => self.correct_place(index),
            17 => self.withdraw_place(index),
            18..=21 => self.go_on_with_session(index),
            22 => self.make_room(index),
            _ => self.fetch(index),
        }
    }

    /// A capture that says that its reading is right.
    fn confirmed(&mut self, index: usize) -> Capture {
        let mut capture = self.invent(index);
        capture.op_id = Some(self.fresh_id(index));
        capture.payload.insert("confirmed_jump".into(), json!(true));
        capture
    }

    /// Captures with photos, or ends a session.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn capture_with_photos(&mut self, index: usize, what: Unsure) -> Checked {
        let Some(op) = what.capture.op_id else { return Ok(()) };
        if self.ledger.fact(op).is_none() {
            self.ledger.add(op, remembered(&what.capture, How::New));
        }
        let clock = self.phones[index].clock(self.now);
        let Some(device) = self.phones[index].device.as_mut() else { return Ok(()) };
        let capture = what.capture.clone();
        let result = match &what.session {
            Some(session) => device.complete_session(session.id, capture, clock),
            None => device.capture_with_photos(capture, new_photos(&what.pictures), clock),
        };
        self.note(|| format!("{index} captures {op} with photos: {:?}", result.as_ref().err()));
        if let (Err(CaptureError::SessionOver(_) | CaptureError::UnknownSession), Some(session)) =
            (&result, &what.session)
        {
            self.ledger.forget(op);
            let known = matches!(result, Err(CaptureError::SessionOver(_)));
            self.phones[index].kept.session = known.then(|| session.clone());
            return self.note_statements(index, None);
        }
        match &result {
            Ok(_) => {
                let photos = what.pictures.iter().map(|picture| picture.photo);
                let of_session = what.session.iter().flat_map(|session| session.photos.clone());
                let all: Vec<Hash> = photos.chain(of_session).collect();
                self.phones[index].kept.photos.extend(all);
                self.trace.count("captured with photos");
            }
            Err(CaptureError::Store(_)) => self.phones[index].unsure_photos.push(what),
            Err(_) => {}
        }
        self.told(index, op, result)
    }

    /// The person does again what the power took the answer to.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn repeat_doubtful_photos(&mut self, index: usize) -> Checked {
        for what in std::mem::take(&mut self.phones[index].unsure_photos) {
            self.capture_with_photos(index, what)?;
        }
        Ok(())
    }

    /// Something that a phone shows and states a fact; mostly one of the newest.
    fn some_event(&mut self, index: usize) -> Option<EventId> {
        let entries = self.phones[index].timeline().unwrap_or_default();
        let facts = entries.iter().filter(|entry| Act::of_type(&entry.kind).states_a_fact());
        let most = if self.dice.permille(700) { 3 } else { usize::MAX };
        let facts: Vec<EventId> = facts.take(most).map(|entry| entry.event_id).collect();
        self.dice.pick(&facts).copied()
    }

    fn add_photo_to_event(&mut self, index: usize) -> Checked {
        let Some(event) = self.some_event(index) else { return Ok(()) };
        let taken = self.take_picture();
        let photo = taken.photo;
        let added = self.add(index, PhotoTarget::Event(event), taken);
        if added.is_ok() {
            self.phones[index].kept.photos.push(photo);
        }
        self.said(index, "adds a photo", added)
    }

    fn add(&mut self, index: usize, target: PhotoTarget, taken: Taken) -> Result<(), CaptureError> {
        let clock = self.phones[index].clock(self.now);
        let device = self.phones[index].device.as_mut().ok_or(CaptureError::UnknownOperation)?;
        let preview = taken.preview.map_or(HostPreview::Later, HostPreview::Bytes);
        device.add_photo(target, &**taken.bytes, PhotoMeta::default(), preview, clock).map(drop)
    }

    fn say_of_photo(&mut self, index: usize, removed: bool) -> Checked {
        let clock = self.phones[index].clock(self.now);
        let Some(event) = self.some_event(index) else { return Ok(()) };
        let (number, place) = (self.dice.number() % 1_000, self.dice.between(1, 4));
        let primary = self.dice.permille(500);
        let Some(device) = self.phones[index].device.as_mut() else { return Ok(()) };
        let shown = device.photos(event).unwrap_or_default();
        let Some(photo) = self.dice.pick(&shown).map(|one| one.photo) else { return Ok(()) };
        let edit = PhotoEdit {
            caption: Some(format!("caption {number}")),
            sequence: Some(place),
            is_primary: Some(primary),
        };
        let result = match removed {
            true => device.remove_photo(event, photo, "blurred", clock),
            false => device.describe_photo(event, photo, edit, clock),
        };
        self.said(index, "says of a photo", result.map(drop))
    }

    fn correct_place(&mut self, index: usize) -> Checked {
        let clock = self.phones[index].clock(self.now);
        let Some(event) = self.some_event(index) else { return Ok(()) };
        let north = f64::from(u32::try_from(self.dice.below(10_000)).unwrap_or(0)) / 10_000.0;
        let Some(device) = self.phones[index].device.as_mut() else { return Ok(()) };
        let before = device.place(event).ok().flatten();
        let seen = before.into_iter().flat_map(|place| place.corrections);
        let seen: Vec<OpId> = seen.filter_map(|one| one.op_id).collect();
        let said = LocationSaid {
            latitude: 39.0 + north,
            longitude: -104.9,
            method: CorrectionMethod::MapPin,
            address: None,
            reason: Some("it was there".into()),
            extraction: None,
        };
        let result = device.correct_location(event, said, clock);
        if let Ok(Captured { op_id, .. }) = &result {
            self.places_seen.insert(*op_id, seen);
        }
        self.said(index, "says where", result.map(drop))
    }

    fn withdraw_place(&mut self, index: usize) -> Checked {
        let clock = self.phones[index].clock(self.now);
        let Some(event) = self.some_event(index) else { return Ok(()) };
        let Some(device) = self.phones[index].device.as_mut() else { return Ok(()) };
        let result = device.withdraw_location(event, "it was right", clock);
        self.said(index, "withdraws a place", result.map(drop))
    }

    fn go_on_with_session(&mut self, index: usize) -> Checked {
        let clock = self.phones[index].clock(self.now);
        let vehicle = self.dice.pick(&self.vehicles).copied();
        let taken = self.take_picture();
        let choice = self.dice.below(10);
        let Some(mut session) = self.phones[index].kept.session.take() else {
            let (Some(vehicle), Some(device)) = (vehicle, self.phones[index].device.as_mut())
            else {
                return Ok(());
            };
            let begun = device.begin_session(vehicle, "damage", Path::Quick, clock);
            let begun = begun.map(|begun| {
                let (photos, interrupted, perhaps) = (Vec::new(), false, None);
                let ongoing = Ongoing { id: begun.id, vehicle, photos, interrupted, perhaps };
                self.phones[index].kept.session = Some(ongoing);
            });
            return self.said(index, "begins a session", begun);
        };
        if choice >= 8 {
            let Some(device) = self.phones[index].device.as_mut() else { return Ok(()) };
            let left = match choice {
                8 => device.leave_session(session.id, Left::BackButton, clock).map(drop),
                _ => device.discard_session_photos(session.id, clock),
            };
            return self.said(index, "leaves a session", left);
        }
        if choice >= 6 && !session.photos.is_empty() {
            let mut capture = self.confirmed(index);
            capture.vehicle_id = session.vehicle;
            let what = Unsure { capture, pictures: Vec::new(), session: Some(session) };
            return self.capture_with_photos(index, what);
        }
        let Some(device) = self.phones[index].device.as_mut() else { return Ok(()) };
        let resumed = device.resume_session(session.id, clock).map(|now| now.id);
        self.note(|| format!("{index} resumes {}: {:?}", session.id, resumed.as_ref().err()));
        let Ok(id) = resumed else {
            return self.said(index, "resumes a session", resumed.map(drop));
        };
        if std::mem::take(&mut session.interrupted) {
            self.trace.count("session resumed after a crash");
        }
        session.id = id;
        let (photo, target) = (taken.photo, PhotoTarget::Session { id, step: None });
        let added = self.add(index, target, taken);
        if added.is_ok() {
            session.photos.push(photo);
        }
        self.phones[index].kept.session = Some(session);
        self.said(index, "adds to a session", added)
    }

    /// Somebody needs the room on their phone for something else.
    ///
    /// # Errors
    /// A violated invariant.
    pub(super) fn make_room(&mut self, index: usize) -> Checked {
        let bytes = self.dice.below(200_000);
        let Some(device) = self.phones[index].device.as_mut() else { return Ok(()) };
        let freed = match bytes % 3 {
            0 => device.set_photo_room(bytes),
            _ => device.free_space(bytes),
        };
        self.said(index, "makes room", freed.map_err(CaptureError::from))
    }

    /// Someone wants to see an original that is not here any more, or, less often, never was.
    ///
    /// # Errors
    /// A violated invariant.
    pub(super) fn fetch(&mut self, index: usize) -> Checked {
        let clock = self.phones[index].clock(self.now);
        let Some(device) = self.phones[index].device.as_ref() else { return Ok(()) };
        let is_away =
            |photo: &Hash| matches!(device.read_photo(*photo, Variant::Original, 0, 1), Ok(None));
        let own = self.phones[index].kept.photos.iter().copied();
        let freed: Vec<Hash> = own.filter(is_away).collect();
        let others: Vec<Hash> = self.server.tenant.photos.all().filter(is_away).collect();
        let wanted = if freed.is_empty() { &others } else { &freed };
        let Some(photo) = self.dice.pick(wanted).copied() else { return Ok(()) };
        if !freed.is_empty() {
            self.trace.count("freed photo fetched");
        }
        let Some(device) = self.phones[index].device.as_mut() else { return Ok(()) };
        let fetched = device.fetch_photo(photo, Variant::Original, clock);
        self.said(index, "fetches a photo", fetched)
    }

    /// Takes back what was said of a photo, a place or a session, and was refused or waits.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn take_back_statement(&mut self, index: usize, op: OpId) -> Checked {
        let clock = self.phones[index].clock(self.now);
        let Some(device) = self.phones[index].device.as_mut() else { return Ok(()) };
        let result = device.discard(op, "not so", clock);
        if result.as_ref().is_ok_and(|captured| captured.op_id == op) {
            self.ledger.set_aside.insert(op);
        }
        self.said(index, "takes a statement back", result.map(drop))
    }

    /// The device's answer to something beside captures.
    pub(super) fn said(
        &mut self,
        index: usize,
        what: &str,
        result: Result<(), CaptureError>,
    ) -> Checked {
        self.note(|| format!("{index} {what}: {:?}", result.as_ref().err()));
        match result {
            Ok(()) => {}
            Err(CaptureError::Store(error)) => {
                self.phones[index].kept.in_doubt = true;
                self.survived::<()>(index, Err(error.to_string()))?;
                return Ok(());
            }
            Err(
                CaptureError::UnknownOperation
                | CaptureError::UnknownPhoto
                | CaptureError::UnknownSession
                | CaptureError::AlreadySuperseded
                | CaptureError::SessionOver(_),
            ) => {}
            Err(CaptureError::Invalid(why))
                if why.iter().all(|v| v.code == code::NOT_CORRECTABLE) => {}
            Err(error) => return Err(format!("phone {index} {what}: {error}")),
        }
        self.note_statements(index, None)?;
        self.ask(index)
    }

    /// Learns which operations followed from a call, as the device lists them; with those of a
    /// capture, the capture itself.
    ///
    /// # Errors
    /// A violated invariant.
    pub(super) fn note_statements(&mut self, index: usize, captured: Option<OpId>) -> Checked {
        let clock = self.phones[index].clock(self.now);
        let Some(device) = self.phones[index].device.as_ref() else { return Ok(()) };
        let pending = device.pending(clock).map_err(|error| error.to_string());
        let Some(pending) = self.survived(index, pending)? else {
            self.phones[index].kept.in_doubt = true;
            return Ok(());
        };
        for item in pending {
            let photo = item.photo.map(|said| (said.vehicle_id, Some(said.event_id)));
            let place = item.location.map(|said| (said.vehicle_id, Some(said.event_id)));
            let said = photo.or(place).or(item.session.map(|said| (said.vehicle_id, None)));
            let phone = &mut self.phones[index];
            if phone.held.contains(&item.op_id) {
                continue;
            }
            if let Some((vehicle, event)) = said {
                phone.held.push(item.op_id);
                self.ledger.say(item.op_id, vehicle, event, item.supersedes);
            } else if Some(item.op_id) == captured {
                phone.held.push(item.op_id);
            }
        }
        Ok(())
    }
}

fn new_photos(pictures: &[Taken]) -> Vec<NewPhoto<&[u8]>> {
    let new =
        |taken: &'_ Taken| taken.preview.clone().map_or(HostPreview::Later, HostPreview::Bytes);
    pictures
        .iter()
        .map(|taken| NewPhoto {
            bytes: taken.bytes.as_slice(),
            meta: PhotoMeta::default(),
            preview: new(taken),
        })
        .collect()
}
