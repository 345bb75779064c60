//! The invariants of photos and places. Each says in a sentence what was promised and not kept.

use std::collections::BTreeSet;

use motomind_core::{UploadState, Variant};
use motomind_protocol::photo::attached;
use motomind_protocol::place::place;
use motomind_protocol::{EventId, Hash, OpId, limits};

use super::timeline::effective_events;
use super::world::{Checked, World};

impl World {
    /// When a phone has come back: every acknowledged photo is on it or, verified, on the server;
    /// a session that a person is at is there with its photos.
    ///
    /// # Errors
    /// What is nowhere.
    pub fn check_photos_kept(&mut self, index: usize) -> Checked {
        let looked = self.look_for_photos(index);
        self.looked(index, looked)
    }

    fn look_for_photos(&mut self, index: usize) -> Checked {
        let phone = &self.phones[index];
        let device = phone.device.as_ref().ok_or("the phone is off")?;
        let altered = device.verify_photos().map_err(|error| error.to_string())?;
        if !altered.is_empty() {
            return Err(format!("phone {index} has other bytes than it was given: {altered:?}"));
        }
        let mut freed = 0;
        for photo in &phone.kept.photos {
            if self.bytes_on(index, *photo)?.is_some() {
                continue;
            }
            freed += 1;
            // What may be restored is younger than what may be freed.
            if self.server.tenant.photos.original(*photo).is_none() {
                return Err(format!("phone {index} has lost the photo {photo}"));
            }
        }
        if freed > 0 {
            self.trace.count("original freed");
        }
        let phone = &mut self.phones[index];
        let clock = phone.clock(self.now);
        let Some(session) = &mut phone.kept.session else { return Ok(()) };
        session.interrupted = true;
        let there = phone.device.as_ref().map(|device| device.session(session.id, clock));
        let there = there.ok_or("the phone is off")?.map_err(|error| error.to_string())?;
        if let Some(there) = &there {
            let (now, perhaps) = (there.vehicle_id, session.perhaps.take());
            session.vehicle = perhaps.filter(|to| *to == now).unwrap_or(session.vehicle);
            if now != session.vehicle {
                return Err(format!("session {} of phone {index} is on {now}", session.id));
            }
        }
        let photos = there.map(|session| session.photos).unwrap_or_default();
        let lost = session.photos.iter().find(|photo| photos.iter().all(|p| p.photo != **photo));
        match lost {
            Some(lost) => Err(format!("phone {index} lost {lost} of session {}", session.id)),
            None => Ok(()),
        }
    }

