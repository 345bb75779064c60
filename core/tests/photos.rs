//! Photos on a device: stored whole or not at all, shown with their events, never lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "photos/field.rs"]
mod field;

use std::collections::BTreeSet;

use field::*;
use motomind_core::photo::{PhotoError, PhotoNote, PreviewAbsence};
use motomind_core::protocol::wire::{Outcome, Rejection};
use motomind_core::protocol::{Body, EventId, Hash, OpId, OpState, code, limits};
use motomind_core::*;
use uuid::Uuid;

fn hash(name: &str) -> Hash {
    Hash::of(&file(name))
}

fn shown(field: &Field, event: EventId) -> Vec<Hash> {
    field.device.photos(event).unwrap().iter().map(|photo| photo.photo).collect()
}

/// Blobs, pieces, photos and uploads in the journal.
fn counts(field: &mut Field) -> [i64; 4] {
    field.reopen();
    let path = field.journal();
    let copy = tempfile::tempdir().unwrap();
    for end in ["", "-wal"] {
        let from = format!("{}{end}", path.display());
        if std::path::Path::new(&from).exists() {
            std::fs::copy(&from, copy.path().join(format!("journal.db{end}"))).unwrap();
        }
    }
    let conn = rusqlite::Connection::open(copy.path().join("journal.db")).unwrap();
    ["blobs", "blob_chunks", "photos", "uploads"].map(|table| {
        conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    })
}

fn read_whole(field: &Field, photo: Hash, variant: Variant) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(piece) =
        field.device.read_photo(photo, variant, whole.len() as u64, 100_000).unwrap()
    {
        whole.extend_from_slice(&piece.bytes);
        if whole.len() as u64 == piece.total {
            return whole;
        }
    }
    panic!("{photo} is not here");
}

#[test]
fn an_event_and_its_photos_are_captured_together_and_everyone_is_told() {
    let mut field = Field::new();
    let event = field.with_photos(capture("fuel"), &["north_west.jpg", "position.heic"]);
    field.reopen();
    let photos = field.device.photos(event).unwrap();
    assert_eq!(photos.len(), 2);
    assert_eq!(photos[0].photo, hash("north_west.jpg"));
    assert!(photos[0].is_primary && !photos[1].is_primary);
    assert!(photos[0].original.here && photos[0].preview.here && !photos[0].original.on_server);
    assert_eq!(photos[0].original.upload, Some(UploadState::Queued));
    assert_eq!(photos[1].preview_absent, Some(PreviewAbsence::Heic));
    assert_eq!(photos[0].facts.as_ref().unwrap().make.as_deref(), Some("Apple"));
    assert_eq!(read_whole(&field, photos[0].photo, Variant::Original), file("north_west.jpg"));
    assert!(read_whole(&field, photos[0].photo, Variant::Preview).starts_with(&[0xff, 0xd8]));
    let entry = field.entry(event);
    assert_eq!(entry.photos, 2);
    let record = entry.record().unwrap().event;
    let named: Vec<_> = record.payload["photos"].as_array().unwrap().clone();
    assert_eq!(named, [hash("north_west.jpg").to_string(), hash("position.heic").to_string()]);
    assert!((record.photo_fix.unwrap().latitude - 39.739).abs() < 0.01);
    let place = entry.place.unwrap();
    assert_eq!(field.device.place(event).unwrap().unwrap().place, Some(place));

    let mut office = Office::default();
    let sent = field.push(&mut office);
    let kinds: Vec<_> = sent
        .iter()
        .map(|operation| match &operation.body {
            Body::Event(_) => "event",
            Body::Photo(said) => {
                assert!(said.facts.is_some());
                "photo"
            }
            Body::Session(_) => "session",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["event", "photo", "photo", "session"]);
    field.sync(&mut office);
    assert_eq!(field.pending(), []);
    assert_eq!(shown(&field, event).len(), 2);

    let mut other = Field::of(3);
    other.sync(&mut office);
    let photos = other.device.photos(event).unwrap();
    assert_eq!(photos.len(), 2);
    assert!(!photos[0].original.here && photos[0].facts.is_some());
    assert_eq!(other.entry(event).photos, 2);
    assert_eq!(field.device.verify().unwrap(), Ok(()));
}

#[test]
fn every_picture_of_the_corpus_is_stored_as_it_is_or_refused_and_nothing_is_left_of_it() {
    let mut field = Field::new();
    let event = field.with_photos(capture("fuel"), &["bare.jpg"]);
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/photos");
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "manifest.json" && name != "bare.jpg")
        .collect();
    names.sort();
    let (mut taken, mut refused) = (BTreeSet::from([hash("bare.jpg")]), Vec::new());
    for name in &names {
        match field.add(PhotoTarget::Event(event), name) {
            Ok(added) => {
                assert_eq!(added.duplicate, !taken.insert(hash(name)), "{name}");
                assert_eq!(added.facts.sha256, hash(name), "{name}");
                assert_eq!(read_whole(&field, hash(name), Variant::Original), file(name));
                assert!(added.preview.is_some(), "{name}");
            }
            Err(CaptureError::Photo(_)) => refused.push(name.as_str()),
            Err(other) => panic!("{name}: {other}"),
        }
    }
    for bad in ["bomb.jpg", "bomb.png", "film.gif", "one_byte.jpg", "page.jpg"] {
        assert!(refused.contains(&bad), "{bad} was taken; refused: {refused:?}");
    }
    for _ in 0..2 {
        assert_eq!(BTreeSet::from_iter(shown(&field, event)), taken);
        let [_, _, photos, _] = counts(&mut field);
        assert_eq!(photos as usize, taken.len());
    }
}

