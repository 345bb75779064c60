//! Postgres' second guard of the odometer rule and its view of corrections, against protocol's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use std::collections::BTreeMap;

use motomind_protocol::effective::{Act, Member, effective, is_retracted, may_act};
use motomind_protocol::odometer::{judge, judge_timeline};
use motomind_protocol::{EventId, Reading};
use motomind_tests::dice::Dice;
use motomind_tests::postgres::{Database, Postgres, constraint, count, role};
use tokio_postgres::Client;
use uuid::Uuid;

/// One reading as another SQL client writes it. `at`: minutes.
struct Offer {
    id: Uuid,
    at: i64,
    miles: Option<i64>,
    payload: &'static str,
    corrects: Option<Uuid>,
    kind: &'static str,
}

impl Offer {
    fn reading(id: Uuid, at: i64, miles: i64) -> Self {
        Self { id, at, miles: Some(miles), payload: "{}", corrects: None, kind: "odometer" }
    }

    fn correcting(mut self, id: Uuid) -> Self {
        self.corrects = Some(id);
        self
    }

    fn retraction(of: Uuid) -> Self {
        Self {
            id: Uuid::new_v4(),
            at: 0,
            miles: None,
            payload: "{}",
            corrects: Some(of),
            kind: "retraction",
        }
    }

    fn restoration(of: Uuid) -> Self {
        Self { kind: "restoration", ..Self::retraction(of) }
    }

    fn with(mut self, payload: &'static str) -> Self {
        self.payload = payload;
        self
    }

    fn values(&self, tenant: Uuid, vehicle: Uuid) -> String {
        let miles = self.miles.map_or("NULL".into(), |miles| miles.to_string());
        let corrects = self.corrects.map_or("NULL".into(), |id| format!("'{id}'"));
        format!(
            "('{tenant}', '{}', '{vehicle}', '{}', '2025-01-01Z'::timestamptz + {} * interval '1 minute',
              '2025-01-01', {miles}, '{}', {corrects})",
            self.id, self.kind, self.at, self.payload
        )
    }
}

async fn write(
    client: &Client,
    tenant: Uuid,
    vehicle: Uuid,
    offers: &[Offer],
) -> Result<(), tokio_postgres::Error> {
    let values: Vec<String> = offers.iter().map(|offer| offer.values(tenant, vehicle)).collect();
    client
        .batch_execute(&format!(
            "INSERT INTO vehicle_events (tenant_id, id, vehicle_id, type, occurred_at, date, miles, payload, corrects)
             VALUES {}",
            values.join(", ")
        ))
        .await
}

async fn flush(client: &Client, tenant: Uuid, vehicle: Uuid, pending: &mut Vec<Offer>) {
    if !pending.is_empty() {
        write(client, tenant, vehicle, &std::mem::take(pending)).await.unwrap();
    }
}

async fn fresh() -> (Database, Client, Uuid, Uuid) {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let client = database.connect(role::BYPASS).await;
    (database, client, tenant, vehicle)
}

