//! Photos read as exiftool reads them, and previews that say nothing. `tests/photos/make` makes the
//! files and `manifest.json`, which is exiftool's word, not ours.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::Cursor;
use std::path::PathBuf;

use motomind_core::photo::preview::{PREVIEW_SIDE_MAX, Preview, from_host, preview};
use motomind_core::photo::{
    PhotoError, PhotoMime, PhotoNote, PhotoReader, PhotoReading, PreviewAbsence, strip,
};
use motomind_core::protocol::photo::{CaptureMethod, PhotoTime, validate};
use motomind_core::protocol::{FixSource, code};
use proptest::prelude::*;
use serde_json::Value;

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/photos")
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(directory().join(name)).unwrap()
}

fn manifest() -> Vec<Value> {
    serde_json::from_slice(&file("manifest.json")).unwrap()
}

fn read_in(bytes: &[u8], chunk: usize) -> Result<PhotoReading, PhotoError> {
    let mut reader = PhotoReader::new(None);
    for chunk in bytes.chunks(chunk.max(1)) {
        reader.feed(chunk)?;
    }
    if let Some(range) = reader.missed() {
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        if let Some(bytes) = bytes.get(range) {
            reader.supply(bytes);
        }
    }
    reader.finish()
}

fn read(bytes: &[u8]) -> Result<PhotoReading, PhotoError> {
    read_in(bytes, 256 * 1024)
}

fn preview_of(name: &str) -> Result<Preview, PreviewAbsence> {
    let bytes = file(name);
    let reading = read(&bytes).unwrap();
    preview(Cursor::new(bytes), &reading.facts, reading.thumbnail.as_deref())
}

type Expected = fn(&PhotoError) -> bool;

/// What of the corpus is no photo.
const REFUSED: [(&str, Expected); 8] = [
    ("zero.jpg", |error| *error == PhotoError::Empty),
    ("one_byte.jpg", |error| *error == PhotoError::NotAPhoto),
    ("film.gif", |error| *error == PhotoError::NotAPhoto),
    ("page.jpg", |error| *error == PhotoError::NotAPhoto),
    ("pdf_and_jpeg.jpg", |error| *error == PhotoError::NotAPhoto),
    ("bomb.png", |e| *e == PhotoError::TooManyPixels { width: 60_000, height: 60_000 }),
    ("bomb.jpg", |e| *e == PhotoError::TooManyPixels { width: 65_500, height: 65_500 }),
    ("bomb.webp", |error| matches!(error, PhotoError::TooManyPixels { .. })),
];

/// What of the corpus is a photo with something amiss.
const NOTED: [(&str, PhotoNote); 4] = [
    ("long_exif.png", PhotoNote::ExifCut),
    ("no_end.jpg", PhotoNote::Truncated),
    ("tags_in_circles.jpg", PhotoNote::ExifDamaged),
    ("values_elsewhere.jpg", PhotoNote::ExifDamaged),
];

#[test]
fn every_fact_is_what_exiftool_says() {
    let manifest = manifest();
    assert!(manifest.len() > 55, "{}", manifest.len());
    for told in &manifest {
        let name = told["file"].as_str().unwrap();
        let bytes = file(name);
        let outcome = read(&bytes);
        for chunk in [1, 3, 97, 4_096] {
            assert_eq!(read_in(&bytes, chunk), outcome, "{name} in chunks of {chunk}");
        }
        if let Some((_, expected)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
            let error = outcome.unwrap_err();
            assert!(expected(&error), "{name}: {error:?}");
            continue;
        }
        let PhotoReading { facts, notes, .. } = outcome.unwrap();
        let noted: Vec<_> = NOTED.iter().filter(|(it, _)| *it == name).map(|it| it.1).collect();
        assert_eq!(notes, noted, "{name}");
        assert_eq!(validate(&facts), Ok(()), "{name}");
        assert_eq!(facts.sha256.to_string(), told["sha256"].as_str().unwrap(), "{name}");
        assert_eq!(Some(facts.size), told["size"].as_u64(), "{name}");
        assert_eq!(facts.mime.as_str(), told["File:MIMEType"], "{name}");
        let (width, height) = (facts.width.unwrap(), facts.height.unwrap());
        assert_eq!(format!("{width} {height}"), told["Composite:ImageSize"], "{name}");
        assert_eq!(facts.orientation.map(u64::from), told["IFD0:Orientation"].as_u64(), "{name}");
        let line = |key: &str| {
            let text: String = told[key].as_str()?.chars().take(500).collect();
            Some(text.trim().to_string())
        };
        assert_eq!(facts.make, line("IFD0:Make"), "{name}");
        assert_eq!(facts.model, line("IFD0:Model"), "{name}");
        assert_eq!(facts.software, line("IFD0:Software").or(line("PNG:Software")), "{name}");
        let [original, modified, digitized] = TIMES.map(|keys| time(told, keys));
        assert_eq!(facts.modified_at, modified, "{name}");
        assert_eq!(facts.taken_at, original.or(modified).or(digitized), "{name}");
        position(told, &facts, name);
    }
}