#[test]
fn what_cannot_be_taken_says_why_and_leaves_nothing() {
    let mut field = Field::new();
    let event = field.with_photos(capture("fuel"), &["bare.jpg"]);
    let before = counts(&mut field);
    let on = || PhotoTarget::Event(event);
    let meta = |change: fn(&mut PhotoMeta)| {
        let mut meta = PhotoMeta::default();
        change(&mut meta);
        meta
    };
    let refused = |field: &mut Field, bytes: &[u8], meta: PhotoMeta| {
        let now = field.tick();
        field.device.add_photo(on(), bytes, meta, HostPreview::None, now).unwrap_err()
    };
    let jpeg = file("north_west.jpg");
    let empty = refused(&mut field, &[], PhotoMeta::default());
    assert!(matches!(empty, CaptureError::Photo(PhotoError::Empty)));
    let none = refused(&mut field, &jpeg, meta(|meta| meta.size = Some(0)));
    assert!(matches!(none, CaptureError::Photo(PhotoError::Empty)));
    let large = refused(&mut field, &jpeg, meta(|meta| meta.size = Some(1 << 40)));
    assert!(matches!(large, CaptureError::Photo(PhotoError::TooLarge)));
    let claim = refused(&mut field, &jpeg, meta(|meta| meta.mime = Some("image/png".into())));
    assert!(matches!(claim, CaptureError::Photo(PhotoError::WrongMime(_))));
    let cut = refused(&mut field, &jpeg[..900], meta(|meta| meta.size = Some(1287)));
    assert!(matches!(cut, CaptureError::Invalid(_)), "{cut}");
    let bomb = refused(&mut field, &file("bomb.jpg"), PhotoMeta::default());
    assert!(matches!(bomb, CaptureError::Photo(PhotoError::TooManyPixels { .. })));
    let room = refused(&mut field, &jpeg, meta(|meta| meta.room = Some(Room { free_bytes: 5 })));
    assert!(matches!(room, CaptureError::NoRoom { free: 5, needed } if needed > 5));
    let odd = refused(&mut field, &jpeg, meta(|meta| meta.capture.quality_score = Some(101)));
    assert!(matches!(odd, CaptureError::Invalid(_)));
    let now = field.tick();
    let nowhere = PhotoTarget::Event(EventId(Uuid::from_u128(5)));
    let unknown = field.device.begin_photo(nowhere, PhotoMeta::default(), now);
    assert!(matches!(unknown, Err(CaptureError::UnknownOperation)));
    let nowhere = PhotoTarget::Session { id: Uuid::from_u128(5), step: None };
    let unknown = field.device.begin_photo(nowhere, PhotoMeta::default(), now);
    assert!(matches!(unknown, Err(CaptureError::UnknownSession)));
    let handle = field.device.begin_photo(on(), PhotoMeta::default(), now).unwrap();
    let huge = vec![0; limits::PIECE_BYTES_MAX + 1];
    let piece = field.device.write_photo(handle, &huge);
    assert!(matches!(piece, Err(CaptureError::PieceTooLarge)));
    field.device.abandon_photo(handle).unwrap();
    let gone = field.device.write_photo(handle, &[1]);
    assert!(matches!(gone, Err(CaptureError::NotBeingWritten)));
    assert_eq!(counts(&mut field), before);
    assert_eq!(field.device.verify().unwrap(), Ok(()));
}

