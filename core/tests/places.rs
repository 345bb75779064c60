//! Where events happened: what was measured is kept, what people say is shown, and everyone shows
//! the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "photos/field.rs"]
mod field;

use field::*;
use motomind_core::protocol::place::{CorrectionMethod, Extraction, PlaceFrom};
use motomind_core::protocol::position::Rule;
use motomind_core::protocol::wire::{Outcome, Rejection};
use motomind_core::protocol::{EventId, Fix, FixSource, OpId, OpState, Operation, VehicleId, code};
use motomind_core::*;
use proptest::prelude::*;

fn pin(latitude: f64, longitude: f64) -> LocationSaid {
    LocationSaid {
        latitude,
        longitude,
        method: CorrectionMethod::MapPin,
        address: Some("4th floor".into()),
        reason: Some("garage".into()),
        extraction: Some(Extraction {
            method: "geocoding".into(),
            confidence: Some("high".into()),
            address: None,
            extra: serde_json::Map::new(),
        }),
    }
}

fn at(field: &Field, event: EventId) -> Option<(f64, f64)> {
    let listed = field.entry(event).place;
    let place = field.device.place(event).unwrap().unwrap().place;
    assert_eq!(listed, place, "list and view agree");
    place.map(|place| (place.latitude, place.longitude))
}

fn correct(field: &mut Field, event: EventId, latitude: f64) -> OpId {
    let now = field.tick();
    field.device.correct_location(event, pin(latitude, -104.0), now).unwrap().op_id
}

fn measured_event(field: &mut Field) -> EventId {
    let mut event = capture("fuel");
    event.fix = Some(Fix { accuracy_m: Some(300.0), ..Fix::at(39.75, -105.0, FixSource::Gps) });
    let now = field.tick();
    field.device.capture(event, now).unwrap().op_id.into()
}

#[test]
fn the_corrected_place_is_shown_and_the_measured_one_kept() {
    let mut field = Field::new();
    let mut office = Office::default();
    let event = measured_event(&mut field);
    assert_eq!(at(&field, event), Some((39.75, -105.0)));
    let op_id = correct(&mut field, event, 39.752);
    assert_eq!(at(&field, event), Some((39.752, -104.0)));
    let item = field.pending().into_iter().find(|item| item.op_id == op_id).unwrap();
    let said = item.location.unwrap();
    assert!((said.distance_m.unwrap() - 85_497.0).abs() < 1_000.0, "{said:?}");
    assert_eq!(said.measured.unwrap().accuracy_m, Some(300.0));
    field.sync(&mut office);
    field.reopen_without_mirror();
    field.sync(&mut office);
    assert_eq!(at(&field, event), Some((39.752, -104.0)));
    let known = field.device.place(event).unwrap().unwrap();
    assert_eq!(known.measured.unwrap().latitude, 39.75);
    let place = known.place.unwrap();
    assert_eq!((place.from, place.address.as_deref()), (PlaceFrom::Correction, Some("4th floor")));
    assert!(known.corrections[0].counts && known.corrections[0].state == OpState::Accepted);
    let now = field.tick();
    field.device.withdraw_location(event, "no", now).unwrap();
    assert_eq!(at(&field, event), Some((39.75, -105.0)));
    let twice = field.device.withdraw_location(event, "no", now);
    assert!(matches!(twice, Err(CaptureError::UnknownOperation)));
    field.sync(&mut office);
    assert_eq!(at(&field, event), Some((39.75, -105.0)));
    let bad = field.device.correct_location(event, pin(91.0, 0.0), now);
    assert!(matches!(bad, Err(CaptureError::Invalid(_))));
}

#[test]
fn a_correction_is_taken_back_before_and_after_it_was_sent() {
    let mut field = Field::new();
    let mut office = Office::default();
    let event = measured_event(&mut field);
    field.sync(&mut office);
    let first = correct(&mut field, event, 1.0);
    let now = field.tick();
    field.device.discard(first, "slip", now).unwrap();
    assert_eq!(at(&field, event), Some((39.75, -105.0)));
    let entries = office.log.len();
    field.sync(&mut office);
    assert_eq!(office.log.len(), entries + 1, "closed, and nothing else");
    assert_eq!(at(&field, event), Some((39.75, -105.0)));
    correct(&mut field, event, 2.0);
    field.sync(&mut office);
    let wrong = correct(&mut field, event, 3.0);
    field.sync(&mut office);
    let now = field.tick();
    field.device.discard(wrong, "slip", now).unwrap();
    assert_eq!(at(&field, event), Some((2.0, -104.0)));
    field.sync(&mut office);
    assert_eq!(at(&field, event), Some((2.0, -104.0)));
    assert_eq!(field.pending(), []);
}

