//! What a photo's facts must be, and what they say.
#![allow(clippy::unwrap_used)]

use motomind_protocol::photo::*;
use motomind_protocol::{EventId, Fix, FixSource, Hash, VehicleId, code};
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// 2024-05-02T16:11:12Z, and the same on a clock in Denver.
const AT: i64 = 1_714_666_272_000;
const CLOCK: &str = "2024-05-02T10:11:12";

fn photo() -> PhotoFacts {
    let mut photo = PhotoFacts::new(Hash::of(b"a photo"), 1_000, PhotoMime::Jpeg);
    photo.make = Some("Apple".into());
    photo
}

fn time(text: &str) -> PhotoTime {
    text.parse().unwrap()
}

#[test]
fn a_time_without_an_offset_stays_local() {
    let known = time("2024-05-02T10:11:12.345-06:00");
    assert_eq!(known.to_string(), "2024-05-02T10:11:12.345-06:00");
    assert_eq!((known.utc_ms(), known.offset_minutes()), (Some(AT + 345), Some(-360)));
    let local = time(CLOCK);
    assert_eq!((local.to_string().as_str(), local.utc_ms()), (CLOCK, None));
    let (first, last) = local.bounds_ms();
    assert_eq!(last - first, 26 * 60 * MINUTE);
    assert!(first < AT && AT < last);
    assert_eq!(time("2024-05-02T16:11:12Z").utc_ms(), Some(AT));
    assert_eq!(time("2024-05-02T16:11:12+00:00").to_string(), "2024-05-02T16:11:12+00:00");
    for bad in ["", "2024-05-02", "2024-05-02T10:11:12+99:00", "2024-13-02T10:11:12", "x+é-Z"] {
        assert!(bad.parse::<PhotoTime>().is_err(), "{bad}");
    }
}

#[test]
fn flags_are_those_of_the_domain() {
    let flags = |change: &dyn Fn(&mut PhotoFacts)| {
        let mut photo = photo();
        photo.taken_at = Some(time("2024-05-02T10:11:12-06:00"));
        change(&mut photo);
        let flags = photo.flags(AT);
        (flags.screenshot, flags.edited, flags.stale)
    };
    let set = |text: &str| Some(text.to_string());
    assert_eq!(flags(&|_| {}), (false, false, false));
    assert_eq!(flags(&|p| p.software = set("GNOME-Screenshot")), (true, false, false));
    assert_eq!(flags(&|p| p.model = set("Screen Capture")), (true, false, false));
    assert_eq!(flags(&|p| p.model = set("Grabber 9")), (false, false, false));
    assert_eq!(flags(&|p| p.software = set("Adobe Photoshop 25.0")), (false, true, false));
    assert_eq!(flags(&|p| p.software = set("unmodified firmware")), (false, false, false));
    // No device at all: a screenshot when it was chosen, nothing when the camera was open.
    let unnamed = |method: CaptureMethod| {
        move |p: &mut PhotoFacts| (p.make, p.capture.capture_method) = (None, Some(method.clone()))
    };
    assert_eq!(flags(&unnamed(CaptureMethod::Upload)), (true, false, false));
    assert_eq!(flags(&unnamed(CaptureMethod::Camera)), (false, false, false));
    for (modified, edited) in [
        ("2024-05-02T10:16:12-06:00", false),
        ("2024-05-02T10:16:12.001-06:00", true),
        ("2024-05-02T16:17:00Z", true),
        ("2024-05-02T10:30:00", false), // where? perhaps even before
        ("2024-05-04T10:30:00", true),  // anywhere on earth
    ] {
        assert_eq!(flags(&|p| p.modified_at = Some(time(modified))).1, edited, "{modified}");
    }
    let local = |p: &mut PhotoFacts| {
        (p.taken_at, p.modified_at) = (Some(time(CLOCK)), Some(time("2024-05-02T10:17:00")));
    };
    assert_eq!(flags(&local), (false, true, false), "one camera's clock");
    let mut old = photo();
    old.taken_at = Some(time("2024-05-02T10:11:12-06:00"));
    assert_eq!((old.flags(AT + 7 * DAY).stale, old.flags(AT + 7 * DAY + 1).stale), (false, true));
    assert_eq!(
        old.flags(AT - 40 * DAY),
        PhotoFlags::default(),
        "a photo from the future is not stale"
    );
}

