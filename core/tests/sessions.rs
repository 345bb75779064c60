//! Capture sessions: resumed after a crash with their photos, told once when they are over.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "photos/field.rs"]
mod field;

use field::*;
use motomind_core::protocol::flow::{Left, Path, Session, Standing};
use motomind_core::protocol::{Body, EventId, Hash, OpId, Operation};
use motomind_core::*;
use uuid::Uuid;

const HALF_AN_HOUR: i64 = 30 * 60 * 1000;

fn hash(name: &str) -> Hash {
    Hash::of(&file(name))
}

fn begin(field: &mut Field, flow: &str, path: Path) -> Uuid {
    let now = field.tick();
    field.device.begin_session(truck(), flow, path, now).unwrap().id
}

fn step(id: Uuid, step: &str) -> PhotoTarget {
    PhotoTarget::Session { id, step: Some(step.into()) }
}

fn told(sent: &[Operation]) -> Vec<Session> {
    let sessions = sent.iter().filter_map(|operation| match &operation.body {
        Body::Session(session) => Some(Session::clone(session)),
        _ => None,
    });
    sessions.collect()
}

fn readable(field: &Field, photo: Hash) -> bool {
    field.device.read_photo(photo, Variant::Original, 0, 1).unwrap().is_some()
}

#[test]
fn a_session_goes_on_after_a_crash_and_becomes_an_event_whole() {
    let mut field = Field::new();
    let mut office = Office::default();
    let id = begin(&mut field, "tire", Path::Guided);
    field.add(step(id, "fl_tread"), "bare.jpg").unwrap();
    field.reopen();
    let sessions = field.device.sessions(field.now).unwrap();
    assert_eq!(sessions.len(), 1);
    assert_eq!((sessions[0].id, sessions[0].photos.len()), (id, 1));
    let now = field.tick();
    assert_eq!(field.device.resume_session(id, now).unwrap().id, id, "it is the same one");
    let mut event = capture("tire");
    event.payload.insert("treads".into(), serde_json::json!({"fl": 6, "fr": 6, "rl": 5, "rr": 5}));
    event.op_id = Some(OpId(Uuid::from_u128(0x1234)));
    let missing = field.device.complete_session(id, event.clone(), now);
    let Err(CaptureError::StepsMissing(steps)) = missing else { panic!("{missing:?}") };
    assert_eq!(steps, ["fr_tread", "rl_tread", "rr_tread"]);
    let meta = PhotoMeta { caption: Some("worn".into()), is_primary: true, ..PhotoMeta::default() };
    field.add_with(step(id, "fr_tread"), "north_west.jpg", meta).unwrap();
    field.add(step(id, "rl_tread"), "edited.jpg").unwrap();
    field.add(step(id, "rr_tread"), "tiny.jpg").unwrap();
    // Taken again: the first one of the step goes with the session.
    field.add(step(id, "fl_tread"), "offset.jpg").unwrap();
    let now = field.tick();
    let bad = Capture { miles: Some(-1), ..event.clone() };
    assert!(matches!(field.device.complete_session(id, bad, now), Err(CaptureError::Invalid(_))));
    field.reopen();
    assert_eq!(field.device.session(id, field.now).unwrap().unwrap().photos.len(), 5);
    let captured = field.device.complete_session(id, event.clone(), now).unwrap();
    assert!(!captured.duplicate);
    field.reopen();
    assert!(field.device.complete_session(id, event.clone(), now).unwrap().duplicate);
    event.notes = Some("other".into());
    let reused = field.device.complete_session(id, event, now);
    assert!(matches!(reused, Err(CaptureError::IdReused)));
    assert_eq!(field.device.sessions(field.now).unwrap(), []);

    let shown = field.device.photos(captured.op_id.into()).unwrap();
    let names: Vec<_> = shown.iter().map(|photo| (photo.photo, photo.is_primary)).collect();
    let expected = [
        ("north_west.jpg", true),
        ("edited.jpg", false),
        ("tiny.jpg", false),
        ("offset.jpg", false),
    ];
    assert_eq!(names, expected.map(|(name, primary)| (hash(name), primary)));
    assert_eq!(shown[0].caption.as_deref(), Some("worn"));
    assert_eq!(shown[0].step_id.as_deref(), Some("fr_tread"));
    assert!(!readable(&field, hash("bare.jpg")), "nothing needs it any more");
    let record = field.entry(captured.op_id.into()).record().unwrap().event;
    assert_eq!(record.session_id, Some(id));
    assert!(record.photo_fix.is_some(), "of the one that stands for the event");

    let sent = field.push(&mut office);
    assert_eq!(sent.len(), 6);
    let sessions = told(&sent);
    let standing = &sessions[0].standing;
    let is_completed = matches!(standing, Standing::Completed { event_id, .. }
        if *event_id == EventId::from(captured.op_id));
    assert!(is_completed && sessions.len() == 1, "{standing:?}");
    assert!(sessions[0].photos.iter().all(|photo| photo.extra.is_empty()));
    field.sync(&mut office);
    assert_eq!(field.pending(), []);
}

