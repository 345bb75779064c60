//! When a photo says it was taken: a clock on a wall, whose place may be unknown.

use std::fmt;
use std::str::FromStr;

use chrono::{NaiveDateTime, Timelike};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::Millis;

/// West-most and east-most zone, minutes: what an unknown offset can be.
const OFFSET_MINUTES: std::ops::RangeInclusive<i32> = -12 * 60..=14 * 60;

/// What a camera's clock showed. Without an offset it stays a local time: no zone is invented.
///
/// On the wire `2024-05-02T10:11:12.345` or, with an offset, `2024-05-02T10:11:12.345-06:00`;
/// milliseconds only where the camera gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "types", derive(ts_rs::TS), ts(type = "string"))]
pub struct PhotoTime {
    local: NaiveDateTime,
    offset_minutes: Option<i32>,
}

/// A text that is not a [`PhotoTime`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a photo's time looks like 2024-05-02T10:11:12, with an offset such as -06:00 where known")]
pub struct BadPhotoTime;

impl PhotoTime {
    /// A clock's face, cut to milliseconds, and its distance from UTC in minutes where that is
    /// known. An offset that no zone has counts as unknown.
    #[must_use]
    pub fn new(local: NaiveDateTime, offset_minutes: Option<i32>) -> Self {
        let millis = local.nanosecond() / 1_000_000 % 1_000;
        let local = local.with_nanosecond(millis * 1_000_000).unwrap_or(local);
        let offset_minutes = offset_minutes.filter(|offset| OFFSET_MINUTES.contains(offset));
        Self { local, offset_minutes }
    }

    /// What the clock showed.
    #[must_use]
    pub fn local(&self) -> NaiveDateTime {
        self.local
    }

    /// How far the clock is ahead of UTC, minutes; `None` where the photo does not say.
    #[must_use]
    pub fn offset_minutes(&self) -> Option<i32> {
        self.offset_minutes
    }

    /// The instant, UTC ms; `None` without an offset.
    #[must_use]
    pub fn utc_ms(&self) -> Option<Millis> {
        self.offset_minutes.map(|offset| self.at_offset_ms(offset))
    }

    /// The first and the last instant that this can be, UTC ms: the same with an offset, 26 hours
    /// apart without.
    #[must_use]
    pub fn bounds_ms(&self) -> (Millis, Millis) {
        match self.utc_ms() {
            Some(instant) => (instant, instant),
            None => (
                self.at_offset_ms(*OFFSET_MINUTES.end()),
                self.at_offset_ms(*OFFSET_MINUTES.start()),
            ),
        }
    }

    /// The least time that lies between `earlier` and this, ms. Two clocks without an offset count
    /// as one camera's clock; one with and one without are compared over every possible zone.
    #[must_use]
    pub fn at_least_after_ms(&self, earlier: &Self) -> Millis {
        if self.offset_minutes.is_none() && earlier.offset_minutes.is_none() {
            return self.at_offset_ms(0) - earlier.at_offset_ms(0);
        }
        self.bounds_ms().0 - earlier.bounds_ms().1
    }

    fn at_offset_ms(&self, offset_minutes: i32) -> Millis {
        self.local.and_utc().timestamp_millis() - i64::from(offset_minutes) * 60_000
    }
}

impl fmt::Display for PhotoTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.local.format("%Y-%m-%dT%H:%M:%S%.f"))?;
        let Some(offset) = self.offset_minutes else { return Ok(()) };
        let sign = if offset < 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60)
    }
}

impl FromStr for PhotoTime {
    type Err = BadPhotoTime;
    fn from_str(text: &str) -> Result<Self, BadPhotoTime> {
        let (clock, offset) = match text.get(10..).and_then(|rest| rest.find(['+', '-', 'Z'])) {
            Some(at) => text.split_at(at + 10),
            None => (text, ""),
        };
        let local = NaiveDateTime::parse_from_str(clock, "%Y-%m-%dT%H:%M:%S%.f");
        let offset_minutes = match offset {
            "" => None,
            text => Some(parse_offset(text).ok_or(BadPhotoTime)?),
        };
        Ok(Self::new(local.map_err(|_| BadPhotoTime)?, offset_minutes))
    }
}

/// Minutes ahead of UTC from `Z`, `+02:00` or `-06:00`; `None` when it is none of them or no zone's.
#[must_use]
pub fn parse_offset(text: &str) -> Option<i32> {
    if text == "Z" {
        return Some(0);
    }
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_once(':')?;
    let number = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<i32>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let offset = sign * (hours * 60 + minutes);
    (minutes < 60 && OFFSET_MINUTES.contains(&offset)).then_some(offset)
}

impl Serialize for PhotoTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PhotoTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