/// A real beginning, and bytes behind it that no two photos share.
fn long(bytes: usize) -> Vec<u8> {
    let mut photo = file("north_west.jpg");
    let mut state = 1u32;
    photo.extend((photo.len()..bytes).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    }));
    photo
}

#[test]
fn a_photo_may_come_in_pieces_of_any_size_while_captures_go_on() {
    let mut field = Field::new();
    let event = field.with_photos(capture("fuel"), &["bare.jpg"]);
    let photo = long(900_001);
    for size in [1 << 20, 262_144, 262_143, 99_991, 7_777] {
        let now = field.tick();
        let on = PhotoTarget::Event(event);
        let handle = field.device.begin_photo(on, PhotoMeta::default(), now).unwrap();
        for (at, piece) in photo.chunks(size).enumerate() {
            field.device.write_photo(handle, piece).unwrap();
            if at % 40 == 0 {
                let mut reading = capture("odometer");
                reading.miles = Some(field.now - NOW);
                let now = field.tick();
                field.device.capture(reading, now).unwrap();
            }
        }
        let added = field.device.finish_photo(handle, HostPreview::Later).unwrap();
        assert_eq!(added.facts.sha256, Hash::of(&photo));
        assert_eq!(added.duplicate, size != 1 << 20);
        assert_eq!(read_whole(&field, Hash::of(&photo), Variant::Original), photo);
    }
    let [blobs, chunks, photos, uploads] = counts(&mut field);
    // Two originals, the preview of one.
    assert_eq!((blobs, chunks, photos, uploads), (3, 6, 2, 3));
    assert_eq!(shown(&field, event), [hash("bare.jpg"), Hash::of(&photo)]);
}

#[test]
fn a_crash_at_any_piece_leaves_nothing_and_at_the_end_everything() {
    let mut field = Field::new();
    let event = field.with_photos(capture("fuel"), &["bare.jpg"]);
    let before = counts(&mut field);
    let photo = long(1_200_000);
    for pieces in 0..=5 {
        let now = field.tick();
        let on = PhotoTarget::Event(event);
        let handle = field.device.begin_photo(on, PhotoMeta::default(), now).unwrap();
        for piece in photo.chunks(262_144).take(pieces) {
            field.device.write_photo(handle, piece).unwrap();
        }
        // Killed; what was captured meanwhile is there.
        assert_eq!(counts(&mut field), before, "after {pieces} pieces");
    }
    let now = field.tick();
    let on = PhotoTarget::Event(event);
    let meta = PhotoMeta { size: Some(photo.len() as u64), ..PhotoMeta::default() };
    field.device.add_photo(on, &photo[..], meta, HostPreview::Later, now).unwrap();
    field.reopen();
    assert_eq!(read_whole(&field, Hash::of(&photo), Variant::Original), photo);
    assert_eq!(shown(&field, event).len(), 2);
    assert_eq!(field.pending().len(), 4);
}