#[test]
fn a_session_that_was_left_is_told_once_and_its_photos_wait_for_the_person() {
    let mut field = Field::new();
    let mut office = Office::default();
    let id = begin(&mut field, "damage", Path::Guided);
    field.add(step(id, "overview"), "bare.jpg").unwrap();
    let empty = begin(&mut field, "fuel", Path::Quick);
    let now = field.tick();
    let over = field.device.leave_session(empty, Left::BackButton, now).unwrap();
    assert!(matches!(over.standing, Standing::Abandoned { reason: Left::BackButton, .. }));
    assert_eq!(told(&field.push(&mut office)).len(), 1, "also without a photo");

    field.now += HALF_AN_HOUR + 1_000;
    field.reopen();
    let sessions = field.device.sessions(field.now).unwrap();
    assert!(matches!(sessions[0].standing, Standing::Abandoned { reason: Left::Timeout, .. }));
    // Whoever goes on with it is told, and so is the office; once.
    for _ in 0..2 {
        let late = field.add(step(id, "closeup"), "edited.jpg").unwrap_err();
        assert!(matches!(late, CaptureError::SessionOver(_)), "{late}");
        let now = field.tick();
        field.device.notice_left_sessions(now).unwrap();
    }
    let sessions = told(&field.push(&mut office));
    assert_eq!(sessions.len(), 1);
    let Standing::Abandoned { abandoned_at, abandoned_at_step, .. } = &sessions[0].standing else {
        panic!("{sessions:?}")
    };
    assert_eq!(*abandoned_at, sessions[0].last_activity_at + HALF_AN_HOUR);
    assert_eq!(abandoned_at_step.as_deref(), Some("overview"));
    assert!(readable(&field, hash("bare.jpg")));
    assert!(!readable(&field, hash("edited.jpg")));

    let now = field.tick();
    let next = field.device.resume_session(id, now).unwrap();
    assert_eq!((next.resumes, next.photos.len()), (Some(id), 1));
    field.reopen();
    field.add(step(next.id, "closeup"), "edited.jpg").unwrap();
    let mut event = capture("damage");
    event.payload.insert("description".into(), "scratch".into());
    let now = field.tick();
    let event = field.device.complete_session(next.id, event, now).unwrap().op_id;
    assert_eq!(field.device.photos(event.into()).unwrap().len(), 2);
    field.sync(&mut office);
    assert_eq!(field.pending(), []);
    assert_eq!(field.device.sessions(field.now).unwrap(), []);
}

#[test]
fn a_photo_is_thrown_out_of_a_session_or_with_it() {
    let mut field = Field::new();
    let id = begin(&mut field, "document", Path::Quick);
    field.add(step(id, "document"), "bare.jpg").unwrap();
    field.add(step(id, "document"), "edited.jpg").unwrap();
    let kept = field.with_photos(capture("fuel"), &["edited.jpg"]);
    let now = field.tick();
    field.device.session_step(id, "document", now).unwrap();
    field.device.session_activity(id, now).unwrap();
    field.device.remove_session_photo(id, hash("bare.jpg"), now).unwrap();
    assert!(!readable(&field, hash("bare.jpg")));
    let twice = field.device.remove_session_photo(id, hash("bare.jpg"), now);
    assert!(matches!(twice, Err(CaptureError::UnknownPhoto)));
    field.device.discard_session_photos(id, now).unwrap();
    assert!(readable(&field, hash("edited.jpg")), "an event has it");
    assert_eq!(field.device.photos(kept).unwrap().len(), 1);
    let gone = field.device.discard_session_photos(id, now);
    assert!(matches!(gone, Err(CaptureError::UnknownSession)));
    assert_eq!(field.device.sessions(now).unwrap(), []);
}