#[test]
fn an_age_is_known_or_not() {
    let mut photo = photo();
    assert_eq!(photo.age_ms(AT), None);
    photo.taken_at = Some(time("2024-05-02T10:11:12-06:00"));
    assert_eq!(photo.age_ms(AT + 5 * MINUTE), Some(5 * MINUTE));
    photo.taken_at = Some(time(CLOCK));
    assert_eq!(photo.age_ms(AT + 5 * MINUTE), None, "never fresh");
    assert!(photo.age_ms(AT + 3 * DAY).is_some_and(|age| age > DAY), "old everywhere");
}

#[test]
fn violations_name_their_field() {
    let mut photo = photo();
    assert_eq!(validate(&photo), Ok(()));
    photo.size = 64 * 1024 * 1024 + 1;
    (photo.width, photo.height, photo.orientation) = (Some(10_001), Some(10_000), Some(9));
    photo.model = Some("m".repeat(501));
    photo.position = Some(Fix::at(91.0, f64::NAN, FixSource::Exif));
    photo.capture.step_id = Some("Receipt!".into());
    photo.capture.quality_score = Some(101);
    photo.capture.retake_count = Some(-1);
    photo.capture.capture_duration_ms = Some(-1);
    photo.capture.flash = Some(Flash::Other("x".repeat(65)));
    photo.capture.quality_issues = vec!["glare".into(); 501];
    let found = validate(&photo).unwrap_err();
    let found: Vec<_> = found.iter().map(|v| (v.field.as_str(), v.code.as_str())).collect();
    assert_eq!(
        found,
        [
            ("size", code::TOO_LARGE),
            ("width", code::TOO_LARGE),
            ("orientation", code::OUT_OF_RANGE),
            ("model", code::TOO_LONG),
            ("position.latitude", code::OUT_OF_RANGE),
            ("position.longitude", code::NOT_FINITE),
            ("capture.step_id", code::BAD_FORMAT),
            ("capture.quality_score", code::OUT_OF_RANGE),
            ("capture.retake_count", code::OUT_OF_RANGE),
            ("capture.capture_duration_ms", code::OUT_OF_RANGE),
            ("capture.quality_issues", code::TOO_LONG),
            ("capture.flash", code::TOO_LONG),
        ]
    );
    let mut zero = self::photo();
    (zero.size, zero.width) = (0, Some(0));
    zero.capture.quality_score = Some(0);
    assert_eq!(validate(&zero).unwrap_err().len(), 2, "a score of zero is a score");
}