#[test]
fn the_space_of_what_was_given_up_is_given_back() {
    let mut field = Field::new();
    let size = |field: &mut Field| {
        field.reopen();
        // A checkpoint at closing has brought everything into the file.
        std::fs::metadata(field.journal()).unwrap().len()
    };
    let session = field.device.begin_session(truck(), "fuel", protocol::flow::Path::Quick, NOW);
    let id = session.unwrap().id;
    let before = size(&mut field);
    let now = field.tick();
    let target = PhotoTarget::Session { id, step: None };
    let photo = long(5_000_000);
    let meta = PhotoMeta::default();
    field.device.add_photo(target, &photo[..], meta, HostPreview::Later, now).unwrap();
    assert!(size(&mut field) > before + 5_000_000);
    let now = field.tick();
    field.device.discard_session_photos(id, now).unwrap();
    assert!(size(&mut field) < before + 200_000);
    assert_eq!(counts(&mut field), [0; 4]);
}

#[test]
fn a_host_gives_its_own_preview_or_asks_for_it_later() {
    let mut field = Field::new();
    let event = field.with_photos(capture("fuel"), &["bare.jpg"]);
    let now = field.tick();
    let small = HostPreview::Bytes(file("north_west.jpg"));
    let (on, meta) = (PhotoTarget::Event(event), PhotoMeta::default());
    let heic = &file("position.heic")[..];
    let added = field.device.add_photo(on.clone(), heic, meta.clone(), small, now).unwrap();
    let preview = added.preview.unwrap().unwrap();
    let bytes = read_whole(&field, hash("position.heic"), Variant::Preview);
    assert_eq!(Hash::of(&bytes), preview);
    // No position leaves with it.
    assert!(!bytes.windows(4).any(|word| word == b"Exif"));
    let jpeg = &file("orientation_6.jpg")[..];
    let added = field.device.add_photo(on, jpeg, meta, HostPreview::Later, now).unwrap();
    assert_eq!(added.preview, None);
    let photo = added.facts.sha256;
    let made = field.device.make_preview(photo, HostPreview::None, now).unwrap();
    let preview = made.unwrap().unwrap();
    assert_eq!(
        field.device.make_preview(photo, HostPreview::None, now).unwrap(),
        Some(Ok(preview))
    );
    let all = field.device.photos(event).unwrap();
    let one = all.iter().find(|one| one.photo == photo).unwrap();
    assert_eq!(one.preview.upload, Some(UploadState::Queued));
    let (on, meta) = (PhotoTarget::Event(event), PhotoMeta::default());
    let heic = &file("thumbnail_inside.heic")[..];
    let added = field.device.add_photo(on, heic, meta, HostPreview::Later, now).unwrap();
    let made = field.device.make_preview(added.facts.sha256, HostPreview::None, now).unwrap();
    assert!(matches!(made, Some(Ok(_))), "{made:?}");
    assert_eq!(
        field.add(PhotoTarget::Event(event), "no_end.jpg").unwrap().notes,
        [PhotoNote::Truncated]
    );
}

#[test]
fn photos_are_described_anew_taken_off_and_put_back() {
    let mut field = Field::new();
    let mut office = Office::default();
    let event = field.with_photos(capture("fuel"), &["bare.jpg", "north_west.jpg"]);
    let (first, second) = (hash("bare.jpg"), hash("north_west.jpg"));
    field.sync(&mut office);
    let now = field.tick();
    let edit = PhotoEdit {
        caption: Some("the dent".into()),
        is_primary: Some(true),
        ..PhotoEdit::default()
    };
    field.device.describe_photo(event, second, edit, now).unwrap();
    let check = |field: &Field, state| {
        let photos = field.device.photos(event).unwrap();
        assert_eq!(photos[1].caption.as_deref(), Some("the dent"));
        assert!(photos[1].is_primary && !photos[0].is_primary);
        assert_eq!(photos[1].state, state);
        assert!(photos[1].facts.is_some());
    };
    check(&field, OpState::Queued);
    field.sync(&mut office);
    check(&field, OpState::Accepted);
    let now = field.tick();
    let off = field.device.remove_photo(event, first, "blurred", now).unwrap().op_id;
    assert_eq!(shown(&field, event), [second]);
    assert_eq!(field.entry(event).photos, 1);
    let now = field.tick();
    let twice = field.device.remove_photo(event, first, "again", now);
    assert!(matches!(twice, Err(CaptureError::UnknownPhoto)));
    // Changed their mind before it was sent: what held before is said again.
    let now = field.tick();
    let back = field.device.discard(off, "it is fine", now).unwrap().op_id;
    assert_eq!(shown(&field, event), [first, second]);
    let sent = field.push(&mut office);
    assert_eq!(sent.iter().map(|op| op.op_id).collect::<Vec<_>>(), [back]);
    field.sync(&mut office);
    assert_eq!(shown(&field, event), [first, second]);
    // And after it was: the same.
    let now = field.tick();
    let off = field.device.remove_photo(event, first, "blurred", now).unwrap().op_id;
    field.sync(&mut office);
    let now = field.tick();
    field.device.discard(off, "it is fine", now).unwrap();
    field.sync(&mut office);
    assert_eq!(shown(&field, event), [first, second]);
    let other = field.with_photos(capture("damage"), &["edited.jpg"]);
    let now = field.tick();
    field.device.attach_photo(other, second, &PhotoMeta::default(), now).unwrap();
    field.sync(&mut office);
    assert_eq!(shown(&field, other), [hash("edited.jpg"), second]);
    field.reopen_without_mirror();
    field.sync(&mut office);
    assert_eq!(shown(&field, event), [first, second]);
    assert_eq!(shown(&field, other), [hash("edited.jpg"), second]);
    assert_eq!(field.pending(), []);
}