/// A photo, or a host that dies when it is asked for one.
enum Dying {
    Alive(std::io::Cursor<Vec<u8>>),
    Dead,
}

impl std::io::Read for Dying {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Alive(bytes) => bytes.read(into),
            Self::Dead => panic!("killed"),
        }
    }
}

fn dying(name: &str) -> NewPhoto<Dying> {
    let bytes = Dying::Alive(std::io::Cursor::new(file(name)));
    NewPhoto { bytes, meta: PhotoMeta::default(), preview: HostPreview::None }
}

#[test]
fn a_quick_capture_is_one_however_often_it_is_tried() {
    let mut field = Field::new();
    let op_id = OpId(Uuid::from_u128(0x77));
    let photos = |names: &[&str]| -> Vec<NewPhoto<std::io::Cursor<Vec<u8>>>> {
        let photo = |name: &&str| NewPhoto {
            bytes: std::io::Cursor::new(file(name)),
            meta: PhotoMeta::default(),
            preview: HostPreview::None,
        };
        names.iter().map(photo).collect()
    };
    let event = Capture { op_id: Some(op_id), ..capture("fuel") };
    let bad = Capture { total_minor: Some(-5), ..event.clone() };
    let now = field.tick();
    let refused = field.device.capture_with_photos(bad, photos(&["bare.jpg"]), now);
    assert!(matches!(refused, Err(CaptureError::Invalid(_))));
    let odd = photos(&["bare.jpg", "film.gif"]);
    let refused = field.device.capture_with_photos(event.clone(), odd, now);
    assert!(matches!(refused, Err(CaptureError::Photo(_))));
    assert_eq!(field.device.sessions(now).unwrap(), []);
    assert!(!readable(&field, hash("bare.jpg")));
    assert_eq!(field.pending(), []);
    // Killed between its photos, and tried again with others.
    let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let photos = vec![dying("tiny.jpg"), NewPhoto { bytes: Dying::Dead, ..dying("tiny.jpg") }];
        field.device.capture_with_photos(event.clone(), photos, now)
    }));
    assert!(killed.is_err());
    field.reopen();
    assert_eq!(field.device.sessions(now).unwrap()[0].photos.len(), 1);
    let both = ["bare.jpg", "edited.jpg"];
    let first = field.device.capture_with_photos(event.clone(), photos(&both), now).unwrap();
    field.reopen();
    let other = photos(&["bare.jpg", "edited.jpg", "tiny.jpg"]);
    let other = field.device.capture_with_photos(event.clone(), other, now);
    assert!(matches!(other, Err(CaptureError::IdReused)), "one of its photos would be lost");
    let again = field.device.capture_with_photos(event, photos(&both), now).unwrap();
    assert!(!first.duplicate && again.duplicate);
    assert_eq!(first.op_id, again.op_id);
    assert_eq!(field.pending().len(), 4);
    assert_eq!(field.device.photos(op_id.into()).unwrap().len(), 2);
    assert!(!readable(&field, hash("tiny.jpg")));
}

#[test]
fn the_odd_are_refused_before_anything_is_stored() {
    let mut field = Field::new();
    let now = field.tick();
    let nameless = field.device.begin_session(truck(), "", Path::Quick, now);
    assert!(matches!(nameless, Err(CaptureError::Invalid(_))));
    let id = begin(&mut field, "fuel", Path::Quick);
    let odd = field.add(step(id, "Not A Step"), "bare.jpg");
    assert!(matches!(odd, Err(CaptureError::Invalid(_))));
    let odd = field.device.session_step(id, "Not A Step", now);
    assert!(matches!(odd, Err(CaptureError::Invalid(_))));
    let unknown = field.device.session_activity(Uuid::from_u128(9), now);
    assert!(matches!(unknown, Err(CaptureError::UnknownSession)));
    assert_eq!(field.device.session(id, now).unwrap().unwrap().photos, []);
}
