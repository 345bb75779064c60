//! Where an event happened, whatever order things are learnt in.
#![allow(clippy::unwrap_used)]

use chrono::NaiveDate;
use motomind_protocol::place::*;
use motomind_protocol::position::{Sources, decide};
use motomind_protocol::{Event, EventId, Fix, FixSource, VehicleId, code};
use proptest::prelude::*;
use uuid::Uuid;

const HERE: (f64, f64) = (39.739_153, -104.984_703);
const THERE: (f64, f64) = (39.741_000, -104.986_000);

fn event() -> Event {
    let (id, vehicle) = (EventId(Uuid::from_u128(1)), VehicleId(Uuid::from_u128(2)));
    let mut event = Event::new(id, vehicle, "odometer", 0, NaiveDate::default(), "UTC");
    event.fix = Some(Fix::at(HERE.0, HERE.1, FixSource::Gps));
    event
}

fn correction(to: (f64, f64)) -> LocationCorrection {
    LocationCorrection::new(&event(), to, CorrectionMethod::MapPin)
}

fn at(place: Option<Place>) -> ((f64, f64), PlaceFrom) {
    let place = place.unwrap();
    ((place.latitude, place.longitude), place.from)
}

#[test]
fn the_newest_correction_counts_and_taking_it_back_shows_what_was_measured() {
    let (event, one, other) = (event(), correction(THERE), correction((0.0, 0.0)));
    assert_eq!(at(place(&event, None, [])), (HERE, PlaceFrom::Fix));
    let both = [(Some(7), &one), (Some(9), &other)];
    assert_eq!(at(place(&event, None, both)), ((0.0, 0.0), PlaceFrom::Correction));
    let withdrawn = LocationCorrection { withdrawn: true, ..one.clone() };
    let all = [(None, &withdrawn), (Some(7), &one), (Some(9), &other)];
    assert_eq!(at(place(&event, None, all)), (HERE, PlaceFrom::Fix));
}

#[test]
fn the_decision_says_which_measured_position_counts() {
    let mut event = event();
    let photo = Fix::at(THERE.0, THERE.1, FixSource::Exif);
    let old = Some(2 * 60 * 60 * 1000);
    let sources = Sources {
        gps: event.fix.as_ref(),
        exif: Some(&photo),
        photo_age_ms: old,
        ..Sources::default()
    };
    event.position = Some(decide(&sources));
    event.photo_fix = Some(photo);
    assert_eq!(at(place(&event, None, [])), (THERE, PlaceFrom::Photo));
    let said = LocationCorrection::new(&event, HERE, CorrectionMethod::ManualEntry);
    assert_eq!(said.measured, event.photo_fix);
    assert_eq!(said.validate(), Ok(()));
}

#[test]
fn a_correction_of_other_facts_keeps_the_place_of_the_first() {
    let root = event();
    let mut shown = event();
    shown.fix = None;
    assert_eq!(at(place(&shown, Some(&root), [])), (HERE, PlaceFrom::Fix));
    shown.fix = Some(Fix { accuracy_m: Some(1_000.1), ..Fix::at(0.0, 0.0, FixSource::Network) });
    assert_eq!(at(place(&shown, Some(&root), [])), (HERE, PlaceFrom::Fix));
    assert_eq!(place(&shown, None, []), None);
}

#[test]
fn a_distance_that_was_not_computed_here_is_refused() {
    let mut said = correction(THERE);
    assert!((said.distance_m.unwrap() - 233.2).abs() < 1.0, "{said:?}");
    said.distance_m = Some(12.0);
    let violations = said.validate().unwrap_err();
    assert_eq!((&*violations[0].field, &*violations[0].code), ("distance_m", code::OUT_OF_RANGE));
    said.measured = None;
    assert_eq!(said.validate().unwrap_err()[0].field, "distance_m");
    said.distance_m = None;
    assert_eq!(said.validate(), Ok(()));
    said.latitude = f64::NAN;
    assert_eq!(said.validate().unwrap_err()[0].code, code::NOT_FINITE);
    said.latitude = 90.5;
    assert_eq!(said.validate().unwrap_err()[0].code, code::OUT_OF_RANGE);
}

proptest! {
    /// Two people correct offline: whoever learns of it in whatever order shows the same place.
    #[test]
    fn every_order_of_learning_gives_the_same_winner(
        seqs in proptest::collection::btree_set(1u64..1_000, 1..6), swap in any::<prop::sample::Index>(),
    ) {
        let said: Vec<(u64, LocationCorrection)> =
            seqs.into_iter().map(|seq| (seq, correction((seq as f64 / 100.0, 1.0)))).collect();
        let mut learnt: Vec<(Option<u64>, &LocationCorrection)> =
            said.iter().map(|(seq, one)| (Some(*seq), one)).collect();
        let middle = swap.index(learnt.len());
        learnt.rotate_left(middle);
        prop_assert_eq!(counting(learnt).unwrap(), &said.last().unwrap().1);
    }
}