/// Where it was taken back says nothing of where it happened, also not on the device that did so.
#[test]
fn an_event_that_was_taken_back_happened_where_it_did_and_not_where_it_was_taken_back() {
    let mut field = Field::new();
    let mut office = Office::default();
    let now = field.tick();
    let event = EventId::from(field.device.capture(capture("fuel"), now).unwrap().op_id);
    // It arrives, and the answer does not.
    let sent = field.push_with(&mut office, &|_| Some(Outcome::Unknown));
    office.take(&sent[0]);
    let mut retraction = capture("retraction");
    retraction.corrects = Some(event);
    retraction.fix = Some(Fix::at(1.0, 2.0, FixSource::Gps));
    let now = field.tick();
    field.device.amend(event.into(), retraction, now).unwrap();
    field.sync(&mut office);
    assert_eq!(field.pending(), []);
    assert!(field.entry(event).hidden);
    assert_eq!(at(&field, event), None);
}

/// As of a vehicle that is gone: what was to take its place would be refused, too, for ever.
#[test]
fn what_takes_back_a_refused_correction_and_is_refused_itself_can_be_given_up() {
    let mut field = Field::new();
    let mut office = Office::default();
    let event = measured_event(&mut field);
    correct(&mut field, event, 39.7);
    field.sync(&mut office);
    let mut refused = correct(&mut field, event, 1.0);
    for _ in 0..2 {
        field.push_with(&mut office, &|_| {
            let rejection = Rejection::new(code::UNKNOWN_VEHICLE, "it is gone");
            Some(Outcome::Rejected(rejection.field("vehicle_id")))
        });
        let now = field.tick();
        refused = field.device.discard(refused, "no", now).unwrap().op_id;
    }
    assert_eq!(field.pending(), []);
    field.sync(&mut office);
    assert_eq!(at(&field, event), Some((39.7, -104.0)));
}

/// The event had arrived, and nobody knew; the amendment of it cannot be taken.
#[test]
fn an_amendment_that_was_refused_and_taken_back_leaves_the_event_its_photos_and_its_place() {
    let mut field = Field::new();
    let mut office = Office::default();
    let mut first = capture("fuel");
    first.fix = Some(Fix { accuracy_m: Some(5.0), ..Fix::at(39.75, -105.0, FixSource::Gps) });
    let event = field.with_photos(first, &["bare.jpg"]);
    for operation in field.push_with(&mut office, &|_| Some(Outcome::Unknown)) {
        office.take(&operation);
    }
    let mut other = capture("fuel");
    other.vehicle_id = VehicleId(uuid::Uuid::from_u128(78));
    let now = field.tick();
    let amendment = field.device.amend(event.into(), other, now).unwrap().op_id;
    let rejection = Rejection::new(code::UNKNOWN_VEHICLE, "another vehicle's").field("corrects");
    let refuses = |operation: &Operation| {
        operation.event()?.is_retraction().then(|| Outcome::Rejected(rejection.clone())).or_else(
            || (operation.op_id == amendment).then(|| Outcome::Rejected(rejection.clone())),
        )
    };
    field.push_with(&mut office, &refuses);
    field.pull(&mut office);
    let now = field.tick();
    let retraction = field.device.discard(amendment, "it was this one", now).unwrap().op_id;
    let item = field.pending().into_iter().find(|item| item.op_id == retraction).unwrap();
    assert_eq!(item.event.unwrap().vehicle_id, truck(), "where it had arrived");
    field.now += 60 * 60 * 1_000;
    for _ in 0..3 {
        field.push_with(&mut office, &refuses);
    }
    let item = field.pending().into_iter().find(|item| item.op_id == retraction).unwrap();
    assert_eq!(item.state, OpState::Rejected);
    let now = field.tick();
    field.device.discard(retraction, "let it stand", now).unwrap();
    field.sync(&mut office);
    assert_eq!(field.pending(), []);
    assert!(!field.entry(event).hidden);
    assert_eq!(field.device.photos(event).unwrap().len(), 1);
    assert_eq!(at(&field, event), Some((39.75, -105.0)));
}

#[test]
fn a_photo_and_a_fix_that_disagree_are_both_kept_and_the_person_is_asked() {
    let mut field = Field::new();
    let mut event = capture("fuel");
    event.fix = Some(Fix::at(41.0, -105.0, FixSource::Gps));
    let event = field.with_photos(event, &["north_west.jpg"]);
    let known = field.device.place(event).unwrap().unwrap();
    let decision = known.decision.unwrap();
    assert_eq!((decision.rule, decision.ask), (Rule::Conflict, true));
    let record = field.entry(event).record().unwrap().event;
    assert!(record.fix.is_some() && record.photo_fix.is_some());
    assert_eq!(known.place.unwrap().from, PlaceFrom::Fix);
}

