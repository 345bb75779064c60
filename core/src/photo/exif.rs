//! From EXIF tags to facts. What a tag does not say is not guessed.

use std::ops::Range;

use chrono::{NaiveDate, NaiveTime};
use motomind_protocol::limits::LINE_CHARS_MAX;
use motomind_protocol::photo::{PhotoFacts, PhotoTime, parse_offset, validate};
use motomind_protocol::{Fix, FixSource, Millis};

use super::tiff::{Directory, Tiff};

mod tag {
    pub(super) const MAKE: u16 = 0x010f;
    pub(super) const MODEL: u16 = 0x0110;
    pub(super) const ORIENTATION: u16 = 0x0112;
    pub(super) const SOFTWARE: u16 = 0x0131;
    pub(super) const DATE_TIME: u16 = 0x0132;
    pub(super) const THUMBNAIL: u16 = 0x0201;
    pub(super) const THUMBNAIL_BYTES: u16 = 0x0202;
    pub(super) const EXIF: u16 = 0x8769;
    pub(super) const GPS: u16 = 0x8825;
    // in the Exif directory
    pub(super) const ORIGINAL: u16 = 0x9003;
    pub(super) const DIGITIZED: u16 = 0x9004;
    pub(super) const OFFSET: u16 = 0x9010;
    pub(super) const OFFSET_ORIGINAL: u16 = 0x9011;
    pub(super) const OFFSET_DIGITIZED: u16 = 0x9012;
    pub(super) const SUBSEC: u16 = 0x9290;
    pub(super) const SUBSEC_ORIGINAL: u16 = 0x9291;
    pub(super) const SUBSEC_DIGITIZED: u16 = 0x9292;
    // in the GPS directory
    pub(super) const LATITUDE_REF: u16 = 1;
    pub(super) const LATITUDE: u16 = 2;
    pub(super) const LONGITUDE_REF: u16 = 3;
    pub(super) const LONGITUDE: u16 = 4;
    pub(super) const ALTITUDE_REF: u16 = 5;
    pub(super) const ALTITUDE: u16 = 6;
    pub(super) const TIME: u16 = 7;
    pub(super) const SPEED_REF: u16 = 12;
    pub(super) const SPEED: u16 = 13;
    pub(super) const HEADING_REF: u16 = 16;
    pub(super) const HEADING: u16 = 17;
    pub(super) const DATE: u16 = 29;
    pub(super) const ACCURACY: u16 = 31;
}

/// What is not among the facts.
pub(super) struct Outcome {
    /// Where in the block the thumbnail is; a JPEG by its first bytes.
    pub(super) thumbnail: Option<Range<usize>>,
    /// Something could not be read.
    pub(super) damaged: bool,
}

/// Reads an EXIF block into the facts of its photo.
pub(super) fn read(block: &[u8], facts: &mut PhotoFacts) -> Outcome {
    let Some(main) = Tiff::read(block).and_then(Tiff::first) else {
        return Outcome { thumbnail: None, damaged: true };
    };
    let (exif, gps) = (main.child(tag::EXIF), main.child(tag::GPS));
    let text = |tag| main.get(tag)?.text().and_then(|text| line(text, LINE_CHARS_MAX));
    (facts.make, facts.model) = (text(tag::MAKE), text(tag::MODEL));
    facts.software = text(tag::SOFTWARE);
    let orientation = main.get(tag::ORIENTATION).and_then(|value| value.uint());
    facts.orientation = orientation.and_then(|it| u8::try_from(it).ok());
    facts.orientation = facts.orientation.filter(|it| (1..=8).contains(it));
    let original = time(exif, tag::ORIGINAL, exif, tag::SUBSEC_ORIGINAL, tag::OFFSET_ORIGINAL);
    let digitized = time(exif, tag::DIGITIZED, exif, tag::SUBSEC_DIGITIZED, tag::OFFSET_DIGITIZED);
    facts.modified_at = time(Some(main), tag::DATE_TIME, exif, tag::SUBSEC, tag::OFFSET);
    facts.taken_at = original.or(facts.modified_at).or(digitized);
    let mut damaged = main.is_damaged();
    damaged |= main.get(tag::EXIF).is_some() && exif.is_none_or(|exif| exif.is_damaged());
    damaged |= main.get(tag::GPS).is_some() && gps.is_none_or(|gps| gps.is_damaged());
    facts.position = gps.and_then(position);
    if facts.position.is_some() && validate(facts).is_err() {
        (facts.position, damaged) = (None, true);
    }
    Outcome { thumbnail: main.next().and_then(|next| thumbnail(block, next)), damaged }
}

