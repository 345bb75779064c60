//! A photo, its place on an event, where that happened, and the session in which it was taken.

use motomind_protocol::flow::{Happening, Left, Path, Session, Standing};
use motomind_protocol::photo::{
    Attachment, CaptureFacts, CaptureMethod, Facing, Flash, PhotoFacts, PhotoMime,
};
use motomind_protocol::place::{CorrectionMethod, Extraction, LocationCorrection};
use motomind_protocol::position::{Sources, decide};
use motomind_protocol::wire::{
    Change, ChangeKind, Custody, LifeInCustody, MissingPhotos, PhotoStored, Stated,
};
use motomind_protocol::{Body, Event, EventId, Fix, FixSource, Hash, OpId, limits};
use serde_json::Map;

use super::{AT, DEVICE, Example, INCARNATION, USER, VEHICLE, events, example, id, operation};

pub(crate) fn examples() -> Vec<Example> {
    vec![
        example("photo", photo()),
        example("photo_bare", PhotoFacts::new(hash(), 1, PhotoMime::Heif)),
        example("attachment", attachment()),
        example("attachment_removed", removal()),
        example("location_correction", location_correction()),
        example("event_with_two_positions", decided()),
        example("operation_photo", operation(80, 5, hash(), Body::Photo(Box::new(attachment())))),
        example(
            "operation_location_correction",
            operation(81, 6, hash(), Body::LocationCorrection(Box::new(location_correction()))),
        ),
        example(
            "operation_session",
            operation(82, 7, hash(), Body::Session(Box::new(completed()))),
        ),
        example("change_photo", change(50, ChangeKind::Photo(Box::new(stated(80, attachment()))))),
        example("change_photo_stored", change(51, ChangeKind::PhotoStored(stored()))),
        example(
            "change_location_correction",
            change(52, ChangeKind::LocationCorrection(Box::new(stated(81, location_correction())))),
        ),
        example("change_session", {
            let session = Stated { event_id: None, ..stated(82, abandoned()) };
            change(53, ChangeKind::Session(Box::new(session)))
        }),
        example("custody", custody()),
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
    let mut attachment = Attachment::new(VEHICLE, EventId(id(1)), hash(), 1);
    attachment.step_id = Some("odometer".into());
    attachment.is_primary = true;
    attachment.caption = Some("before the oil change".into());
    attachment.facts = Some(Box::new(photo()));
    attachment
}

fn removal() -> Attachment {
    let mut removal = Attachment::new(VEHICLE, EventId(id(1)), hash(), 1);
    removal.removed = true;
    removal.reason = Some("blurred".into());
    removal
}

fn location_correction() -> LocationCorrection {
    let mut said = LocationCorrection::new(
        &events::odometer(1),
        (39.739_2, -104.990_3),
        CorrectionMethod::MapPin,
    );
    said.address = Some("1437 Bannock St, Denver".into());
    said.reason = Some("the fix was in the next street".into());
    said.extraction = Some(Extraction {
        method: "geocoding".into(),
        confidence: Some("high".into()),
        address: None,
        extra: Map::new(),
    });
    said
}

fn stated<T>(n: u128, said: T) -> Stated<T> {
    Stated {
        id: id(n),
        said,
        event_id: Some(EventId(id(1))),
        received_at: AT + 4_000,
        op_id: Some(OpId(id(n))),
        device_id: Some(DEVICE),
        user_id: Some(USER),
        extra: Map::new(),
    }
}

/// An event whose position was decided between two sources.
fn decided() -> Event {
    let mut event = events::odometer(1);
    let mut exif = Fix::at(39.74, -104.99, FixSource::Exif);
    exif.fixed_at = Some(AT - 30_000);
    event.position = Some(decide(&Sources {
        gps: event.fix.as_ref(),
        exif: Some(&exif),
        photo_age_ms: Some(30_000),
        receipt_age_days: None,
    }));
    event.photo_fix = Some(exif);
    event
}

fn stored() -> PhotoStored {
    PhotoStored {
        photo: hash(),
        preview: Some(Hash::of(b"the preview's bytes")),
        bytes: 48_113,
        mime: PhotoMime::Jpeg,
    }
}

fn change(seq: u64, what: ChangeKind) -> Change {
    Change { seq, what }
}

fn custody() -> Custody {
    Custody {
        protocol: limits::PROTOCOL_VERSION,
        lives: vec![LifeInCustody {
            incarnation: INCARNATION,
            high_water: 41,
            head: Some(Hash::of(b"the forty-first")),
            count: 43,
            bytes: 28_412,
            held: vec![(1, 41), (43, 44)],
        }],
        missing_photos: MissingPhotos { count: 1, bytes: 2_912_004, photos: vec![hash()] },
        server_time_ms: AT + 4_000,
    }
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