#[test]
fn a_photo_taken_back_before_it_was_sent_states_nothing() {
    let mut field = Field::new();
    let mut office = Office::default();
    let event = field.with_photos(capture("fuel"), &["bare.jpg"]);
    field.sync(&mut office);
    let op_id = field.add(PhotoTarget::Event(event), "edited.jpg").unwrap().op_id.unwrap();
    let now = field.tick();
    field.device.discard(op_id, "wrong event", now).unwrap();
    assert_eq!(shown(&field, event), [hash("bare.jpg")]);
    let entries = office.log.len();
    field.push(&mut office);
    assert_eq!(office.log.len(), entries + 1, "closed, and nothing else");
    field.pull(&mut office);
    assert_eq!(shown(&field, event), [hash("bare.jpg")]);
    field.reopen();
    field.sync(&mut office);
    assert_eq!(shown(&field, event), [hash("bare.jpg")]);
    assert_eq!(field.pending(), []);
    let twice = field.device.discard(op_id, "again", now);
    assert!(matches!(twice, Err(CaptureError::AlreadySuperseded)));
}

#[test]
fn photos_follow_an_event_that_is_amended_and_are_not_shown_of_one_that_is_discarded() {
    for reopens in [false, true] {
        let mut field = Field::new();
        let mut office = Office::default();
        let event = field.with_photos(capture("fuel"), &["north_west.jpg"]);
        let now = field.tick();
        let mut mended = capture("fuel");
        mended.total_minor = Some(5_000);
        let amended: EventId = field.device.amend(event.into(), mended, now).unwrap().op_id.into();
        if reopens {
            field.reopen_without_mirror();
        }
        for asked in [event, amended] {
            assert_eq!(shown(&field, asked), [hash("north_west.jpg")]);
        }
        assert_eq!(field.entry(amended).photos, 1);
        // A photo may still be added to it under either id.
        field.add(PhotoTarget::Event(event), "bare.jpg").unwrap();
        assert_eq!(field.entry(amended).photos, 2);
        let now = field.tick();
        let discard = field.device.discard(amended.into(), "twice", now).unwrap().op_id;
        if reopens {
            field.reopen();
        }
        assert_eq!(shown(&field, event), []);
        let now = field.tick();
        let again = field.device.restore(amended, "not twice", now).unwrap().op_id;
        assert_ne!(again, discard);
        assert_eq!(shown(&field, again.into()).len(), 2);
        field.sync(&mut office);
        field.sync(&mut office);
        assert_eq!(field.pending(), []);
        assert_eq!(shown(&field, again.into()).len(), 2);
        let mut other = Field::of(3);
        other.sync(&mut office);
        assert_eq!(shown(&other, again.into()).len(), 2);
    }
}