const TIMES: [[&str; 3]; 3] = [
    ["ExifIFD:DateTimeOriginal", "ExifIFD:SubSecTimeOriginal", "ExifIFD:OffsetTimeOriginal"],
    ["IFD0:ModifyDate", "ExifIFD:SubSecTime", "ExifIFD:OffsetTime"],
    ["ExifIFD:CreateDate", "ExifIFD:SubSecTimeDigitized", "ExifIFD:OffsetTimeDigitized"],
];

fn time(told: &Value, [clock, subsec, offset]: [&str; 3]) -> Option<PhotoTime> {
    let clock = told[clock].as_str()?;
    let (day, clock) = clock.split_once(' ')?;
    let subsec = match &told[subsec] {
        Value::Null => String::new(),
        digits => format!(".{}", digits.to_string().trim_matches('"')),
    };
    let offset = told[offset].as_str().unwrap_or_default();
    format!("{}T{clock}{subsec}{offset}", day.replace(':', "-")).parse().ok()
}

fn position(told: &Value, facts: &motomind_core::photo::PhotoFacts, name: &str) {
    let number = |key: &str| told[key].as_f64();
    let near = |ours: Option<f64>, theirs: Option<f64>, what: &str| {
        let same = match (ours, theirs) {
            (Some(ours), Some(theirs)) => (ours - theirs).abs() < 1e-7,
            (ours, theirs) => ours == theirs,
        };
        assert!(same, "{name}: {what} {ours:?}, exiftool {theirs:?}");
    };
    let place = number("Composite:GPSLatitude").zip(number("Composite:GPSLongitude"));
    let Some(fix) = &facts.position else {
        return assert_eq!(place, None, "{name}");
    };
    near(Some(fix.latitude), place.map(|place| place.0), "latitude");
    near(Some(fix.longitude), place.map(|place| place.1), "longitude");
    near(fix.altitude_m, number("Composite:GPSAltitude"), "altitude");
    near(fix.accuracy_m, number("GPS:GPSHPositioningError"), "accuracy");
    let is_true = told["GPS:GPSImgDirectionRef"] == "T";
    near(fix.heading_deg, number("GPS:GPSImgDirection").filter(|_| is_true), "heading");
    near(fix.speed_mps, number("GPS:GPSSpeed").map(|kmh| kmh / 3.6), "speed");
    let at = told["Composite:GPSDateTime"].as_str().map(|text| {
        let text = text.replacen(':', "-", 2).replace(' ', "T");
        text.parse::<PhotoTime>().unwrap().utc_ms().unwrap()
    });
    assert_eq!(fix.fixed_at, at, "{name}");
    assert_eq!(fix.source, FixSource::Exif);
}

