//! Capture flows, and sessions over given instants.
#![allow(clippy::unwrap_used, clippy::panic)]

use motomind_protocol::flow::*;
use motomind_protocol::{EventId, Hash, VehicleId, registry};
use proptest::prelude::*;
use uuid::Uuid;

const MINUTE: i64 = 60_000;
const T: i64 = 1_714_666_272_000;

fn session(flow: &str, path: Path) -> Session {
    Session::begin(Uuid::from_u128(1), VehicleId(Uuid::from_u128(2)), flow, path, T)
}

fn photo(name: &str, step: &str) -> Happening {
    Happening::Photo(Hash::of(name.as_bytes()), Some(step.into()))
}

fn event() -> Happening {
    Happening::Completed(EventId(Uuid::from_u128(9)))
}

#[test]
fn flows_end_in_events_that_exist_and_have_a_required_step() {
    for flow in FLOWS {
        let spec = registry::find(flow.event_type).unwrap();
        assert_eq!(spec.name, flow.event_type);
        assert!(flow.steps.iter().any(|step| step.need == Need::Required), "{}", flow.name);
        assert_eq!(find(flow.name), Some(flow));
    }
    let letters: Vec<String> = FLOWS
        .iter()
        .map(|flow| {
            let steps = flow.steps.iter().map(|step| {
                let need = match step.need {
                    Need::Required => " R",
                    Need::Recommended => " *",
                    Need::Optional => "",
                };
                format!("{}{need}{}", step.id, if step.several { "+" } else { "" })
            });
            format!("{}: {}", flow.name, steps.collect::<Vec<_>>().join(", "))
        })
        .collect();
    assert_eq!(
        letters,
        [
            "fuel: receipt R, odometer *, gauge, additives+",
            "service: invoice R, odometer *, damage_before+, damage_after+, parts+",
            "tire: fl_tread R, fr_tread R, rl_tread R, rr_tread R, tire_label *",
            "damage: overview R+, closeup R+, other_party+, scene+",
            "dashboard_warning: warning_lights R, odometer R",
            "document: document R+",
        ]
    );
}

#[test]
fn a_guided_session_becomes_an_event() {
    let begun = session("damage", Path::Guided);
    let refused = begun.after(event(), T + 1).unwrap_err();
    assert_eq!(refused, NotPossible::StepsMissing(vec!["overview".into(), "closeup".into()]));
    let one = begun.after(photo("a", "overview"), T + MINUTE).unwrap();
    let two = one.after(photo("b", "overview"), T + 2 * MINUTE).unwrap();
    let three = two.after(photo("c", "closeup"), T + 3 * MINUTE).unwrap();
    assert_eq!(
        (three.completed_steps(), three.missing_steps()),
        (vec!["overview", "closeup"], vec![])
    );
    assert_eq!(three.current_photos().len(), 3, "the step takes several");
    let done = three.after(event(), T + 4 * MINUTE).unwrap();
    assert_eq!((done.is_active(), done.duration_ms()), (false, 4 * MINUTE));
    assert!(matches!(done.after(Happening::Activity, T), Err(NotPossible::NotActive(_))));
    assert_eq!(done.seen_at(T + 1_000 * MINUTE), done, "it does not time out any more");
    assert_eq!(done.resume(Uuid::from_u128(3), T), Err(NotPossible::NotAbandoned));
}

#[test]
fn a_retake_takes_the_place_of_the_photo_before_and_loses_nothing() {
    let mut one = session("fuel", Path::Guided);
    for (name, step) in [("a", "receipt"), ("b", "odometer"), ("c", "receipt")] {
        one = one.after(photo(name, step), T).unwrap();
    }
    let kept: Vec<Hash> = one.current_photos().iter().map(|photo| photo.photo).collect();
    assert_eq!(kept, [Hash::of(b"b"), Hash::of(b"c")]);
    assert_eq!(one.photos.len(), 3);
    let again = one.after(photo("c", "receipt"), T).unwrap();
    assert_eq!(again.photos.len(), 3, "the same photo is in once");
    let back = again.after(Happening::PhotoRemoved(Hash::of(b"c")), T).unwrap();
    assert_eq!(back.current_photos()[0].photo, Hash::of(b"a"));
    let gone = back.after(Happening::PhotoRemoved(Hash::of(b"c")), T);
    assert_eq!(gone, Err(NotPossible::NoSuchPhoto));
    assert!(matches!(back.after(Happening::Step("x y".into()), T), Err(NotPossible::BadStep(_))));
}