#[test]
fn an_event_that_is_discarded_leaves_nobody_to_look_after_its_photos_and_comes_back_with_them() {
    let mut field = Field::new();
    let mut office = Office::default();
    let event = field.with_photos(capture("fuel"), &["north_west.jpg", "bare.jpg"]);
    let now = field.tick();
    field.device.discard(event.into(), "twice", now).unwrap();
    for _ in 0..3 {
        field.sync(&mut office);
        field.now += 60_000;
    }
    assert_eq!(field.pending(), []);
    assert_eq!(office.log.iter().filter(|entry| entry["kind"] == "photo").count(), 0);
    let now = field.tick();
    let again: EventId = field.device.restore(event, "not twice", now).unwrap().op_id.into();
    assert_eq!(shown(&field, again), [hash("north_west.jpg"), hash("bare.jpg")]);
    field.sync(&mut office);
    assert_eq!(field.pending(), []);
    assert_eq!(field.entry(again).photos, 2);
    assert_eq!(read_whole(&field, hash("bare.jpg"), Variant::Original), file("bare.jpg"));
}

#[test]
fn a_refused_photo_is_shown_as_such_and_takes_no_part() {
    let mut field = Field::new();
    let mut office = Office::default();
    let event = field.with_photos(capture("fuel"), &["bare.jpg"]);
    field.sync(&mut office);
    let op_id = field.add(PhotoTarget::Event(event), "edited.jpg").unwrap().op_id.unwrap();
    let refuse = |_: &protocol::Operation| {
        Some(Outcome::Rejected(Rejection::new(code::FORBIDDEN, "not yours")))
    };
    field.push_with(&mut office, &refuse);
    let photos = field.device.photos(event).unwrap();
    assert_eq!(photos.len(), 2);
    assert_eq!((photos[1].photo, photos[1].state), (hash("edited.jpg"), OpState::Rejected));
    assert_eq!(field.entry(event).photos, 1);
    let item = &field.pending()[0];
    assert_eq!(item.photo.as_ref().unwrap().photo, hash("edited.jpg"));
    field.device.retry(op_id, field.now).unwrap();
    assert_eq!(field.entry(event).photos, 2);
    field.sync(&mut office);
    assert_eq!(shown(&field, event).len(), 2);
}

#[test]
fn a_correction_keeps_the_photos_of_what_it_corrects() {
    let mut field = Field::new();
    let mut office = Office::default();
    let event = field.with_photos(capture("fuel"), &["north_west.jpg"]);
    field.sync(&mut office);
    let now = field.tick();
    let mut mended = capture("fuel");
    mended.total_minor = Some(5_000);
    let correction: EventId = field.device.amend(event.into(), mended, now).unwrap().op_id.into();
    for _ in 0..2 {
        assert_eq!(shown(&field, correction), [hash("north_west.jpg")]);
        assert_eq!(field.entry(correction).photos, 1);
        assert_eq!(field.entry(correction).place, field.entry(event).place);
        field.sync(&mut office);
    }
    let now = field.tick();
    field.device.retract(correction, "no", now).unwrap();
    assert_eq!(shown(&field, event), [hash("north_west.jpg")]);
    assert_eq!(field.entry(event).photos, 1);
}

#[test]
fn the_server_tells_which_bytes_it_has() {
    let mut field = Field::new();
    let mut office = Office::default();
    let event = field.with_photos(capture("fuel"), &["north_west.jpg"]);
    field.sync(&mut office);
    let mut other = Field::of(3);
    other.sync(&mut office);
    let bytes = |field: &Field| {
        let photo = field.device.photos(event).unwrap().remove(0);
        (photo.original.on_server, photo.preview.on_server)
    };
    assert_eq!(bytes(&other), (false, false));
    let stored = |office: &mut Office, preview: Option<Hash>| {
        let seq = office.log.len() as u64 + 1;
        let mut data = serde_json::json!({"photo": hash("north_west.jpg"), "bytes": 5,
            "mime": "image/jpeg"});
        if let Some(preview) = preview {
            data["preview"] = serde_json::json!(preview);
        }
        office.log.push(serde_json::json!({"seq": seq, "kind": "photo_stored", "data": data}));
    };
    stored(&mut office, Some(Hash([7; 32])));
    other.pull(&mut office);
    assert_eq!(bytes(&other), (false, true));
    stored(&mut office, None);
    other.pull(&mut office);
    assert_eq!(bytes(&other), (true, true));
}

