//! Photos on events, places and sessions as the real server judges, keeps and tells them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use motomind_protocol::place::CorrectionMethod;
use motomind_protocol::wire::{Change, ChangeKind, Outcome};
use motomind_protocol::{
    Attachment, Event, EventId, Fix, FixSource, Hash, LocationCorrection, OpId, Role, VehicleId,
};
use motomind_tests::captures::{abandoned, attachment, completed};
use motomind_tests::postgres::count_as_tenant;
use motomind_tests::server::{
    Sender, accepted, damage, reading, rejection, restoration, retraction,
};
use motomind_tests::stage::Stage;
use motomind_tests::tus::{Phone, original, photo, preview};
use serde_json::{Value, json};
use uuid::Uuid;

/// What these tests ask of the stage.
trait Stating {
    async fn event(&mut self) -> Event;
    async fn count(&self, query: &str) -> i64;
    async fn json(&self, query: &str) -> Value;
    async fn log(&self) -> Vec<Change>;
}

impl Stating for Stage {
    /// An event that was accepted.
    async fn event(&mut self) -> Event {
        let event = damage(self.vehicle, 1);
        accepted(&self.device.send(event.clone()).await);
        event
    }

    async fn count(&self, query: &str) -> i64 {
        count_as_tenant(&self.database.admin().await, self.tenant, query).await
    }

    async fn json(&self, query: &str) -> Value {
        let admin = self.database.admin().await;
        let setting = format!("SET app.current_tenant_id = '{}'", self.tenant);
        admin.batch_execute(&setting).await.unwrap();
        let wrapped = format!("SELECT to_jsonb(found) FROM ({query}) found");
        admin.query_one(&wrapped, &[]).await.unwrap().get(0)
    }

    /// What another device pulls, each entry readable.
    async fn log(&self) -> Vec<Change> {
        let other = Sender::new(&self.server, self.tenant, Role::Viewer);
        let (changes, _) = other.pull_all().await;
        changes.into_iter().map(|change| serde_json::from_value(change).unwrap()).collect()
    }
}

fn correction(event: &Event, to: (f64, f64)) -> LocationCorrection {
    LocationCorrection::new(event, to, CorrectionMethod::MapPin)
}

fn measured(mut event: Event) -> Event {
    let mut fix = Fix::at(39.7, -104.9, FixSource::Gps);
    fix.accuracy_m = Some(12.0);
    event.fix = Some(fix);
    event
}