#[test]
fn one_shot_is_enough_on_the_quick_path() {
    let quick = session("dashboard_warning", Path::Quick);
    let shot = quick.after(Happening::Photo(Hash::of(b"a"), None), T).unwrap();
    assert!(shot.after(event(), T).is_ok());
    let newer = session("hologram", Path::Guided).after(event(), T);
    assert!(newer.is_ok(), "an unknown flow requires nothing");
}

#[test]
fn thirty_minutes_without_activity_abandon_it_whoever_looks_when() {
    let begun = session("tire", Path::Guided).after(photo("a", "fl_tread"), T + MINUTE).unwrap();
    assert!(begun.seen_at(T + 31 * MINUTE).is_active(), "exactly 30 minutes are allowed");
    let gone = begun.seen_at(T + 31 * MINUTE + 1);
    assert_eq!(
        gone.standing,
        Standing::Abandoned {
            abandoned_at_step: Some("fl_tread".into()),
            reason: Left::Timeout,
            abandoned_at: T + 31 * MINUTE,
        }
    );
    assert_eq!(gone, begun.seen_at(T + 400 * 24 * 60 * MINUTE), "also a year later");
    assert_eq!(gone.duration_ms(), 31 * MINUTE);
    let late = begun.after(photo("b", "fr_tread"), T + 40 * MINUTE);
    assert_eq!(late, Err(NotPossible::NotActive(Box::new(gone.clone()))));
    let resumed = gone.resume(Uuid::from_u128(3), T + 40 * MINUTE).unwrap();
    assert_eq!((&resumed.photos, resumed.resumes), (&begun.photos, Some(begun.id)));
    assert_eq!(resumed.current_step.as_deref(), Some("fl_tread"));
    assert!(resumed.after(photo("b", "fr_tread"), T + 41 * MINUTE).is_ok());
    assert_eq!(begun.resume(Uuid::from_u128(3), T + 2 * MINUTE), Err(NotPossible::NotAbandoned));
}

#[test]
fn leaving_counts_with_no_photo_and_with_all_of_them() {
    let left = |session: Session| {
        session.after(Happening::Left(Left::BackButton), T + MINUTE).unwrap().standing
    };
    let none = Standing::Abandoned {
        abandoned_at_step: None,
        reason: Left::BackButton,
        abandoned_at: T + MINUTE,
    };
    assert_eq!(left(session("document", Path::Guided)), none);
    let whole = session("document", Path::Guided).after(photo("a", "document"), T).unwrap();
    assert!(matches!(left(whole), Standing::Abandoned { .. }));
}

proptest! {
    #[test]
    fn any_course_of_events_keeps_the_laws(
        course in proptest::collection::vec((0..6_u8, 0..4_u8, -10 * MINUTE..40 * MINUTE), 0..30),
        flow in prop_oneof![Just("fuel"), Just("tire"), Just("damage"), Just("unknown")],
    ) {
        let mut now = T;
        let mut one = session(flow, Path::Guided);
        for (what, which, passed) in course {
            now = now.saturating_add(passed);
            let steps = ["receipt", "fl_tread", "overview", "closeup"];
            let step = steps[usize::from(which)].to_string();
            let hash = Hash::of(&[which, what]);
            let happening = match what {
                0 => Happening::Step(step),
                1 | 2 => Happening::Photo(hash, Some(step)),
                3 => Happening::PhotoRemoved(hash),
                4 => event(),
                _ => Happening::Left(Left::Navigation),
            };
            let before = one.clone();
            match one.after(happening, now) {
                Ok(next) => {
                    prop_assert!(before.is_active());
                    prop_assert!(next.last_activity_at >= before.last_activity_at);
                    one = next;
                }
                Err(NotPossible::NotActive(now)) => prop_assert!(!now.is_active()),
                Err(_) => prop_assert_eq!(&one, &before),
            }
            prop_assert!(one.duration_ms() >= 0);
            prop_assert!(one.current_photos().len() <= one.photos.len());
            let seen = one.seen_at(now);
            prop_assert_eq!(&seen.seen_at(i64::MAX), &one.seen_at(i64::MAX), "looking is idempotent");
            let json = serde_json::to_string(&seen).unwrap();
            prop_assert_eq!(serde_json::from_str::<Session>(&json).unwrap(), seen);
        }
    }
}