/// A line for people: no control characters, no blanks around it, not too long; `None` when empty.
pub(super) fn line(text: &[u8], chars_max: usize) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let shown: String = text.chars().filter(|c| !c.is_control()).take(chars_max).collect();
    let shown = shown.trim();
    (!shown.is_empty()).then(|| shown.to_string())
}

fn time(
    date_in: Option<Directory<'_>>,
    date: u16,
    details_in: Option<Directory<'_>>,
    subsec: u16,
    offset: u16,
) -> Option<PhotoTime> {
    let ascii = |directory: Option<Directory<'_>>, tag| {
        let text = directory?.get(tag)?.text()?;
        std::str::from_utf8(text).ok().map(|text| text.trim().to_string())
    };
    let clock = ascii(date_in, date)?;
    let (day, clock) = clock.split_at_checked(10)?;
    let day = NaiveDate::parse_from_str(&day.replace('-', ":"), "%Y:%m:%d").ok()?;
    let clock = NaiveTime::parse_from_str(clock.get(1..9)?, "%H:%M:%S").ok()?;
    let digits = ascii(details_in, subsec).unwrap_or_default();
    let digits: String = digits.chars().take_while(char::is_ascii_digit).take(3).collect();
    let millis: i64 = format!("{digits:0<3}").parse().ok()?;
    let local = day.and_time(clock).checked_add_signed(chrono::TimeDelta::milliseconds(millis))?;
    let offset = ascii(details_in, offset).and_then(|text| parse_offset(&text));
    Some(PhotoTime::new(local, offset))
}

/// The position, where both hemispheres are said.
fn position(gps: Directory<'_>) -> Option<Fix> {
    let letter = |tag| gps.get(tag)?.text()?.first().map(u8::to_ascii_uppercase);
    let number = |tag| gps.get(tag)?.fraction(0);
    let degrees = |tag, reference, positive, negative| {
        let value = gps.get(tag)?;
        let part = |n| value.fraction(n).unwrap_or(0.0);
        let degrees = value.fraction(0)? + part(1) / 60.0 + part(2) / 3600.0;
        match letter(reference)? {
            sign if sign == positive => Some(degrees),
            sign if sign == negative => Some(-degrees),
            _ => None,
        }
    };
    let latitude = degrees(tag::LATITUDE, tag::LATITUDE_REF, b'N', b'S')?;
    let longitude = degrees(tag::LONGITUDE, tag::LONGITUDE_REF, b'E', b'W')?;
    let mut fix = Fix::at(latitude, longitude, FixSource::Exif);
    let below = gps.get(tag::ALTITUDE_REF).and_then(|value| value.uint());
    fix.altitude_m = number(tag::ALTITUDE).map(|m| if below == Some(1) { -m } else { m });
    fix.accuracy_m = number(tag::ACCURACY);
    // Magnetic north is somewhere else.
    let is_true = letter(tag::HEADING_REF).is_none_or(|reference| reference == b'T');
    fix.heading_deg = number(tag::HEADING).filter(|_| is_true);
    fix.speed_mps = number(tag::SPEED).and_then(|speed| {
        let metres_per_hour = match letter(tag::SPEED_REF)? {
            b'K' => 1_000.0,
            b'M' => 1_609.344,
            b'N' => 1_852.0,
            _ => return None,
        };
        Some(speed * metres_per_hour / 3_600.0)
    });
    fix.fixed_at = fixed_at(gps);
    Some(fix)
}

fn fixed_at(gps: Directory<'_>) -> Option<Millis> {
    let date = std::str::from_utf8(gps.get(tag::DATE)?.text()?).ok()?;
    let date = NaiveDate::parse_from_str(&date.trim().replace('-', ":"), "%Y:%m:%d").ok()?;
    let clock = gps.get(tag::TIME)?;
    let (hours, minutes, seconds) = (clock.fraction(0)?, clock.fraction(1)?, clock.fraction(2)?);
    let seconds = hours * 3_600.0 + minutes * 60.0 + seconds;
    if !(0.0..86_401.0).contains(&seconds) {
        return None;
    }
    let midnight = date.and_time(NaiveTime::MIN).and_utc().timestamp_millis();
    // Below 86,401,000: exact.
    Some(midnight + (seconds * 1_000.0).round() as i64)
}

fn thumbnail(block: &[u8], directory: Directory<'_>) -> Option<Range<usize>> {
    let number = |tag| usize::try_from(directory.get(tag)?.uint()?).ok();
    let start = number(tag::THUMBNAIL)?;
    let range = start..start.checked_add(number(tag::THUMBNAIL_BYTES)?)?;
    block.get(range.clone())?.starts_with(&[0xff, 0xd8, 0xff]).then_some(range)
}
