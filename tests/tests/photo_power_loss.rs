//! The power goes at every sync point while photos are taken, and between the pieces that are not
//! waited for. Each time the device is opened again: what was acknowledged is there whole, in its
//! session or on its event, and nothing else is left of what was not.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use motomind_core::protocol::flow::Path;
use motomind_core::{
    Capture, Device, HostPreview, NewPhoto, PhotoMeta, PhotoTarget, UploadState, Variant,
};
use motomind_protocol::{
    Hash, Identity, Millis, OpId, Role, TenantId, UserId, VehicleId, limits, uuid_v7,
};
use motomind_tests::dice::Dice;
use motomind_tests::disk::Disk;
use motomind_tests::sim::phone::Phone;
use motomind_tests::tus::photo;
use uuid::Uuid;

const NOW: Millis = 1_795_132_800_000;
const EVENTS: usize = 12;

/// A phone that photographs, and what must survive.
struct Work {
    phone: Phone,
    dice: Dice,
    now: Millis,
    /// Captures that were acknowledged, with their photos.
    captured: Vec<(OpId, Vec<Hash>)>,
    /// Photos that were acknowledged and wait in the session that goes on.
    waiting: Vec<Hash>,
    session: Option<Uuid>,
    points: usize,
    /// At how many of them something half-written had been there.
    cut: usize,
}

fn vehicle() -> VehicleId {
    VehicleId(Uuid::from_u128(7))
}

fn whole(device: &Device, sha256: Hash) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let at = bytes.len() as u64;
        let piece = device.read_photo(sha256, Variant::Original, at, limits::PIECE_BYTES_MAX);
        let piece = piece.unwrap()?;
        bytes.extend_from_slice(&piece.bytes);
        if bytes.len() as u64 == piece.total {
            return Some(bytes);
        }
    }
}

/// How many pictures rest on a disk, named and not, and how many rows of pieces.
fn resting(disk: &Disk) -> (i64, i64) {
    let copy = disk.clone_disk();
    let db = copy.connect("journal.db").unwrap();
    let count = |sql: &str| db.query_row(sql, [], |row| row.get(0)).unwrap_or(0);
    (
        count("SELECT count(*) FROM blobs WHERE sha256 IS NOT NULL"),
        count("SELECT count(*) FROM blobs WHERE sha256 IS NULL"),
    )
}

impl Work {
    fn new() -> Self {
        let identity = Identity {
            tenant_id: TenantId(Uuid::from_u128(1)),
            user_id: UserId(Uuid::from_u128(2)),
        };
        let mut dice = Dice::new(4);
        let mut phone = Phone::new(identity, Role::Technician);
        phone.disk.record_syncs();
        phone.open(NOW, &mut dice).unwrap();
        let (captured, waiting) = (Vec::new(), Vec::new());
        Self { phone, dice, now: NOW, captured, waiting, session: None, points: 0, cut: 0 }
    }

    fn device(&mut self) -> &mut Device {
        self.phone.device.as_mut().unwrap()
    }

    fn picture(&mut self) -> Vec<u8> {
        let size = usize::try_from(40 + self.dice.below(900_000)).unwrap();
        photo(self.dice.number(), size)
    }

    fn capture(&mut self) -> Capture {
        let day = chrono::DateTime::from_timestamp_millis(self.now).unwrap();
        let mut capture = Capture::new(vehicle(), "damage", self.now, day.date_naive(), "UTC");
        capture.op_id = Some(OpId(uuid_v7(self.now, self.dice.bytes())));
        capture
    }

    fn step(&mut self, step: usize) {
        self.now += 60_000;
        if step.is_multiple_of(2) { self.quick() } else { self.guided() }
    }

    /// Everything at once.
    fn quick(&mut self) {
        let (capture, now) = (self.capture(), self.now);
        let op_id = capture.op_id.unwrap();
        let pictures: Vec<Vec<u8>> = (0..2).map(|_| self.picture()).collect();
        let photos = pictures
            .iter()
            .map(|bytes| NewPhoto {
                bytes: bytes.as_slice(),
                meta: PhotoMeta::default(),
                preview: HostPreview::Later,
            })
            .collect();
        self.device().capture_with_photos(capture, photos, now).unwrap();
        // The points within the call: it had promised nothing.
        self.survive(Some(op_id));
        self.captured.push((op_id, pictures.iter().map(|bytes| Hash::of(bytes)).collect()));
        self.phone.disk.record_now();
        self.survive(None);
    }

