//! What is said of photos on events: described, taken off, following their event.

use motomind_core::protocol::wire::{Outcome, Rejection};
use motomind_core::protocol::{EventId, OpId, OpState, code};
use motomind_core::*;

use super::field::*;
use super::{hash, read_whole, shown};

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