#[test]
fn the_corpus_has_what_it_should_show() {
    let facts = |name: &str| read(&file(name)).unwrap().facts;
    assert_eq!(facts("local.jpg").taken_at.unwrap().utc_ms(), None, "no zone is invented");
    assert_eq!(facts("offset.jpg").taken_at.unwrap().utc_ms(), Some(1_714_666_272_345));
    let zero = facts("null_island.jpg").position.unwrap();
    assert_eq!((zero.latitude, zero.longitude), (0.0, 0.0), "zero is a value");
    for (name, south, west) in [
        ("north_east.jpg", false, false),
        ("north_west.jpg", false, true),
        ("south_east.jpg", true, false),
        ("south_west.jpg", true, true),
    ] {
        let fix = facts(name).position.unwrap();
        assert_eq!((fix.latitude < 0.0, fix.longitude < 0.0), (south, west), "{name}");
    }
    let flags = |name: &str| {
        let mut facts = facts(name);
        facts.capture.capture_method = Some(CaptureMethod::Upload);
        let flags = facts.flags(1_714_666_272_345);
        (flags.screenshot, flags.edited, flags.stale)
    };
    assert_eq!(flags("offset.jpg"), (false, false, false));
    assert_eq!(flags("screenshot_phone.png"), (true, false, false));
    assert_eq!(flags("screenshot_desktop.png"), (true, false, false));
    assert_eq!(flags("bare.webp"), (true, false, false));
    assert_eq!(flags("edited.jpg"), (false, true, false));
    assert_eq!(flags("retouched.jpg"), (false, true, false));
    assert_eq!(flags("modified_only.jpg"), (false, false, true));
    for (name, extra) in [("position.heic", None), ("thumbnail_inside.heic", Some(()))] {
        assert_eq!(read(&file(name)).unwrap().thumbnail.map(drop), extra, "{name}");
    }
}

#[test]
fn a_claim_is_held_against_the_bytes() {
    let claim = |name: &str, claimed: &str| {
        let mut reader = PhotoReader::new(Some(claimed));
        reader.feed(&file(name)).and_then(|()| reader.finish()).map(|reading| reading.facts.mime)
    };
    assert_eq!(claim("png_named.jpg", "image/png"), Ok(PhotoMime::Png));
    assert_eq!(claim("position.heic", "image/heif"), Ok(PhotoMime::Heic));
    let Err(PhotoError::WrongMime(violation)) = claim("png_named.jpg", "image/jpeg") else {
        panic!("a PNG is no JPEG");
    };
    assert_eq!((violation.field.as_str(), violation.code.as_str()), ("mime", code::MIME_MISMATCH));
    assert!(matches!(claim("jpeg_and_page.jpg", "text/html"), Err(PhotoError::WrongMime(_))));
}

#[test]
fn a_table_at_the_end_tells_what_was_missed() {
    let bytes = file("table_last.heic");
    let mut reader = PhotoReader::new(None);
    reader.feed(&bytes).unwrap();
    let missed = reader.missed().unwrap();
    assert!(missed.end < bytes.len() as u64);
    let reading = reader.finish().unwrap();
    assert_eq!((reading.facts.make, reading.notes), (None, vec![PhotoNote::ExifMissed]));
    assert!(read(&bytes).unwrap().facts.position.is_some(), "supplied, it is read");
}

#[test]
fn a_truncated_file_tells_what_is_left_of_it() {
    for told in manifest() {
        let name = told["file"].as_str().unwrap();
        let bytes = file(name);
        let Ok(whole) = read(&bytes) else { continue };
        let step = (bytes.len() / 400).max(1);
        for end in (0..bytes.len()).step_by(step) {
            let Ok(reading) = read(&bytes[..end]) else { continue };
            let facts = reading.facts;
            assert_eq!(validate(&facts), Ok(()), "{name} cut at {end}");
            assert_eq!(facts.size, end as u64);
            assert!(facts.width.is_none() || facts.width == whole.facts.width);
            let ends_itself = name.contains("_and_") || name.starts_with("no_end");
            let told = reading.notes.contains(&PhotoNote::Truncated);
            assert!(told || ends_itself, "{name} cut at {end}: {:?}", reading.notes);
        }
    }
}

