//! Dates as Fuelio writes them, and the instants they mean.

use chrono::{
    FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone,
};
use motomind_protocol::Millis;

use super::Parsed;

/// A time zone: its IANA name and how far it is from UTC at a local time.
///
/// The rules come from outside because the host has them (a browser's `Intl`, Android's ICU, the
/// `chrono-tz` crate); carrying all of the world's would be the largest thing in this crate.
#[derive(Clone, Copy)]
pub struct Zone<'a> {
    /// IANA name, such as `America/Denver`.
    pub name: &'a str,
    /// The offset at a local time: none in the hour that is skipped in spring, two in the one that
    /// comes twice in autumn.
    pub offset: &'a dyn Fn(&NaiveDateTime) -> MappedLocalTime<FixedOffset>,
}

/// The offset rules of a zone that `chrono` knows, in the form that [`Zone`] takes.
pub fn offsets_of<Tz: TimeZone>(
    zone: Tz,
) -> impl Fn(&NaiveDateTime) -> MappedLocalTime<FixedOffset> {
    move |local| zone.offset_from_local_datetime(local).map(|offset| offset.fix())
}

impl Zone<'_> {
    /// The instant of a local time, UTC ms: the first of two in autumn; in spring as if the clock
    /// had not been put forward yet. `None` where the rules know no offset at all.
    pub(super) fn utc_ms(&self, local: NaiveDateTime) -> Option<Millis> {
        let offset = match (self.offset)(&local) {
            MappedLocalTime::Single(offset) => offset,
            MappedLocalTime::Ambiguous(first, _) => first,
            MappedLocalTime::None => {
                (self.offset)(&local.checked_sub_signed(TimeDelta::hours(3))?).earliest()?
            }
        };
        let seconds = i64::from(offset.local_minus_utc());
        Some(local.and_utc().timestamp_millis().saturating_sub(seconds * 1_000))
    }
}

/// When a row says that it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// A day and a time.
    Timed(NaiveDateTime),
    /// A day alone, and where in it we place the row.
    Day(NaiveDateTime),
}

impl When {
    pub(super) fn local(&self) -> NaiveDateTime {
        match self {
            Self::Timed(local) | Self::Day(local) => *local,
        }
    }

    /// What the row states, in one form.
    pub(super) fn normal_form(&self) -> String {
        match self {
            Self::Timed(local) => local.to_string(),
            Self::Day(local) => local.date().to_string(),
        }
    }

    /// Reads `2024-03-10 16:01`, seconds or no time at all, or the file's own order of the day.
    pub(super) fn parse(text: &str, pattern: Option<&str>) -> Option<Self> {
        for day in ["%Y-%m-%d", "%Y/%m/%d"].into_iter().chain(pattern) {
            for form in
                [format!("{day} %H:%M"), format!("{day} %H:%M:%S"), format!("{day}T%H:%M:%S")]
            {
                if let Ok(local) = NaiveDateTime::parse_from_str(text, &form) {
                    return Some(Self::Timed(local));
                }
            }
            if let Ok(day) = NaiveDate::parse_from_str(text, day) {
                let noon = NaiveTime::from_hms_opt(12, 0, 0)?;
                return Some(Self::Day(day.and_time(noon)));
            }
        }
        None
    }
}

/// Fuelio's `ImportCSVDateFormat` (`dd.MM.yyyy`) as a pattern of ours; `None` for one that does
/// not name year, month and day exactly once.
pub(super) fn pattern(java: &str) -> Option<String> {
    let day = java.split_whitespace().next()?;
    let parts = ["yyyy", "MM", "dd"];
    if !parts.iter().all(|part| day.matches(part).count() == 1) {
        return None;
    }
    let pattern = day.replace("yyyy", "\u{1}").replace("MM", "\u{2}").replace("dd", "\u{3}");
    if pattern.chars().any(|c| c.is_alphanumeric() || c == '%') {
        return None;
    }
    Some(pattern.replace('\u{1}', "%Y").replace('\u{2}', "%m").replace('\u{3}', "%d"))
}

/// Moves rows dated by their day alone to a time of that day at which their odometer reading fits
/// between the timed ones, when noon does not.
pub(super) fn place_timeless(rows: &mut [(u64, Parsed)]) {
    let mut timed: Vec<(NaiveDateTime, i64)> = rows
        .iter()
        .filter_map(|(_, row)| match row.when {
            When::Timed(local) => Some((local, row.event.miles?)),
            When::Day(_) => None,
        })
        .collect();
    timed.sort_unstable();
    for (_, row) in rows {
        let (When::Day(noon), Some(miles)) = (row.when, row.event.miles) else {
            continue;
        };
        let start = timed.partition_point(|(local, _)| local.date() < noon.date());
        let of_day = timed[start..].iter().take_while(|(local, _)| local.date() == noon.date());
        let earliest =
            of_day.clone().filter(|(_, other)| *other < miles).map(|(local, _)| *local).max();
        let latest = of_day.filter(|(_, other)| *other > miles).map(|(local, _)| *local).min();
        let after = earliest.map_or(noon, |earliest| noon.max(earliest));
        row.when = When::Day(latest.map_or(after, |latest| after.min(latest)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declared_order_of_the_day_is_read() {
        assert_eq!(pattern("dd.MM.yyyy").as_deref(), Some("%d.%m.%Y"));
        assert_eq!(pattern("MM/dd/yyyy HH:mm").as_deref(), Some("%m/%d/%Y"));
        assert_eq!(pattern("dd MMM yyyy"), None);
        assert_eq!(pattern("%y"), None);
        let european = pattern("dd.MM.yyyy");
        let read =
            When::parse("10.03.2024 16:01", european.as_deref()).map(|when| when.normal_form());
        assert_eq!(read.as_deref(), Some("2024-03-10 16:01:00"));
        assert_eq!(When::parse("10.03.2024", None), None);
        assert_eq!(When::parse("2024-02-30", None), None);
        let day = When::parse("2024-03-10", None).map(|when| when.local().to_string());
        assert_eq!(day.as_deref(), Some("2024-03-10 12:00:00"));
    }
}