/// Law: offered one by one, Postgres takes exactly the readings that `protocol::odometer::judge`
/// takes.
#[tokio::test]
async fn the_odometer_guard_agrees_with_protocol() {
    let (_database, client, tenant, vehicle) = fresh().await;
    let mut dice = Dice::new(2);
    let mut timeline: Vec<Reading> = Vec::new();
    let mut refused = 0;
    for seq in 0..400_u64 {
        let (at, miles) = (dice.between(0, 60), dice.between(0, 100));
        let starts_segment = dice.permille(100);
        let offer = Offer::reading(Uuid::new_v4(), at, miles);
        let offer =
            if starts_segment { offer.with(r#"{"odometer_replaced": true}"#) } else { offer };
        let new = Reading { event_id: EventId(offer.id), at, seq, miles, starts_segment };
        let place = timeline.partition_point(|reading| reading.order() < new.order());
        let before = place.checked_sub(1).map(|index| timeline[index]);
        let first = judge(&new, before.as_ref(), timeline.get(place));
        let second = write(&client, tenant, vehicle, &[offer]).await;
        assert_eq!(first.is_ok(), second.is_ok(), "{new:?} in {timeline:?}");
        match (first, second) {
            (Ok(()), _) => timeline.insert(place, new),
            (Err(out), Err(error)) => {
                refused += 1;
                assert_eq!(constraint(&error), "vehicle_events_odometer");
                let neighbour = error.as_db_error().unwrap().detail().unwrap().to_string();
                assert_eq!(neighbour, out.neighbour().event_id.to_string());
            }
            (Err(_), Ok(())) => unreachable!("compared above"),
        }
    }
    assert!(refused > 50 && timeline.len() > 50, "{refused} refused, {} taken", timeline.len());
    assert_eq!(judge_timeline(&timeline), Ok(()));
    let newest = "SELECT miles::bigint FROM vehicle_current_mileage";
    assert_eq!(count(&client, newest).await, timeline.last().unwrap().miles);
}

#[tokio::test]
async fn a_statement_is_judged_by_the_timeline_that_it_leaves() {
    let (_database, client, tenant, vehicle) = fresh().await;
    let id = Uuid::new_v4;
    // In any order within the statement, when together they fit.
    let fit =
        [Offer::reading(id(), 3, 30), Offer::reading(id(), 1, 10), Offer::reading(id(), 2, 20)];
    write(&client, tenant, vehicle, &fit).await.unwrap();
    let clash = [Offer::reading(id(), 5, 50), Offer::reading(id(), 6, 49)];
    assert!(write(&client, tenant, vehicle, &clash).await.is_err());
    assert_eq!(count(&client, "SELECT count(*) FROM vehicle_events").await, 3);
    // A wrong reading and its correction in one statement.
    let wrong = id();
    let mended = [
        Offer::reading(wrong, 4, 541_200).with(r#"{"confirmed_jump": true}"#),
        Offer::reading(id(), 4, 54).correcting(wrong),
        Offer::reading(id(), 5, 60),
    ];
    write(&client, tenant, vehicle, &mended).await.unwrap();
}

#[tokio::test]
async fn corrections_and_retractions_are_judged_too() {
    let (_database, client, tenant, vehicle) = fresh().await;
    let id = Uuid::new_v4;
    let (low, middle, high) = (id(), id(), id());
    let base =
        [Offer::reading(low, 1, 10), Offer::reading(middle, 2, 20), Offer::reading(high, 3, 30)];
    write(&client, tenant, vehicle, &base).await.unwrap();
    let too_high = Offer::reading(id(), 2, 31).correcting(middle);
    assert_eq!(
        constraint(&write(&client, tenant, vehicle, &[too_high]).await.unwrap_err()),
        "vehicle_events_odometer"
    );
    let fits = id();
    write(&client, tenant, vehicle, &[Offer::reading(fits, 2, 30).correcting(middle)])
        .await
        .unwrap();
    // 25 fits the old reading but not the corrected one.
    let stale = Offer::reading(id(), 2, 25);
    assert!(write(&client, tenant, vehicle, &[stale]).await.is_err());
    // Taking the correction back brings 20 into force again, and then 25 fits behind it.
    write(&client, tenant, vehicle, &[Offer::retraction(fits)]).await.unwrap();
    let between = id();
    write(&client, tenant, vehicle, &[Offer::reading(between, 2, 25)]).await.unwrap();
    // An override says openly that the rule does not bind it; a new segment is bound to nothing before.
    let odd = Offer::reading(id(), 2, 5).correcting(between);
    assert!(write(&client, tenant, vehicle, &[odd]).await.is_err());
    let odd = Offer::reading(id(), 2, 5).correcting(between).with(r#"{"correction": true}"#);
    write(&client, tenant, vehicle, &[odd]).await.unwrap();
    let replaced = id();
    write(
        &client,
        tenant,
        vehicle,
        &[Offer::reading(replaced, 9, 0).with(r#"{"odometer_replaced": true}"#)],
    )
    .await
    .unwrap();
    write(&client, tenant, vehicle, &[Offer::reading(id(), 10, 1)]).await.unwrap();
    // Without the new segment, 1 would follow 30.
    let error = write(&client, tenant, vehicle, &[Offer::retraction(replaced)]).await.unwrap_err();
    assert_eq!(constraint(&error), "vehicle_events_odometer");
    // Unknown, of another vehicle, of another tenant: all the same.
    let (stranger, other) = _database.tenant_with_vehicle().await;
    let second = _database.vehicle(tenant).await;
    for (tenant, vehicle) in [(tenant, second), (stranger, other)] {
        let error = write(&client, tenant, vehicle, &[Offer::retraction(low)]).await.unwrap_err();
        assert_eq!(constraint(&error), "vehicle_events_corrects");
    }
}

/// Law: whatever corrects, retracts and restores whatever, in one statement or many, the registry's
/// choice is `protocol::effective`'s, and what `protocol::effective::may_act` refuses is refused.
#[tokio::test]
async fn the_registry_agrees_with_protocol_on_what_counts() {
    let (_database, client, tenant, vehicle) = fresh().await;
    let mut dice = Dice::new(3);
    let mut known: Vec<Member> = Vec::new();
    let mut pending: Vec<Offer> = Vec::new();
    let mut refused = [0, 0];
    for seq in 0..400_u64 {
        let id = Uuid::new_v4();
        let mut offer = Offer { kind: "parking", miles: None, ..Offer::reading(id, 0, 0) };
        if let (Some(target), false) = (dice.pick(&known).copied(), dice.permille(150)) {
            let kinds = ["parking", "retraction", "retraction", "restoration", "restoration"];
            let kind = dice.pick(&kinds).copied().unwrap();
            offer = Offer { kind, ..offer.correcting(target.event_id.0) };
            let act = Act::of_type(kind);
            let retracted = is_retracted(target.event_id, &known);
            if let Err((code, _)) = may_act(act, target.act, retracted) {
                flush(&client, tenant, vehicle, &mut pending).await;
                let error = write(&client, tenant, vehicle, &[offer]).await.unwrap_err();
                assert_eq!(constraint(&error), format!("vehicle_events_{code}"));
                refused[usize::from(act == Act::Restores)] += 1;
                continue;
            }
        }
        let (event_id, corrects) = (EventId(id), offer.corrects.map(EventId));
        known.push(Member { event_id, seq, corrects, act: Act::of_type(offer.kind) });
        // Sometimes what corrects stands before what it corrects in the statement.
        let last = pending.len();
        let place = if offer.kind == "parking" { dice.index(last + 1).unwrap() } else { last };
        pending.insert(place, offer);
        if dice.permille(400) {
            flush(&client, tenant, vehicle, &mut pending).await;
        }
    }
    flush(&client, tenant, vehicle, &mut pending).await;
    assert!(refused[0] > 20 && refused[1] > 20, "{refused:?}");

    let rows = client
        .query(
            "SELECT event_id, root_id, seq, effective, retracted FROM event_registry ORDER BY seq",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(rows.len(), known.len());
    let parent: BTreeMap<EventId, Option<EventId>> =
        known.iter().map(|one| (one.event_id, one.corrects)).collect();
    let root = |mut id: EventId| {
        while let Some(up) = parent[&id] {
            id = up;
        }
        id
    };
    let mut families: BTreeMap<EventId, Vec<Member>> = BTreeMap::new();
    for row in &rows {
        let (id, seq) = (EventId(row.get(0)), row.get::<_, i64>(2));
        assert_eq!(row.get::<_, Uuid>(1), root(id).0);
        let known = known.iter().find(|one| one.event_id == id).unwrap();
        families.entry(root(id)).or_default().push(Member { seq: seq.unsigned_abs(), ..*known });
    }
    for row in &rows {
        let id = EventId(row.get(0));
        let family = &families[&root(id)];
        let counts = effective(root(id), family);
        assert_eq!(row.get::<_, bool>(3), counts == Some(id), "{id}: {counts:?} of {family:?}");
        assert_eq!(row.get::<_, bool>(4), is_retracted(id, family), "{id} of {family:?}");
    }
    assert!(families.len() > 20 && families.values().any(|members| members.len() > 6));
}

/// Several acts on one event in one statement: the last one decides, each needs the one before.
#[tokio::test]
async fn a_retraction_and_its_restoration_may_come_in_one_statement() {
    let (_database, client, tenant, vehicle) = fresh().await;
    let id = Uuid::new_v4();
    let counting = "SELECT count(*) FROM event_registry WHERE effective";
    let story = [
        Offer::reading(id, 1, 10),
        Offer::retraction(id),
        Offer::restoration(id),
        Offer::retraction(id),
        Offer::restoration(id),
    ];
    write(&client, tenant, vehicle, &story).await.unwrap();
    assert_eq!(count(&client, counting).await, 1);
    let twice = [Offer::retraction(id), Offer::restoration(id), Offer::restoration(id)];
    let error = write(&client, tenant, vehicle, &twice).await.unwrap_err();
    assert_eq!(constraint(&error), "vehicle_events_not_retracted");
    write(&client, tenant, vehicle, &[Offer::retraction(id), Offer::retraction(id)]).await.unwrap();
    assert_eq!(count(&client, counting).await, 0);
    // While it was out, a lower reading came in after it: the old one no longer fits before that.
    write(&client, tenant, vehicle, &[Offer::reading(Uuid::new_v4(), 2, 9)]).await.unwrap();
    let error = write(&client, tenant, vehicle, &[Offer::restoration(id)]).await.unwrap_err();
    assert_eq!(constraint(&error), "vehicle_events_odometer");
}

/// Thousands of corrections, retractions and restorations of one vehicle in one statement each:
/// linear, or the limit would end it.
#[tokio::test]
async fn corrections_in_bulk_take_their_time_once() {
    let (_database, client, tenant, vehicle) = fresh().await;
    let bulk = |columns: &str, values: &str| {
        format!(
            "SET statement_timeout = '60s';
             INSERT INTO vehicle_events (tenant_id, vehicle_id, type, occurred_at, date, {columns})
             SELECT '{tenant}', '{vehicle}', 'odometer', '2025-01-01Z'::timestamptz + n * interval '1 minute',
                    '2025-01-01', {values} FROM generate_series(1, 20000) AS n"
        )
    };
    let id = "('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid";
    let readings = bulk("miles, id", &format!("n, {id}"));
    let corrections = bulk("miles, corrects", &format!("n + 1, {id}"));
    let retractions = bulk("corrects", id).replace("'odometer'", "'retraction'");
    let restorations = retractions.replace("'retraction'", "'restoration'");
    let counting = "SELECT count(*) FROM event_registry WHERE effective";
    for (write, remain) in
        [(readings, 20_000), (corrections, 20_000), (retractions, 0), (restorations, 20_000)]
    {
        client.batch_execute(&write).await.unwrap();
        assert_eq!(count(&client, counting).await, remain);
    }
    assert_eq!(count(&client, "SELECT count(*) FROM event_registry").await, 80_000);
    let audited = "SELECT count(*) FROM vehicle_event_audit_logs";
    assert_eq!(count(&client, audited).await, 60_000);
}
