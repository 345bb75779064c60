//! Where an event happened.
#![allow(clippy::unwrap_used)]

use motomind_protocol::position::{
    Chosen, Confidence, EARTH_RADIUS_M, Rule, Sources, decide, distance_m,
};
use motomind_protocol::{Fix, FixSource, Millis};
use proptest::prelude::*;

const HERE: (f64, f64) = (39.7392, -104.9903);

fn gps() -> Fix {
    Fix::at(HERE.0, HERE.1, FixSource::Gps)
}

/// A photo's position so many metres to the north.
fn exif(metres: f64) -> Fix {
    let degrees = (metres / EARTH_RADIUS_M).to_degrees();
    Fix::at(HERE.0 + degrees, HERE.1, FixSource::Exif)
}

fn minutes(minutes: i64) -> Option<Millis> {
    Some(minutes * 60_000)
}

#[test]
fn distances_are_those_of_known_places() {
    let (berlin, paris) = ((52.5200, 13.4050), (48.8566, 2.3522));
    assert!((distance_m(berlin, paris) - 877_464.6).abs() < 50.0);
    assert_eq!(distance_m((0.0, 0.0), (0.0, 0.0)), 0.0);
    let half_way_round = std::f64::consts::PI * EARTH_RADIUS_M;
    assert!((distance_m((0.0, 0.0), (0.0, 180.0)) - half_way_round).abs() < 0.01);
    assert!((distance_m((90.0, 0.0), (-90.0, 77.0)) - half_way_round).abs() < 0.01);
    assert!(distance_m((0.0, 179.999), (0.0, -179.999)) < 250.0);
}

#[test]
fn every_rule_of_the_domain_decides_its_case() {
    use Chosen::{Both, Exif, Gps};
    use Confidence::{High, Low, Medium};
    let (here, near, off, far) = (gps(), exif(50.0), exif(500.0), exif(3_000.0));
    let case = |gps, exif, photo_age_ms, receipt_age_days| {
        let decision = decide(&Sources { gps, exif, photo_age_ms, receipt_age_days });
        (decision.chosen, decision.confidence, decision.rule, decision.ask)
    };
    let (gps, fresh) = (Some(&here), minutes(14));
    assert_eq!(case(None, None, fresh, None), (None, Confidence::None, Rule::NoSource, true));
    assert_eq!(case(gps, None, fresh, None), (Some(Gps), High, Rule::FreshPhoto, false));
    assert_eq!(case(gps, Some(&off), fresh, None), (Some(Gps), High, Rule::FreshPhoto, false));
    assert_eq!(case(gps, Some(&near), None, None), (Some(Both), High, Rule::SamePlace, false));
    assert_eq!(case(gps, Some(&far), fresh, None), (Some(Gps), Medium, Rule::Conflict, true));
    assert_eq!(
        case(gps, Some(&far), minutes(61), None),
        (Some(Exif), Medium, Rule::Conflict, true)
    );
    assert_eq!(case(gps, Some(&off), minutes(61), None), (Some(Exif), High, Rule::OldPhoto, false));
    assert_eq!(case(gps, None, minutes(61), None), (Some(Gps), Low, Rule::OldPhoto, false));
    assert_eq!(
        case(gps, Some(&off), minutes(30), Some(2)),
        (Some(Exif), Medium, Rule::OldReceipt, false)
    );
    assert_eq!(case(gps, None, None, Some(2)), (Some(Gps), Low, Rule::OldReceipt, false));
    assert_eq!(case(gps, Some(&off), None, Some(1)), (Some(Exif), Medium, Rule::Otherwise, false));
    // A photo without a time is never fresh, and one from the future is not either.
    assert_eq!(case(gps, None, None, None), (Some(Gps), Medium, Rule::Otherwise, false));
    assert_eq!(case(gps, None, minutes(-5), None), (Some(Gps), Medium, Rule::Otherwise, false));
}

#[test]
fn a_fix_too_coarse_for_a_position_decides_nothing() {
    let mut coarse = gps();
    coarse.accuracy_m = Some(1_500.0);
    let decision = decide(&Sources { gps: Some(&coarse), ..Sources::default() });
    assert_eq!((decision.chosen, decision.rule), (None, Rule::NoSource));
}

proptest! {
    #[test]
    fn distances_are_symmetric_and_bounded(
        a in -90.0..=90.0, b in -180.0..=180.0, c in -90.0..=90.0, d in -180.0..=180.0,
    ) {
        let there = distance_m((a, b), (c, d));
        prop_assert_eq!(there, distance_m((c, d), (a, b)));
        prop_assert!((0.0..=std::f64::consts::PI * EARTH_RADIUS_M + 0.01).contains(&there));
    }

    #[test]
    fn what_is_there_is_chosen_or_kept(
        has_gps: bool, off in proptest::option::of(0.0..5_000.0f64),
        age in proptest::option::of(-100_000i64..10_000_000), days in proptest::option::of(0i64..5),
    ) {
        let (here, photo) = (gps(), off.map(exif));
        let sources = Sources {
            gps: has_gps.then_some(&here), exif: photo.as_ref(),
            photo_age_ms: age, receipt_age_days: days,
        };
        let decision = decide(&sources);
        let named = [decision.chosen, decision.alternate];
        let names = |one| named.contains(&Some(one)) || named.contains(&Some(Chosen::Both));
        prop_assert_eq!(names(Chosen::Gps), has_gps);
        prop_assert_eq!(names(Chosen::Exif), off.is_some());
    }
}