#[tokio::test]
async fn a_capture_with_ten_photos_is_taken_whole() {
    let mut stage = Stage::set().await;
    let pictures: Vec<Vec<u8>> = (0..10).map(|n| photo(n, 500)).collect();
    let mut event = damage(stage.vehicle, 1);
    let hashes: Vec<Hash> = pictures.iter().map(|one| Hash::of(one)).collect();
    event.payload.insert("photos".into(), json!(hashes));
    let device = &mut stage.device;
    let mut batch = vec![device.seal(event.clone())];
    for (place, picture) in pictures.iter().enumerate() {
        let mut said = attachment(&event, picture, place as i64 + 1);
        said.caption = Some("a scratch\u{0}".into());
        said.extra.insert("later_key".into(), json!(1.5));
        batch.push(device.state(said));
    }
    batch.push(device.state(completed(event.vehicle_id.0, event.id)));
    let outcomes = device.outcomes(batch.clone()).await;
    let seqs: Vec<u64> = outcomes.iter().map(accepted).collect();
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seqs:?}");
    // Again: nothing new.
    let again = stage.device.outcomes(batch.clone()).await;
    for (outcome, seq) in again.iter().zip(&seqs) {
        assert!(
            matches!(outcome, Outcome::Duplicate { seq: known } if known == seq),
            "{outcome:?}"
        );
    }

    let log = stage.log().await;
    let told: Vec<&Change> = log.iter().filter(|change| seqs.contains(&change.seq)).collect();
    assert_eq!(told.len(), 12);
    for (change, sealed) in told.iter().zip(&batch).skip(1).take(10) {
        let ChangeKind::Photo(stated) = &change.what else { panic!("{change:?}") };
        let operation = sealed.open().unwrap();
        assert_eq!(stated.op_id, Some(sealed.op_id));
        assert_eq!(stated.id, sealed.op_id.0);
        assert_eq!(stated.event_id, Some(event.id));
        assert_eq!(stated.user_id, Some(operation.user_id));
        assert_eq!(stated.device_id, Some(operation.device_id));
        assert_eq!(operation.body, motomind_protocol::Body::Photo(Box::new(stated.said.clone())));
    }
    let ChangeKind::Session(session) = &told[11].what else { panic!() };
    assert_eq!((session.event_id, session.op_id), (None, Some(batch[11].op_id)));

    let snapshot = stage.device.request(reqwest::Method::GET, "/v1/sync/snapshot").send().await;
    assert!(snapshot.unwrap().status().is_success(), "a mirror takes all of it");

    assert_eq!(stage.count("SELECT photo_count FROM timeline_feed").await, 10);
    let facts = stage.json(
        "SELECT bytes, width, taken_at::text, taken_offset_min, position ->> 'source' AS source,
                model, step_id, quality_score, quality_issues, facts -> 'later_key' AS later
           FROM photo_metadata LIMIT 1",
    );
    let expected = json!({
        "bytes": 500, "width": 4000, "taken_at": "2026-03-01 11:58:00.25", "taken_offset_min": -420,
        "source": "exif", "model": "M\u{fffd}1", "step_id": "odometer", "quality_score": 0,
        "quality_issues": ["glare"], "later": {"kept": true}
    });
    assert_eq!(facts.await, expected);
    stage.server.stop().await;
}

