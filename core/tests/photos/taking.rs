//! Photos taken: stored whole or not at all.

use std::collections::BTreeSet;

use motomind_core::photo::{PhotoError, PhotoNote, PreviewAbsence};
use motomind_core::protocol::{Body, EventId, Hash, limits};
use motomind_core::*;
use uuid::Uuid;

use super::field::*;
use super::{counts, hash, read_whole, shown};

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