    /// The bytes of an original on a phone, taken there or fetched.
    fn bytes_on(&self, index: usize, photo: Hash) -> Checked<Option<Vec<u8>>> {
        let device = self.phones[index].device.as_ref().ok_or("the phone is off")?;
        let mut bytes = Vec::new();
        loop {
            let at = bytes.len() as u64;
            let piece = device.read_photo(photo, Variant::Original, at, limits::PIECE_BYTES_MAX);
            let Some(piece) = piece.map_err(|error| error.to_string())? else {
                return Ok(None);
            };
            bytes.extend_from_slice(&piece.bytes);
            if bytes.len() as u64 >= piece.total || piece.bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }

    /// Refused previews of photos that are on events, though no longer or not yet by this person:
    /// those come from whoever put them there, and these rest.
    pub(super) fn previews_of_others(&self, index: usize) -> Checked<Vec<(Hash, Variant)>> {
        let phone = &self.phones[index];
        let device = phone.device.as_ref().ok_or("the phone is off")?;
        let uploads = device.uploads().map_err(|error| error.to_string())?;
        let rests = uploads.into_iter().filter(|upload| {
            let (is_on, by_them) =
                self.server.tenant.put_on_events(upload.photo, phone.identity.user_id);
            let is_preview = upload.variant == Variant::Preview;
            upload.state == UploadState::Refused && is_preview && is_on && !by_them
        });
        Ok(rests.map(|upload| (upload.photo, upload.variant)).collect())
    }

    /// After quiet: every original and preview is on the server as it was taken, and every phone
    /// shows of each event the same photos and the same place as the server's log says.
    ///
    /// # Errors
    /// What is missing or differs.
    pub fn check_photos(&mut self, index: usize) -> Checked {
        for photo in &self.phones[index].kept.photos {
            let stored = self.server.tenant.photos.original(*photo);
            let taken = self.pictures.get(photo);
            let equal = stored.is_some_and(|stored| taken.is_some_and(|t| **t == *stored.bytes));
            let here = self.bytes_on(index, *photo)?;
            if !equal {
                return Err(format!("the photo {photo} of phone {index} is not on the server"));
            }
            if here.is_some_and(|here| taken.is_none_or(|taken| **taken != here)) {
                return Err(format!("phone {index} shows other bytes of {photo} than were taken"));
            }
        }
        let device = self.phones[index].device.as_ref().ok_or("the phone is off")?;
        let others = self.previews_of_others(index)?;
        for upload in device.uploads().map_err(|error| error.to_string())? {
            let photos = &self.server.tenant.photos;
            let stored = match upload.variant {
                Variant::Preview => photos.preview(upload.photo),
                Variant::Original => photos.original(upload.photo),
            };
            if stored.is_none() && !others.contains(&(upload.photo, upload.variant)) {
                return Err(format!("phone {index} calls {upload:?} sent, the server lacks it"));
            }
        }
        self.check_statements(index)
    }

    /// After quiet: no event claims a photo that is nowhere. A phone that came back from an older
    /// backup, or has a twin, may have told of one whose bytes went with what was lost.
    ///
    /// # Errors
    /// The photo.
    pub fn check_no_photo_is_nowhere(&self) -> Checked {
        let tenant = &self.server.tenant;
        for (photo, people) in tenant.on_events() {
            let is_lost = people.iter().any(|person| self.editors.split.contains(person));
            if tenant.photos.original(photo).is_none() && !is_lost {
                return Err(format!("an event claims the photo {photo}, which is nowhere"));
            }
        }
        Ok(())
    }

    fn check_statements(&self, index: usize) -> Checked {
        let tenant = &self.server.tenant;
        let device = self.phones[index].device.as_ref().ok_or("the phone is off")?;
        let counting = effective_events(&tenant.events, None);
        let root_of = |event: Option<EventId>| event.and_then(|event| tenant.family_root(event));
        let photos = tenant.statements.photos.iter().map(|(_, one)| root_of(one.event_id));
        let places = tenant.statements.places.iter().map(|(_, one)| root_of(one.event_id));
        let roots: BTreeSet<EventId> = photos.chain(places).flatten().collect();
        for root in roots {
            let of = |event: Option<EventId>| root_of(event) == Some(root);
            // Of an id that two captures have, each phone knows its own.
            let mut family = tenant.events.keys().filter(|event| of(Some(**event)));
            if family.any(|event| self.ledger.reused.contains(&OpId::from(*event))) {
                continue;
            }
            let said = tenant.statements.photos.iter().filter(|(_, one)| of(one.event_id));
            let there = attached(said.map(|(seq, one)| (Some(*seq), &one.said)));
            let there: Vec<_> = there
                .iter()
                .map(|a| (a.said.photo, a.said.sequence, a.said.caption.clone(), a.is_primary))
                .collect();
            let shown = device.photos(root).map_err(|error| error.to_string())?;
            let shown: Vec<_> = shown
                .into_iter()
                .map(|one| (one.photo, one.sequence, one.caption, one.is_primary))
                .collect();
            if shown != there {
                return Err(format!("phone {index} shows {shown:?} on {root}, not {there:?}"));
            }
            let counts = counting.iter().find(|event| of(Some(**event))).unwrap_or(&root);
            let event = |id: &EventId| tenant.events.get(id).map(|(_, record)| &record.event);
            let Some(effective) = event(counts) else { continue };
            let said = tenant.statements.places.iter().filter(|(_, one)| of(one.event_id));
            let said = said.map(|(seq, one)| (Some(*seq), &one.said));
            let there = place(effective, event(&root), said);
            let shown = device.place(root).map_err(|error| error.to_string())?;
            let shown = shown.and_then(|shown| shown.place);
            if shown != there {
                return Err(format!("phone {index} shows {root} at {shown:?}, not at {there:?}"));
            }
        }
        Ok(())
    }

    /// Counts the places that two people corrected without knowing of one another.
    pub fn count_places_corrected_offline(&mut self) {
        let tenant = &self.server.tenant;
        let places = &tenant.statements.places;
        let unseen = |op: Option<OpId>, other: Option<OpId>| {
            let seen = op.and_then(|op| self.places_seen.get(&op));
            other.is_some_and(|other| seen.is_some_and(|seen| !seen.contains(&other)))
        };
        let mut offline = 0;
        for (at, (_, one)) in places.iter().enumerate() {
            let root = one.event_id.and_then(|event| tenant.family_root(event));
            let mut others = places[..at].iter().filter(|(_, other)| {
                other.event_id.and_then(|event| tenant.family_root(event)) == root
                    && other.user_id != one.user_id
            });
            offline += usize::from(others.any(|(_, other)| {
                unseen(one.op_id, other.op_id) && unseen(other.op_id, one.op_id)
            }));
        }
        for _ in 0..offline {
            self.trace.count("a place corrected by two offline");
        }
    }
}
