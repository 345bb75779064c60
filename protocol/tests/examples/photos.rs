//! A photo, its place on an event, and the session in which it was taken.

use motomind_protocol::flow::{Happening, Left, Path, Session, Standing};
use motomind_protocol::photo::{
    Attachment, CaptureFacts, CaptureMethod, Facing, Flash, PhotoFacts, PhotoMime,
};
use motomind_protocol::{EventId, Fix, FixSource, Hash};
use serde_json::Map;

use super::{AT, Example, VEHICLE, example, id};

pub(crate) fn examples() -> Vec<Example> {
    vec![
        example("photo", photo()),
        example("photo_bare", PhotoFacts::new(hash(), 1, PhotoMime::Heif)),
        example("attachment", attachment()),
        example("session_active", active()),
        example("session_completed", completed()),
        example("session_abandoned", abandoned()),
    ]
}

fn hash() -> Hash {
    Hash::of(b"the original's bytes")
}

fn photo() -> PhotoFacts {
    let mut photo = PhotoFacts::new(hash(), 4_812_345, PhotoMime::Jpeg);
    (photo.width, photo.height, photo.orientation) = (Some(4032), Some(3024), Some(6));
    photo.taken_at = "2024-05-02T11:13:20.250-06:00".parse().ok();
    photo.modified_at = "2024-05-02T11:13:20".parse().ok();
    let mut position = Fix::at(39.7392, -104.9903, FixSource::Exif);
    (position.accuracy_m, position.altitude_m) = (Some(4.75), Some(1_609.5));
    (position.heading_deg, position.fixed_at) = (Some(271.5), Some(AT));
    photo.position = Some(position);
    let text = |text: &str| Some(text.to_string());
    (photo.make, photo.model, photo.software) = (text("Apple"), text("iPhone 15"), text("17.4.1"));
    photo.capture = CaptureFacts {
        step_id: text("odometer"),
        capture_method: Some(CaptureMethod::Camera),
        quality_score: Some(85),
        quality_issues: vec!["glare".into()],
        flash: Some(Flash::Auto),
        facing: Some(Facing::Environment),
        retake_count: Some(0),
        capture_duration_ms: Some(4_200),
        extra: Map::new(),
    };
    photo
}

fn attachment() -> Attachment {
    let mut attachment = Attachment::new(EventId(id(1)), hash(), 1);
    attachment.step_id = Some("odometer".into());
    attachment.is_primary = true;
    attachment.caption = Some("before the oil change".into());
    attachment
}

fn active() -> Session {
    let begun = Session::begin(id(70), VEHICLE, "fuel", Path::Guided, AT);
    let happening = Happening::Photo(hash(), Some("receipt".into()));
    begun.after(happening, AT + 5_000).unwrap()
}

fn completed() -> Session {
    let completed = active().after(Happening::Completed(EventId(id(1))), AT + 60_000).unwrap();
    assert!(matches!(completed.standing, Standing::Completed { .. }));
    completed
}

fn abandoned() -> Session {
    let once = active().seen_at(AT + 3_600_000);
    let resumed = once.resume(id(71), AT + 3_600_000).unwrap();
    resumed.after(Happening::Left(Left::Navigation), AT + 3_609_000).unwrap()
}