#[tokio::test]
async fn an_event_is_there_before_its_photos_and_their_arrival_is_told() {
    let mut stage = Stage::set().await;
    let event = stage.event().await;
    let (picture, small) = (photo(1, 3_000), photo(2, 300));
    let said = stage.device.state(attachment(&event, &picture, 1));
    accepted(&stage.device.outcome(said).await);
    let stored = |log: &[Change]| -> Vec<(Hash, Option<Hash>, u64)> {
        let stored = log.iter().filter_map(|change| match &change.what {
            ChangeKind::PhotoStored(one) => Some((one.photo, one.preview, one.bytes)),
            _ => None,
        });
        stored.collect()
    };
    assert_eq!(stored(&stage.log().await), []);
    assert_eq!(stage.count("SELECT count(*) FROM attached_photos WHERE is_stored").await, 0);

    let phone = Phone::new(&stage.server.url(), stage.tenant, Role::Technician)
        .of_person(&stage.device.token);
    phone.upload(&small, &preview(&small, &picture)).await;
    let (whole, little) = (Hash::of(&picture), Hash::of(&small));
    assert_eq!(stored(&stage.log().await), [(whole, Some(little), 300)]);
    phone.upload(&picture, &original(&picture)).await;
    let both = [(whole, Some(little), 300), (whole, None, 3_000)];
    assert_eq!(stored(&stage.log().await), both);
    assert_eq!(stage.count("SELECT count(*) FROM attached_photos WHERE is_stored").await, 1);
    // What is there is not told again, whoever brings it.
    let other = Phone::new(&stage.server.url(), stage.tenant, Role::Technician);
    other.upload(&picture, &original(&picture)).await;
    phone.upload(&small, &preview(&small, &picture)).await;
    assert_eq!(stored(&stage.log().await), both);
    // Bytes that are there become the preview of another photo: that is news.
    let second = photo(3, 900);
    other.create(small.len(), &preview(&small, &second)).await;
    assert_eq!(stored(&stage.log().await).last(), Some(&(Hash::of(&second), Some(little), 300)));
    stage.server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_kept() {
    let mut stage = Stage::set().await;
    let event = stage.event().await;
    let (_, other_vehicle) = stage.database.tenant_with_vehicle().await;
    let picture = photo(1, 300);
    let good = attachment(&event, &picture, 1);
    let device = &mut stage.device;
    let act = retraction(stage.vehicle, event.id.0);
    let act_id = act.id;
    accepted(&device.send(act).await);
    accepted(&device.send(restoration(stage.vehicle, event.id.0)).await);

    let cases: Vec<(Attachment, &str, Option<&str>)> = vec![
        (Attachment { sequence: 0, ..good.clone() }, "out_of_range", Some("sequence")),
        (Attachment { facts: None, ..good.clone() }, "missing", Some("facts")),
        (
            Attachment { vehicle_id: VehicleId(other_vehicle), ..good.clone() },
            "unknown_vehicle",
            Some("vehicle_id"),
        ),
        (Attachment { event_id: act_id, ..good.clone() }, "not_correctable", Some("event_id")),
    ];
    for (said, code, field) in cases {
        let sealed = device.state(said);
        assert_eq!(rejection(&device.outcome(sealed).await), (code, field));
    }
    let mut far = correction(&measured(event.clone()), (39.8, -104.9));
    far.distance_m = far.distance_m.map(|m| m + 1.0);
    let sealed = device.state(far);
    assert_eq!(rejection(&device.outcome(sealed).await), ("out_of_range", Some("distance_m")));
    let active = motomind_protocol::flow::Session::begin(
        Uuid::new_v4(),
        event.vehicle_id,
        "fuel",
        motomind_protocol::flow::Path::Quick,
        1,
    );
    let sealed = device.state(active);
    assert_eq!(rejection(&device.outcome(sealed).await), ("out_of_range", Some("standing")));

    let mut viewer = Sender::new(&stage.server, stage.tenant, Role::Viewer);
    let sealed = viewer.state(good.clone());
    assert_eq!(rejection(&viewer.outcome(sealed).await), ("forbidden", None));
    assert_eq!(stage.count("SELECT count(*) FROM rejected_operations").await, 7);
    assert_eq!(stage.count("SELECT count(*) FROM event_photos").await, 0);

    // A second vehicle of the tenant: its event is not this one's.
    let admin = stage.database.admin().await;
    let second = Uuid::new_v4();
    let make =
        format!("INSERT INTO vehicles (tenant_id, id) VALUES ('{}', '{second}')", stage.tenant);
    admin.batch_execute(&make).await.unwrap();
    let said = Attachment { vehicle_id: VehicleId(second), ..good.clone() };
    let device = &mut stage.device;
    let sealed = device.state(said);
    assert_eq!(rejection(&device.outcome(sealed).await), ("unknown_vehicle", Some("event_id")));
    // What failed for its facts is taken once they are known.
    let bare = device.state(Attachment { facts: None, ..good.clone() });
    assert_eq!(rejection(&device.outcome(bare.clone()).await).0, "missing");
    let told = device.state(good);
    accepted(&device.outcome(told).await);
    accepted(&device.outcome(bare).await);
    stage.server.stop().await;
}

#[tokio::test]
async fn statements_wait_for_their_event_and_follow_what_took_its_place() {
    let mut stage = Stage::set().await;
    let vehicle = stage.vehicle;
    // Another tenant's event is one that nobody has seen.
    let (foreign_tenant, foreign_vehicle) = stage.database.tenant_with_vehicle().await;
    let mut foreigner = Sender::new(&stage.server, foreign_tenant, Role::Manager);
    let theirs = damage(foreign_vehicle, 1);
    accepted(&foreigner.send(theirs.clone()).await);
    let device = &mut stage.device;
    let mut said = attachment(&theirs, &photo(1, 200), 1);
    said.vehicle_id = VehicleId(vehicle);
    let sealed = device.state(said);
    let waits = |outcome: Outcome, event: EventId| {
        assert!(matches!(outcome, Outcome::Waiting { parent } if parent == event), "{outcome:?}");
    };
    waits(device.outcome(sealed).await, theirs.id);

    // Not there yet, refused, then amended.
    accepted(&device.send(reading(vehicle, 10, 1_000)).await);
    let refused = reading(vehicle, 20, 10);
    let event = device.seal(refused.clone());
    let picture = device.state(attachment(&refused, &photo(2, 200), 1));
    let place = device.state(correction(&refused, (39.7, -104.9)));
    waits(device.outcome(picture.clone()).await, refused.id);
    assert_eq!(stage.count("SELECT count(*) FROM rejected_operations").await, 0, "no trace");
    let device = &mut stage.device;
    let outcomes = device.outcomes(vec![event, picture.clone(), place.clone()]).await;
    assert_eq!(rejection(&outcomes[0]).0, "odometer_out_of_order");
    waits(outcomes[1].clone(), refused.id);
    waits(outcomes[2].clone(), refused.id);
    let amended = reading(vehicle, 20, 1_010);
    let amendment = device.superseding(amended.clone(), &[OpId::from(refused.id)]);
    let outcomes = device.outcomes(vec![amendment, picture.clone(), place]).await;
    outcomes.iter().for_each(|outcome| {
        accepted(outcome);
    });
    let log = stage.log().await;
    let newest = log.iter().rfind(|change| matches!(change.what, ChangeKind::Photo(_)));
    let ChangeKind::Photo(stated) = &newest.unwrap().what else { unreachable!() };
    assert_eq!(stated.event_id, Some(amended.id), "it follows");
    assert_eq!(stated.said.event_id, refused.id, "as it was said");

    // The event comes after its photo was heard of, and later a correction takes its place.
    let event = damage(vehicle, 3);
    let device = &mut stage.device;
    let sealed = device.seal(event.clone());
    let picture = device.state(attachment(&event, &photo(3, 200), 1));
    waits(device.outcome(picture.clone()).await, event.id);
    accepted(&device.outcome(sealed).await);
    accepted(&device.outcome(picture).await);
    let mut corrected = damage(vehicle, 4);
    corrected.corrects = Some(event.id);
    accepted(&device.send(corrected.clone()).await);
    let photos = format!("SELECT photo_count FROM timeline_feed WHERE id = '{}'", corrected.id);
    assert_eq!(stage.count(&photos).await, 1, "a correction keeps the photos");
    // A retracted event takes photos all the same.
    let device = &mut stage.device;
    accepted(&device.send(retraction(vehicle, event.id.0)).await);
    let late = device.state(attachment(&corrected, &photo(4, 200), 2));
    accepted(&device.outcome(late).await);

    // Discarded before it arrived: there is nothing to be about.
    let gone = damage(vehicle, 5);
    let _ = device.seal(gone.clone());
    let picture = device.state(attachment(&gone, &photo(5, 200), 1));
    let discard = device.superseding(retraction(vehicle, gone.id.0), &[OpId::from(gone.id)]);
    let outcomes = device.outcomes(vec![discard, picture]).await;
    accepted(&outcomes[0]);
    assert_eq!(rejection(&outcomes[1]), ("parent_rejected", Some("event_id")));
    stage.server.stop().await;
}

#[tokio::test]
async fn who_takes_a_photo_off_and_what_an_unsent_statement_leaves() {
    let mut stage = Stage::set().await;
    let event = stage.event().await;
    let picture = photo(1, 200);
    let said = attachment(&event, &picture, 1);
    let sealed = stage.device.state(said.clone());
    accepted(&stage.device.outcome(sealed).await);
    let off =
        Attachment { removed: true, facts: None, reason: Some("blurred".into()), ..said.clone() };

    let mut other = Sender::new(&stage.server, stage.tenant, Role::Technician);
    // Whoever describes it anew has not attached it.
    let described = Attachment { caption: Some("better words".into()), ..said.clone() };
    let sealed = other.state(described);
    accepted(&other.outcome(sealed).await);
    let sealed = other.state(off.clone());
    assert_eq!(rejection(&other.outcome(sealed).await), ("forbidden", None));
    let mut manager = Sender::new(&stage.server, stage.tenant, Role::Manager);
    let sealed = manager.state(off.clone());
    accepted(&manager.outcome(sealed).await);
    assert_eq!(stage.count("SELECT photo_count FROM timeline_feed").await, 0);
    let device = &mut stage.device;
    let back = device.state(said.clone());
    let off = device.state(off.clone());
    let outcomes = device.outcomes(vec![back, off]).await;
    outcomes.iter().for_each(|outcome| {
        accepted(outcome);
    });
    assert_eq!(stage.count("SELECT count(*) FROM event_photos").await, 5, "all are kept");

    // Taken back before it was ever sent: nothing is stated, and what was sealed never comes.
    let device = &mut stage.device;
    let unsent = device.state(attachment(&event, &photo(2, 200), 2));
    let mut off = attachment(&event, &photo(2, 200), 2);
    (off.removed, off.facts) = (true, None);
    let discard = device.restate(off, &[unsent.op_id]);
    let seq = accepted(&device.outcome(discard.clone()).await);
    assert!(matches!(device.outcome(discard).await, Outcome::Duplicate { .. }));
    assert_eq!(rejection(&device.outcome(unsent.clone()).await).0, "superseded");
    let log = stage.log().await;
    let entry = log.iter().find(|change| change.seq == seq).unwrap();
    assert!(matches!(&entry.what, ChangeKind::Closed { op_id, .. } if *op_id == unsent.op_id));
    assert_eq!(stage.count("SELECT count(*) FROM event_photos").await, 5);

    // An amendment of what had arrived is simply the newer one.
    let device = &mut stage.device;
    let first = device.state(attachment(&event, &photo(3, 200), 3));
    accepted(&device.outcome(first.clone()).await);
    let mut second = attachment(&event, &photo(3, 200), 4);
    second.facts = None;
    let second = device.restate(second, &[first.op_id]);
    accepted(&device.outcome(second).await);
    assert_eq!(stage.count("SELECT sequence::bigint FROM attached_photos").await, 4);
    stage.server.stop().await;
}

#[tokio::test]
async fn two_people_say_where_it_was() {
    let mut stage = Stage::set().await;
    let event = measured(damage(stage.vehicle, 1));
    accepted(&stage.device.send(event.clone()).await);
    let mut other = Sender::new(&stage.server, stage.tenant, Role::Technician);
    let device = &mut stage.device;
    let first = device.state(correction(&event, (39.701, -104.9)));
    let mut said = correction(&event, (39.703, -104.9));
    (said.address, said.method) = (Some("Bay 3".into()), CorrectionMethod::ManualEntry);
    let second = other.state(said.clone());
    accepted(&other.outcome(second).await);
    accepted(&device.outcome(first).await);
    // The later sequence counts, whoever sealed first; both are kept.
    let place = "SELECT latitude, place_from, address, accuracy_m FROM timeline_feed";
    assert_eq!(
        stage.json(place).await,
        json!({"latitude": 39.701, "place_from": "correction", "address": null, "accuracy_m": null})
    );
    let stats = "SELECT corrections, measured, round(avg_m) AS avg_m, round(median_m) AS median_m,
                        round(min_m) AS min_m, round(max_m) AS max_m
                   FROM location_correction_stats WHERE method IS NULL";
    let expected = json!({"corrections": 2, "measured": 2, "avg_m": 222, "median_m": 222,
                          "min_m": 111, "max_m": 334});
    assert_eq!(stage.json(stats).await, expected);
    said.withdrawn = true;
    let sealed = other.state(said);
    accepted(&other.outcome(sealed).await);
    assert_eq!(
        stage.json(place).await,
        json!({"latitude": 39.7, "place_from": "fix", "address": null, "accuracy_m": 12})
    );
    assert_eq!(stage.count("SELECT count(*) FROM location_corrections").await, 3);
    let kinds = |change: &Change| matches!(change.what, ChangeKind::LocationCorrection(_));
    assert_eq!(stage.log().await.into_iter().filter(kinds).count(), 3);
    stage.server.stop().await;
}

#[tokio::test]
async fn a_session_told_again_replaces_what_was_told() {
    let mut stage = Stage::set().await;
    let device = &mut stage.device;
    let session = abandoned(stage.vehicle, Hash::of(b"x"));
    let mut fuller = session.clone();
    fuller.extra.insert("later_key".into(), json!(true));
    let (first, second) = (device.state(session.clone()), device.state(fuller));
    let outcomes = device.outcomes(vec![first, second]).await;
    assert_eq!(accepted(&outcomes[1]), accepted(&outcomes[0]) + 1);
    let mut other = Sender::new(&stage.server, stage.tenant, Role::Technician);
    let sealed = other.state(session.clone());
    assert_eq!(rejection(&other.outcome(sealed).await), ("record_id_taken", Some("id")));
    let told: Vec<Change> = stage.log().await;
    let told: Vec<_> = told
        .iter()
        .filter_map(|change| match &change.what {
            ChangeKind::Session(stated) => Some(&stated.said),
            _ => None,
        })
        .collect();
    assert_eq!(told.len(), 2);
    assert_eq!((told[0], told[1].extra.contains_key("later_key")), (&session, true));

    // A clock that was never set does not stop anything.
    let mut odd = completed(stage.vehicle, EventId(Uuid::new_v4()));
    odd.started_at = i64::MIN;
    let device = &mut stage.device;
    let sealed = device.state(odd);
    accepted(&device.outcome(sealed).await);
    let row = "SELECT flow, sessions, completed, abandoned, without_photos
                 FROM capture_session_analytics WHERE flow = 'tire'";
    let expected =
        json!({"flow": "tire", "sessions": 1, "completed": 0, "abandoned": 1, "without_photos": 0});
    assert_eq!(stage.json(row).await, expected);
    let longest = "SELECT max(duration_ms) FROM capture_sessions";
    assert_eq!(stage.count(longest).await, i64::MAX);
    stage.server.stop().await;
}

#[tokio::test]
async fn one_statement_that_the_database_refuses_does_not_hold_up_the_others() {
    let mut stage = Stage::set().await;
    let event = stage.event().await;
    let admin = stage.database.admin().await;
    let fault = "ALTER TABLE event_photos ADD CONSTRAINT fault CHECK (caption <> 'poison')";
    admin.batch_execute(fault).await.unwrap();
    let device = &mut stage.device;
    let mut batch = Vec::new();
    for place in 1..=3 {
        let mut said = attachment(&event, &photo(place, 200), place as i64);
        said.caption = (place == 2).then(|| "poison".into());
        batch.push(device.state(said));
    }
    let outcomes = device.outcomes(batch.clone()).await;
    accepted(&outcomes[0]);
    assert_eq!(rejection(&outcomes[1]).0, "server_fault");
    accepted(&outcomes[2]);
    admin.batch_execute("ALTER TABLE event_photos DROP CONSTRAINT fault").await.unwrap();
    let outcomes = device.outcomes(batch).await;
    accepted(&outcomes[1]);
    assert_eq!(stage.count("SELECT photo_count FROM timeline_feed").await, 3);
    stage.server.stop().await;
}

#[tokio::test]
async fn whoever_puts_a_photo_on_an_event_first_says_what_it_is() {
    let mut stage = Stage::set().await;
    let (one, two) = (damage(stage.vehicle, 1), damage(stage.vehicle, 2));
    let picture = photo(1, 500);
    let mut colleague = Sender::new(&stage.server, stage.tenant, Role::Technician);
    for event in [&one, &two] {
        accepted(&stage.device.send(event.clone()).await);
    }
    let own = attachment(&one, &picture, 1);
    let sealed = stage.device.state(own.clone());
    accepted(&stage.device.outcome(sealed).await);
    // Another person says something else of the same bytes, on another event and on this one.
    let told = |event: &Event| {
        let mut said = attachment(event, &picture, 2);
        let facts = said.facts.as_mut().unwrap();
        (facts.make, facts.size, facts.position) = (Some("Other".into()), 9, None);
        said
    };
    for event in [&two, &one] {
        let sealed = colleague.state(told(event));
        accepted(&colleague.outcome(sealed).await);
    }
    let make = "SELECT make, bytes FROM photo_metadata";
    assert_eq!(stage.json(make).await, json!({"make": "Maker", "bytes": 500}));
    let all = "SELECT count(*) FROM photo_facts_told";
    assert_eq!(stage.count(all).await, 3, "what others said is kept");
    assert_eq!(stage.count(&format!("{all} WHERE counts")).await, 1);
    let kept = "SELECT facts -> 'make' AS make FROM photo_facts_told WHERE NOT counts LIMIT 1";
    assert_eq!(stage.json(kept).await, json!({"make": "Other"}));
    let sizes = "SELECT count(*) FROM attached_photos WHERE bytes = 500";
    assert_eq!(stage.count(sizes).await, 2, "on whatever event");
    // A device shows the same.
    let phone = stage.phone().await;
    for event in [&one, &two] {
        let shown = phone.device.lock().unwrap().photos(event.id).unwrap();
        assert_eq!(shown[0].facts.as_ref(), own.facts.as_deref());
    }
    stage.server.stop().await;
}

#[tokio::test]
async fn what_a_sql_client_wrote_of_a_photo_counts_once_a_statement_tells_it() {
    let mut stage = Stage::set().await;
    let event = stage.event().await;
    let (own, theirs) = (photo(1, 500), photo(2, 600));
    let client = stage.database.connect(motomind_tests::postgres::role::CLIENT).await;
    let insert = format!(
        "INSERT INTO photo_metadata (sha256, bytes, mime, make)
         VALUES ('{}', 5, 'image/png', 'Theirs'), ('{}', 6, 'image/png', 'Theirs')",
        Hash::of(&own),
        Hash::of(&theirs)
    );
    motomind_tests::postgres::as_tenant(&client, stage.tenant, &insert).await.unwrap();
    // No device has heard of it: it is not known yet what the photo is.
    let mut bare = attachment(&event, &own, 1);
    bare.facts = None;
    let sealed = stage.device.state(bare);
    assert_eq!(rejection(&stage.device.outcome(sealed).await).0, "missing");
    let said = attachment(&event, &own, 1);
    let sealed = stage.device.state(said.clone());
    accepted(&stage.device.outcome(sealed).await);
    let state = format!(
        "INSERT INTO event_photos (event_id, photo, sequence) VALUES ('{}', '{}', 2)",
        event.id,
        Hash::of(&theirs)
    );
    motomind_tests::postgres::as_tenant(&client, stage.tenant, &state).await.unwrap();
    let sealed = stage.device.state(attachment(&event, &theirs, 3));
    accepted(&stage.device.outcome(sealed).await);

    let phone = stage.phone().await;
    let shown = phone.device.lock().unwrap().photos(event.id).unwrap();
    assert_eq!(shown[0].facts.as_ref(), said.facts.as_deref());
    assert_eq!(shown[1].facts.as_ref().unwrap().make.as_deref(), Some("Theirs"));
    for (at, one) in shown.iter().enumerate() {
        let facts = one.facts.as_ref().unwrap();
        let sql = format!("SELECT mime, bytes FROM attached_photos WHERE photo = '{}'", one.photo);
        let expected = json!({"mime": facts.mime.as_str(), "bytes": facts.size});
        assert_eq!(stage.json(&sql).await, expected, "photo {at}");
        let counting = format!(
            "SELECT facts -> 'make' AS make FROM photo_facts_told WHERE counts AND photo = '{}'",
            one.photo
        );
        assert_eq!(stage.json(&counting).await, json!({"make": facts.make}));
    }
    stage.server.stop().await;
}