    /// Photo by photo, piece by piece.
    fn guided(&mut self) {
        let now = self.now;
        let session =
            self.device().begin_session(vehicle(), "damage", Path::Quick, now).unwrap().id;
        self.session = Some(session);
        for _ in 0..2 {
            let bytes = self.picture();
            let target = PhotoTarget::Session { id: session, step: None };
            let device = self.device();
            let handle = device.begin_photo(target, PhotoMeta::default(), now).unwrap();
            for piece in bytes.chunks(300_000) {
                self.device().write_photo(handle, piece).unwrap();
                self.phone.disk.record_now();
                self.survive(None);
            }
            self.device().finish_photo(handle, HostPreview::Later).unwrap();
            // The points within the call: it may be there, and had not been promised.
            self.survive(None);
            self.waiting.push(Hash::of(&bytes));
            self.phone.disk.record_now();
            self.survive(None);
        }
        let capture = self.capture();
        let op_id = capture.op_id.unwrap();
        self.device().complete_session(session, capture, now).unwrap();
        self.survive(Some(op_id));
        let photos = std::mem::take(&mut self.waiting);
        self.session = None;
        self.captured.push((op_id, photos));
        self.phone.disk.record_now();
        self.survive(None);
    }

    /// Every point at which the power could have gone since the last time.
    fn survive(&mut self, begun: Option<OpId>) {
        for disk in self.phone.disk.take_recorded(&mut self.dice) {
            self.points += 1;
            self.reopened(disk, begun);
        }
    }

    fn reopened(&mut self, disk: Disk, begun: Option<OpId>) {
        self.cut += usize::from(resting(&disk).1 > 0);
        let mut phone = Phone::new(self.phone.identity, self.phone.role);
        phone.disk = disk;
        phone.open(self.now, &mut self.dice).unwrap();
        let device = phone.device.as_ref().unwrap();
        let mut expected: BTreeSet<Hash> = BTreeSet::new();
        for (op_id, photos) in &self.captured {
            let shown = device.photos((*op_id).into()).unwrap();
            let shown: Vec<Hash> = shown.iter().map(|one| one.photo).collect();
            assert_eq!(&shown, photos, "at point {}", self.points);
            expected.extend(photos);
        }
        let event = begun.map(|op_id| device.photos(op_id.into()).unwrap()).unwrap_or_default();
        expected.extend(event.iter().map(|one| one.photo));
        let sessions = device.sessions(self.now).unwrap();
        for session in &sessions {
            expected.extend(session.photos.iter().map(|one| one.photo));
        }
        if event.is_empty() {
            let kept = sessions.iter().find(|one| Some(one.id) == self.session);
            let kept: Vec<Hash> =
                kept.map_or(Vec::new(), |one| one.photos.iter().map(|p| p.photo).collect());
            assert!(kept.starts_with(&self.waiting), "at point {}", self.points);
        }
        for photo in &expected {
            let bytes = whole(device, *photo).unwrap();
            assert_eq!(Hash::of(&bytes), *photo, "at point {}", self.points);
        }
        assert_eq!(device.verify_photos().unwrap(), []);
        let uploads = device.uploads().unwrap();
        for (_, photos) in &self.captured {
            let queued = |photo: &Hash| {
                uploads.iter().any(|one| one.sha256 == *photo && one.state == UploadState::Queued)
            };
            assert!(photos.iter().all(queued), "at point {}", self.points);
        }
        // No orphan: what rests is in a session or on an event, and nothing is half there.
        let (named, unnamed) = resting(&phone.disk);
        assert_eq!((named as usize, unnamed), (expected.len(), 0), "at point {}", self.points);
        phone.close();
    }
}

#[test]
fn at_every_sync_point_while_photos_are_taken() {
    let mut work = Work::new();
    work.survive(None);
    for step in 0..EVENTS {
        work.step(step);
    }
    let photos: usize = work.captured.iter().map(|(_, photos)| photos.len()).sum();
    println!("{} power losses, {photos} photos, {} cut in the middle", work.points, work.cut);
    assert!(work.points > 4 * EVENTS && work.cut > EVENTS, "{} {}", work.points, work.cut);
    work.phone.close();
}