/// The segments of a JPEG before its picture, read here without any code of the product.
fn segments(jpeg: &[u8]) -> Vec<u8> {
    assert_eq!(jpeg[..2], [0xff, 0xd8]);
    let (mut at, mut markers) = (2, Vec::new());
    loop {
        assert_eq!(jpeg[at], 0xff);
        markers.push(jpeg[at + 1]);
        if jpeg[at + 1] == 0xda {
            return markers;
        }
        at += 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
    }
}

fn says_nothing(preview: &Preview, name: &str) {
    assert_eq!(preview.mime, PhotoMime::Jpeg);
    let allowed = [0xe0, 0xdb, 0xc0, 0xc4, 0xda];
    let found = segments(&preview.bytes);
    assert!(found.iter().all(|marker| allowed.contains(marker)), "{name}: {found:x?}");
    assert!(preview.width.max(preview.height) <= PREVIEW_SIDE_MAX, "{name}");
    let decoded = image::load_from_memory(&preview.bytes).unwrap();
    assert_eq!((decoded.width(), decoded.height()), (preview.width, preview.height), "{name}");
}

/// The names of the colours in the four corners, row by row.
fn corners(preview: &Preview) -> [&'static str; 4] {
    let picture = image::load_from_memory(&preview.bytes).unwrap().to_rgb8();
    let (width, height) = picture.dimensions();
    [(1, 1), (3, 1), (1, 3), (3, 3)].map(|(x, y)| {
        let [r, g, b] = picture.get_pixel(width * x / 4, height * y / 4).0.map(|c| c > 128);
        match (r, g, b) {
            (true, false, false) => "red",
            (false, true, false) => "green",
            (false, false, true) => "blue",
            (true, true, false) => "yellow",
            (true, true, true) => "white",
            _ => "other",
        }
    })
}

const UPRIGHT: [&str; 4] = ["red", "green", "blue", "yellow"];

#[test]
fn a_preview_is_upright_small_and_says_nothing() {
    for n in 1..=8 {
        let name = format!("orientation_{n}.jpg");
        let preview = preview_of(&name).unwrap();
        assert_eq!((preview.width, preview.height), (96, 64), "{name}");
        assert_eq!(corners(&preview), UPRIGHT, "{name}");
    }
    for name in ["position.webp", "thumbnail_inside.jpg"] {
        assert_eq!(corners(&preview_of(name).unwrap()), UPRIGHT, "{name}");
    }
    for told in manifest() {
        let name = told["file"].as_str().unwrap();
        let bytes = file(name);
        let Ok(reading) = read(&bytes) else { continue };
        match preview(Cursor::new(&bytes), &reading.facts, reading.thumbnail.as_deref()) {
            Ok(preview) => says_nothing(&preview, name),
            Err(why) => assert!(!matches!(why, PreviewAbsence::Other(_)), "{name}"),
        }
    }
    let wide = preview_of("wide.jpg").unwrap();
    assert_eq!((wide.width, wide.height), (1_600, 12));
    assert_eq!(corners(&preview_of("glass.png").unwrap()), ["white"; 4]);
    assert_eq!(corners(&preview_of("glass.webp").unwrap()), ["white"; 4]);
}

#[test]
fn why_there_is_no_preview() {
    for (name, why) in [
        ("position.heic", PreviewAbsence::Heic),
        ("with_thumbnail.heic", PreviewAbsence::Heic), // that one is HEVC too
        ("vast.png", PreviewAbsence::TooLarge),
        ("few_bytes_many_pixels.jpg", PreviewAbsence::TooLarge),
    ] {
        assert_eq!(preview_of(name), Err(why), "{name}");
    }
    let small = preview_of("thumbnail_inside.heic").unwrap();
    assert_eq!((small.width, small.height), (48, 32));
    assert_eq!(corners(&small), UPRIGHT, "the thumbnail is turned like its photo");
    let bytes = file("position.png");
    let facts = read(&bytes).unwrap().facts;
    let cut = preview(Cursor::new(&bytes[..bytes.len() / 2]), &facts, None);
    assert_eq!(cut, Err(PreviewAbsence::Damaged));
}

