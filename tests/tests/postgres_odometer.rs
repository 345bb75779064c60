//! Postgres' second guard of the odometer rule and its view of corrections, against protocol's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use std::collections::BTreeMap;

use motomind_protocol::effective::{Member, effective};
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

/// Law: whatever corrects whatever, in one statement or many, the registry's choice is
/// `protocol::effective`'s.
#[tokio::test]
async fn the_registry_agrees_with_protocol_on_what_counts() {
    let (_database, client, tenant, vehicle) = fresh().await;
    let mut dice = Dice::new(3);
    let (mut known, mut pending): (Vec<Uuid>, Vec<Offer>) = (Vec::new(), Vec::new());
    for _ in 0..300 {
        let id = Uuid::new_v4();
        let mut offer = Offer { kind: "parking", miles: None, ..Offer::reading(id, 0, 0) };
        if let (Some(target), false) = (dice.pick(&known), dice.permille(200)) {
            let kind = if dice.permille(300) { "retraction" } else { "parking" };
            offer = Offer { kind, ..offer.correcting(*target) };
        }
        known.push(id);
        // Sometimes what corrects stands before what it corrects in the statement.
        let place = dice.index(pending.len() + 1).unwrap();
        pending.insert(place, offer);
        if dice.permille(400) {
            write(&client, tenant, vehicle, &pending).await.unwrap();
            pending.clear();
        }
    }
    write(&client, tenant, vehicle, &pending).await.unwrap();

    let rows = client
        .query("SELECT r.event_id, r.root_id, r.seq, r.effective, e.type, e.corrects FROM event_registry r
                  JOIN vehicle_events e ON e.tenant_id = r.tenant_id AND e.id = r.event_id", &[])
        .await
        .unwrap();
    assert_eq!(rows.len(), known.len());
    let parent: BTreeMap<Uuid, Option<Uuid>> =
        rows.iter().map(|row| (row.get(0), row.get(5))).collect();
    let root = |mut id: Uuid| {
        while let Some(up) = parent[&id] {
            id = up;
        }
        id
    };
    let retracted: Vec<Uuid> = rows
        .iter()
        .filter(|row| row.get::<_, &str>(4) == "retraction")
        .map(|row| row.get(5))
        .collect();
    let mut families: BTreeMap<Uuid, Vec<Member>> = BTreeMap::new();
    for row in &rows {
        let (id, seq): (Uuid, i64) = (row.get(0), row.get(2));
        assert_eq!(row.get::<_, Uuid>(1), root(id));
        if row.get::<_, &str>(4) != "retraction" {
            let member = Member {
                event_id: EventId(id),
                seq: seq.unsigned_abs(),
                retracted: retracted.contains(&id),
            };
            families.entry(root(id)).or_default().push(member);
        }
    }
    for (root, members) in &families {
        let (roots, corrections): (Vec<Member>, Vec<Member>) =
            members.iter().copied().partition(|member| member.event_id.0 == *root);
        let counts = effective(roots[0], &corrections);
        for row in rows.iter().filter(|row| row.get::<_, Uuid>(1) == *root) {
            let id = EventId(row.get(0));
            assert_eq!(row.get::<_, bool>(3), Some(id) == counts, "{id} of {root}: {counts:?}");
        }
    }
    assert!(families.len() > 20 && families.values().any(|members| members.len() > 3));
}

/// Thousands of corrections and retractions of one vehicle in one statement each: linear, or the
/// limit would end it.
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
    for write in [readings, corrections, retractions] {
        client.batch_execute(&write).await.unwrap();
    }
    assert_eq!(count(&client, "SELECT count(*) FROM event_registry").await, 60_000);
    let counting = "SELECT count(*) FROM event_registry WHERE effective";
    assert_eq!(count(&client, counting).await, 0);
}