#[test]
fn the_bytes_decide_what_a_photo_is() {
    let heif = |brands: &str| {
        let size = u32::try_from(brands.len() + 8).unwrap().to_be_bytes();
        PhotoMime::sniff(&[&size, b"ftyp".as_slice(), brands.as_bytes()].concat())
    };
    assert_eq!(heif("heic\0\0\0\0mif1heic"), Some(PhotoMime::Heic));
    assert_eq!(heif("mif1\0\0\0\0mif1heic"), Some(PhotoMime::Heic));
    assert_eq!(heif("mif1\0\0\0\0mif1"), Some(PhotoMime::Heif));
    assert_eq!(heif("mif1\0\0\0\0mif1avif"), None);
    assert_eq!(heif("avif\0\0\0\0mif1"), None);
    assert_eq!(heif("isom\0\0\0\0heic"), None, "a film");
    for none in [&b""[..], b"\xff\xd8", b"GIF89a", b"%PDF-1.7", b"<html>", b"RIFF\0\0\0\0WAVE"] {
        assert_eq!(PhotoMime::sniff(none), None);
    }
    let jpeg = PhotoMime::sniff(b"\xff\xd8\xff\xe0").unwrap();
    for same in ["image/jpeg", "IMAGE/JPEG; q=1", "image/jpg"] {
        assert_eq!(jpeg.check_claim(same), Ok(()));
    }
    for other in ["image/png", "text/html", ""] {
        assert_eq!(jpeg.check_claim(other).unwrap_err().code, code::MIME_MISMATCH);
    }
    assert_eq!(PhotoMime::Heif.check_claim("image/heic"), Ok(()));
    assert!(PhotoMime::Heic.fits(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic"));
    assert!(!PhotoMime::Png.fits(b"\xff\xd8\xff\xe0"));
}

#[test]
fn attachments_have_an_order_and_one_that_stands_for_the_event() {
    let event = EventId(Uuid::from_u128(1));
    let vehicle = VehicleId(Uuid::from_u128(2));
    let one = |bytes: &[u8], sequence| Attachment::new(vehicle, event, Hash::of(bytes), sequence);
    let mut photos = vec![one(b"c", 3), one(b"a", 1), one(b"b", 1)];
    assert_eq!(validate_attachments(&photos), Ok(()));
    let shown = |photos: &[Attachment]| -> Vec<(Hash, bool)> {
        let numbered = photos.iter().enumerate().map(|(at, said)| (Some(at as u64), said));
        attached(numbered).iter().map(|one| (one.said.photo, one.is_primary)).collect()
    };
    let (mut first, mut second) = (Hash::of(b"a"), Hash::of(b"b"));
    if second < first {
        std::mem::swap(&mut first, &mut second);
    }
    let c = Hash::of(b"c");
    assert_eq!(shown(&photos), [(first, true), (second, false), (c, false)]);
    photos[0].is_primary = true;
    assert_eq!(shown(&photos), [(first, false), (second, false), (c, true)]);
    assert_eq!(shown(&[]), []);
    photos[0].is_primary = false;
    photos[2].is_primary = true;
    photos[1].is_primary = true;
    photos.push(one(b"a", 0));
    photos[3].step_id = Some(String::new());
    let found = validate_attachments(&photos).unwrap_err();
    let found: Vec<_> = found.iter().map(|v| (v.field.as_str(), v.code.as_str())).collect();
    let expected = [
        ("photos[2].is_primary", code::DUPLICATE),
        ("photos[3].sequence", code::OUT_OF_RANGE),
        ("photos[3].step_id", code::BAD_FORMAT),
        ("photos[3].photo", code::DUPLICATE),
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_newest_statement_of_a_photo_counts_and_the_first_facts_that_were_told_of_it() {
    let (vehicle, event) = (VehicleId(Uuid::from_u128(2)), EventId(Uuid::from_u128(1)));
    let said = |caption: &str| {
        let mut said = Attachment::new(vehicle, event, photo().sha256, 1);
        said.caption = Some(caption.into());
        said
    };
    let mut first = said("before");
    first.facts = Some(Box::new(photo()));
    let (again, mut gone) = (said("after"), said("gone"));
    gone.removed = true;
    let own = said("mine");
    let shown = attached([(Some(9), &again), (Some(2), &first)]);
    assert_eq!(shown[0].said, &again);
    let mut others = said("a colleague's");
    others.event_id = EventId(Uuid::from_u128(3));
    others.facts = Some(Box::new(PhotoFacts { make: Some("Other".into()), ..photo() }));
    let told = [(None, &own), (Some(9), &again), (Some(7), &others), (Some(2), &first)];
    assert_eq!(facts(told), first.facts.as_deref());
    assert_eq!(facts([(None, &first), (Some(7), &others)]), others.facts.as_deref());
    assert_eq!(facts([(None, &first), (None, &others)]), first.facts.as_deref());
    assert_eq!(facts([(Some(9), &again)]), None);
    assert_eq!(attached([(Some(9), &gone), (Some(2), &first)]), []);
    // An own statement that the server has not numbered yet comes after all that it has.
    let shown = attached([(None, &own), (Some(9), &gone), (Some(2), &first)]);
    assert_eq!(shown[0].said, &own);
    first.photo = Hash::of(b"another photo");
    let violations = first.validate().unwrap_err();
    assert_eq!(
        (violations[0].field.as_str(), &*violations[0].code),
        ("facts.sha256", code::ID_MISMATCH)
    );
}

#[test]
fn what_a_newer_peer_says_is_kept() {
    let json = json!({
        "sha256": Hash::of(b"x"), "size": 7, "mime": "image/webp", "lens": {"mm": 26},
        "taken_at": CLOCK,
        "capture": {"capture_method": "glasses", "flash": "torch", "facing": "up", "tilt": 3},
    });
    let photo: PhotoFacts = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(photo.capture.capture_method, Some(CaptureMethod::Other("glasses".into())));
    assert_eq!(serde_json::to_value(&photo).unwrap(), json);
}

proptest! {
    #[test]
    fn any_time_reads_as_it_was_written(
        ms in -2_000_000_000_000_i64..10_000_000_000_000,
        offset in proptest::option::of(-720..=840_i32),
    ) {
        let local = chrono::DateTime::from_timestamp_millis(ms).unwrap().naive_utc();
        let one = PhotoTime::new(local, offset);
        prop_assert_eq!(one.to_string().parse(), Ok(one));
        prop_assert_eq!(one.utc_ms().is_some(), offset.is_some());
    }

    #[test]
    fn any_text_is_a_time_or_is_not(text in ".{0,40}") {
        let _ = text.parse::<PhotoTime>();
        let _ = PhotoMime::sniff(text.as_bytes());
    }
}