#[test]
fn a_preview_of_the_host_is_made_anew() {
    let taken = from_host(&file("orientation_6.jpg")).unwrap();
    says_nothing(&taken, "orientation_6.jpg");
    assert_eq!(corners(&taken), UPRIGHT);
    says_nothing(&from_host(&file("jpeg_and_page.jpg")).unwrap(), "jpeg_and_page.jpg");
    assert_eq!(from_host(&file("page.jpg")), Err(PreviewAbsence::Damaged));
    assert_eq!(from_host(&vec![0; 5 * 1024 * 1024]), Err(PreviewAbsence::TooLarge));
    assert_eq!(from_host(&file("position.heic")), Err(PreviewAbsence::Heic));
}

#[test]
fn stripping_leaves_the_picture_alone() {
    for told in manifest() {
        let name = told["file"].as_str().unwrap();
        let bytes = file(name);
        let Ok(reading) = read(&bytes) else { continue };
        let Some(alone) = strip(&bytes, reading.facts.mime) else {
            let excused = ["heic", "no_end"].iter().any(|word| name.contains(word));
            assert!(excused, "{name}");
            continue;
        };
        let mut facts = read(&alone).unwrap().facts;
        assert_eq!((facts.width, facts.height), (reading.facts.width, reading.facts.height));
        (facts.width, facts.height) = (None, None);
        let (sha256, size, mime) = (facts.sha256, facts.size, facts.mime);
        let nothing = motomind_core::photo::PhotoFacts::new(sha256, size, mime);
        assert_eq!(facts, nothing, "{name}");
        for word in [&b"Exif"[..], b"Apple", b"script", b"PK\x03\x04", b"ICC_PROFILE", b"screen"] {
            assert!(!alone.windows(word.len()).any(|found| found == word), "{name}");
        }
        if !name.starts_with("vast") && !name.starts_with("few_bytes") {
            let pixels = |bytes: &[u8]| image::load_from_memory(bytes).unwrap().to_rgba8();
            assert!(pixels(&alone) == pixels(&bytes), "{name}");
        }
    }
}

fn names() -> impl Strategy<Value = String> {
    let names = manifest().into_iter().map(|told| told["file"].as_str().unwrap().to_string());
    proptest::sample::select(names.filter(|name| !name.starts_with("zero")).collect::<Vec<_>>())
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<proptest::sample::Index>(), any::<u8>(), 0..8_usize);
    (names(), proptest::collection::vec(change, 1..12)).prop_map(|(name, changes)| {
        let mut bytes = file(&name);
        // Most of what can go wrong is near the beginning.
        for (index, byte, how) in changes {
            let at = index.index(bytes.len()) % if how < 6 { 600 } else { usize::MAX };
            match how {
                7 => drop(bytes.drain(at..(at + usize::from(byte)).min(bytes.len()))),
                _ => bytes[at] = byte,
            }
            if bytes.is_empty() {
                bytes.push(byte);
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn whatever_the_bytes_the_facts_are_valid(bytes in mutated(), chunk in 1..5_000_usize) {
        let read = read_in(&bytes, chunk);
        if let Ok(reading) = read {
            prop_assert_eq!(validate(&reading.facts), Ok(()));
            prop_assert_eq!(reading.facts.size, bytes.len() as u64);
            let _ = strip(&bytes, reading.facts.mime);
        }
    }

    #[test]
    fn noise_behind_a_good_beginning_is_no_danger(
        name in names(),
        kept in 0..200_usize,
        noise in proptest::collection::vec(any::<u8>(), 0..2_000),
    ) {
        let mut bytes = file(&name);
        bytes.truncate(kept);
        bytes.extend(noise);
        if let Ok(reading) = read(&bytes) {
            prop_assert_eq!(validate(&reading.facts), Ok(()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_preview_of_a_damaged_photo_is_a_preview_or_a_reason(bytes in mutated()) {
        if let Ok(reading) = read(&bytes) {
            let made = preview(Cursor::new(&bytes), &reading.facts, reading.thumbnail.as_deref());
            if let Ok(preview) = made {
                says_nothing(&preview, "a damaged photo");
            }
        }
    }
}