#[test]
fn an_odd_statement_refuses_the_page_and_a_kind_of_a_newer_server_does_not() {
    let mut field = Field::new();
    let mut office = Office::default();
    let event = field.with_photos(capture("fuel"), &["north_west.jpg"]);
    field.sync(&mut office);
    let seq = office.log.len() as u64 + 1;
    office.log.push(serde_json::json!({"seq": seq, "kind": "hologram", "data": [1]}));
    field.pull(&mut office);
    assert_eq!(field.device.status(field.now).unwrap().seq, seq);
    office.log.push(serde_json::json!({"seq": seq + 1, "kind": "photo", "data": {"id": 5}}));
    field.pull(&mut office);
    assert_eq!(field.device.status(field.now).unwrap().seq, seq);
    assert_eq!(shown(&field, event).len(), 1);
}

#[test]
fn a_flipped_byte_is_found_and_left_behind_by_salvage() {
    let mut field = Field::new();
    field.with_photos(capture("fuel"), &["north_west.jpg", "bare.jpg"]);
    assert_eq!(field.device.verify_photos().unwrap(), []);
    field.leave_files();
    let journal = field.journal();
    let conn = rusqlite::Connection::open(&journal).unwrap();
    conn.execute_batch("DROP TRIGGER chunks_are_facts").unwrap();
    let of = "WHERE blob = (SELECT n FROM blobs WHERE sha256 = ?1)";
    let photo = hash("north_west.jpg").0;
    let mut bytes: Vec<u8> = conn
        .query_row(&format!("SELECT bytes FROM blob_chunks {of}"), [photo], |row| row.get(0))
        .unwrap();
    bytes[700] ^= 1;
    let update = format!("UPDATE blob_chunks SET bytes = ?2 {of}");
    assert_eq!(conn.execute(&update, rusqlite::params![photo, bytes]).unwrap(), 1);
    drop(conn);
    field.reopen();
    assert_eq!(field.device.verify_photos().unwrap(), [hash("north_west.jpg")]);
    assert_eq!(field.device.verify().unwrap(), Ok(()));
    field.leave_files();
    let into = journal.with_file_name("salvaged.db");
    let salvaged = salvage(journal.to_str().unwrap(), into.to_str().unwrap(), None, None).unwrap();
    assert_eq!(salvaged.pictures_damaged, [hash("north_west.jpg")]);
    // The other original, and the preview: both photos are of one picture.
    assert_eq!(salvaged.pictures, 2);
}

#[test]
fn salvage_brings_the_photos_along() {
    let mut field = Field::new();
    let event = field.with_photos(capture("fuel"), &["north_west.jpg", "long_profile.jpg"]);
    field.reopen();
    let journal = field.journal();
    let into = journal.with_file_name("salvaged.db");
    field.leave_files();
    salvage(journal.to_str().unwrap(), into.to_str().unwrap(), None, None).unwrap();
    std::fs::rename(&into, &journal).unwrap();
    field.reopen_without_mirror();
    assert_eq!(shown(&field, event).len(), 2);
    let whole = read_whole(&field, hash("long_profile.jpg"), Variant::Original);
    assert_eq!(whole, file("long_profile.jpg"));
    assert_eq!(field.device.photos(event).unwrap()[0].original.upload, Some(UploadState::Queued));
}

#[test]
fn an_operation_about_a_photo_is_amended_by_no_event() {
    let mut field = Field::new();
    let event = field.with_photos(capture("fuel"), &["bare.jpg"]);
    let op_id: OpId = field.add(PhotoTarget::Event(event), "edited.jpg").unwrap().op_id.unwrap();
    let now = field.tick();
    let amended = field.device.amend(op_id, capture("fuel"), now);
    assert!(matches!(amended, Err(CaptureError::UnknownOperation)));
    let mut taken = capture("fuel");
    taken.op_id = Some(op_id);
    assert!(matches!(field.device.capture(taken, now), Err(CaptureError::IdReused)));
}