#[test]
fn a_vehicle_is_where_its_newest_event_says() {
    let mut field = Field::new();
    let now = field.tick();
    let fields = serde_json::json!({"year": 2020, "make": "Ford", "model": "F-150"});
    let serde_json::Value::Object(fields) = fields else { panic!() };
    let record = RecordRef::new("vehicles", truck().0);
    field.device.create_as(&record, fields, now).unwrap();
    let place = |field: &Field| {
        let entry = field.device.vehicle(truck()).unwrap().unwrap();
        entry.last_place.map(|place| place.latitude)
    };
    assert_eq!(place(&field), None);
    let event = measured_event(&mut field);
    assert_eq!(place(&field), Some(39.75));
    correct(&mut field, event, 12.0);
    assert_eq!(place(&field), Some(12.0));
    let mut later = capture("odometer");
    (later.miles, later.occurred_at) = (Some(5), NOW + 60_000);
    let now = field.tick();
    field.device.capture(later, now).unwrap();
    assert_eq!(place(&field), Some(12.0), "the newest that says where");
}

/// What happens on two devices that share an event.
#[derive(Clone, Copy, Debug)]
enum Act {
    Correct(u8),
    Withdraw,
    Describe(u8),
    Remove,
    Attach,
    Push,
    Pull,
    Reopen,
}

fn act() -> impl Strategy<Value = (bool, Act)> {
    let act = prop_oneof![
        3 => (1..80u8).prop_map(Act::Correct),
        1 => Just(Act::Withdraw),
        2 => any::<u8>().prop_map(Act::Describe),
        1 => Just(Act::Remove),
        1 => Just(Act::Attach),
        3 => Just(Act::Push),
        3 => Just(Act::Pull),
        1 => Just(Act::Reopen),
    ];
    (any::<bool>(), act)
}

fn photo() -> protocol::Hash {
    protocol::Hash::of(&file("bare.jpg"))
}

fn perform(field: &mut Field, office: &mut Office, event: EventId, act: Act) {
    let now = field.tick();
    let device = &mut field.device;
    // What is not possible at the moment is no matter here.
    match act {
        Act::Correct(latitude) => drop(correct(field, event, latitude.into())),
        Act::Withdraw => drop(device.withdraw_location(event, "no", now)),
        Act::Describe(words) => {
            let caption = Some(words.to_string());
            let edit = PhotoEdit { caption, is_primary: Some(words > 99), ..PhotoEdit::default() };
            drop(device.describe_photo(event, photo(), edit, now));
        }
        Act::Remove => drop(device.remove_photo(event, photo(), "no", now)),
        Act::Attach => {
            drop(device.attach_photo(event, photo(), &PhotoMeta::default(), now));
        }
        Act::Push => drop(field.push(office)),
        Act::Pull => field.pull(office),
        Act::Reopen => field.reopen(),
    }
}

/// What a person sees of an event, without what differs between devices.
fn seen(field: &Field, event: EventId) -> (Option<(f64, f64)>, u64, Vec<String>) {
    let photos = field.device.photos(event).unwrap();
    let words = photos.iter().map(|photo| {
        format!("{} {} {:?} {}", photo.photo, photo.sequence, photo.caption, photo.is_primary)
    });
    (at(field, event), field.entry(event).photos, words.collect())
}

/// As many as `PROPTEST_CASES` says, a few in every test run.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").map_or(40, |text| text.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn two_devices_come_to_the_same_in_any_order_of_learning(
        acts in prop::collection::vec(act(), 1..24)
    ) {
        let (mut one, mut other, mut office) = (Field::of(2), Field::of(3), Office::default());
        let event = one.with_photos(capture("fuel"), &["bare.jpg", "north_west.jpg"]);
        one.sync(&mut office);
        other.sync(&mut office);
        for (first, act) in acts {
            let field = if first { &mut one } else { &mut other };
            perform(field, &mut office, event, act);
            seen(field, event);
        }
        one.sync(&mut office);
        other.sync(&mut office);
        one.sync(&mut office);
        prop_assert_eq!(one.pending(), vec![]);
        prop_assert_eq!(seen(&one, event), seen(&other, event));
        let before = seen(&one, event);
        one.reopen_without_mirror();
        one.sync(&mut office);
        prop_assert_eq!(seen(&one, event), before);
    }
}
