//! Whoever writes, and however: every change gets its number at commit, without gaps, in commit
//! order, in the tenant of the row.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use std::time::Duration;

use motomind_protocol::wire::{Change, ChangeKind};
use motomind_tests::dice::Dice;
use motomind_tests::postgres::{Database, Postgres, as_tenant, count, role};
use tokio_postgres::{AsyncMessage, Client, NoTls};
use uuid::Uuid;

/// Rows of the large statements.
const MANY: i64 = 100_000;

/// A statement that writes `rows` readings of a vehicle, newest last.
fn readings(tenant: Uuid, vehicle: Uuid, rows: i64, table: &str) -> String {
    format!(
        "INSERT INTO {table} (tenant_id, vehicle_id, type, occurred_at, date, miles)
         SELECT '{tenant}', '{vehicle}', 'odometer', '2026-01-01Z'::timestamptz + n * interval '1 minute',
                '2026-01-01'::date + (n / 1440)::integer, n
           FROM generate_series(1, {rows}) AS n"
    )
}

/// The tenant's log from its beginning, read as devices read it. Checks that it has no gaps.
async fn log(database: &Database, tenant: Uuid) -> Vec<Change> {
    let admin = database.admin().await;
    let rows = admin
        .query(
            "SELECT seq, entry, kind, entity_id FROM change_log WHERE tenant_id = $1 ORDER BY seq",
            &[&tenant],
        )
        .await
        .unwrap();
    let mut changes = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let change: Change = serde_json::from_str(row.get(1)).unwrap();
        assert_eq!(change.seq, index as u64 + 1, "gapless from 1");
        assert_eq!(row.get::<_, i64>(0), index as i64 + 1);
        changes.push(change);
    }
    let head: i64 = admin
        .query_one("SELECT head FROM tenant_counters WHERE tenant_id = $1", &[&tenant])
        .await
        .unwrap()
        .get(0);
    assert_eq!(head, changes.len() as i64);
    changes
}

async fn nothing_pending(database: &Database) {
    let admin = database.admin().await;
    assert_eq!(count(&admin, "SELECT count(*) FROM change_pending").await, 0);
    assert_eq!(count(&admin, "SELECT count(*) FROM change_marks").await, 0);
}

async fn write_many(user: &str, set_tenant: bool) {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let client = database.connect(user).await;
    // Were numbering quadratic, this would take many minutes.
    let limit = "SET LOCAL statement_timeout = '60s';";
    let write = format!("{limit} {}", readings(tenant, vehicle, MANY, "vehicle_events"));
    if set_tenant {
        as_tenant(&client, tenant, &write).await.unwrap();
    } else {
        client.batch_execute(&format!("BEGIN; {write}; COMMIT")).await.unwrap();
    }
    let changes = log(&database, tenant).await;
    assert_eq!(changes.len() as i64, MANY);
    let miles: Vec<i64> = changes
        .iter()
        .filter_map(|change| match &change.what {
            ChangeKind::Event(record) => record.event.miles,
            _ => None,
        })
        .collect();
    assert_eq!(miles, (1..=MANY).collect::<Vec<_>>(), "in the order of the statement");
    let admin = database.admin().await;
    let known = "SELECT count(DISTINCT seq) FROM event_registry WHERE seq BETWEEN 1 AND 100000";
    assert_eq!(count(&admin, known).await, MANY);
    nothing_pending(&database).await;
}

#[tokio::test]
async fn a_tenant_scoped_client_writes_100_000_rows_in_one_statement() {
    write_many(role::CLIENT, true).await;
}

#[tokio::test]
async fn a_client_beyond_row_security_writes_100_000_rows_in_one_statement() {
    write_many(role::BYPASS, false).await;
}

#[tokio::test]
async fn a_direct_insert_into_a_partition_is_logged_once() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    for (user, set_tenant) in [(role::CLIENT, true), (role::BYPASS, false)] {
        let client = database.connect(user).await;
        let write = readings(tenant, vehicle, 3, "vehicle_events_2026");
        if set_tenant {
            as_tenant(&client, tenant, &write).await.unwrap();
        } else {
            let earlier = write.replace("2026-01-01Z", "2026-01-02Z").replace(", n\n", ", n + 3\n");
            client.batch_execute(&earlier).await.unwrap();
        }
    }
    assert_eq!(log(&database, tenant).await.len(), 6);
}

#[tokio::test]
async fn several_tenants_in_one_transaction_without_a_tenant_set() {
    let database = Postgres::shared().database().await;
    let mut tenants = Vec::new();
    for _ in 0..3 {
        tenants.push(database.tenant_with_vehicle().await);
    }
    let client = database.connect(role::BYPASS).await;
    let mut script = String::from("BEGIN;");
    for round in 0..2 {
        for (tenant, vehicle) in &tenants {
            let write = readings(*tenant, *vehicle, 5, "vehicle_events");
            script += &write
                .replace("2026-01-01Z", &format!("2026-0{}-01Z", round + 1))
                .replace(", n\n", &format!(", n + {}\n", round * 5));
            script += &format!(
                "; UPDATE vehicles SET nickname = 'round {round}' WHERE id = '{vehicle}';"
            );
        }
    }
    client.batch_execute(&format!("{script} COMMIT")).await.unwrap();
    for (tenant, vehicle) in tenants {
        let changes = log(&database, tenant).await;
        assert_eq!(changes.len(), 2 * 5);
        for change in &changes {
            match &change.what {
                ChangeKind::Event(record) => assert_eq!(record.event.vehicle_id.0, vehicle),
                other => panic!("{other:?}"),
            }
        }
    }
    nothing_pending(&database).await;
}

/// One writer: transactions of random size on random vehicles; some are rolled back.
async fn writer(client: Client, tenant: Uuid, vehicles: Vec<Uuid>, mut dice: Dice) -> i64 {
    let mut committed = 0;
    for _ in 0..25 {
        let rows = dice.between(1, 4);
        // Each row on a vehicle of its own, in any order: locks are taken in theirs.
        let values: Vec<String> = (0..rows)
            .map(|_| {
                let vehicle = dice.pick(&vehicles).unwrap();
                format!("('{vehicle}', 'parking', now(), '2026-05-05')")
            })
            .collect();
        let write = format!(
            "INSERT INTO vehicle_events (vehicle_id, type, occurred_at, date) VALUES {}",
            values.join(", ")
        );
        if dice.permille(200) {
            let undone = format!("{write}; SELECT number_changes(); SELECT 1 / 0");
            as_tenant(&client, tenant, &undone).await.unwrap_err();
        } else {
            as_tenant(&client, tenant, &write).await.unwrap();
            committed += rows;
        }
    }
    committed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_writers_get_gapless_numbers_in_commit_order() {
    let database = Postgres::shared().database().await;
    let (tenant, first) = database.tenant_with_vehicle().await;
    let vehicles = vec![first, database.vehicle(tenant).await, database.vehicle(tenant).await];
    let mut dice = Dice::new(7);
    let mut writers = Vec::new();
    for _ in 0..6 {
        let client = database.connect(role::SERVER).await;
        writers.push(tokio::spawn(writer(client, tenant, vehicles.clone(), dice.fork())));
    }
    // A reader that pages meanwhile must see a prefix that only ever grows: a number that became
    // visible after a higher one would be lost to it.
    let reader = database.connect(role::SERVER).await;
    let mut seen = 0;
    let page = format!(
        "SELECT seq FROM change_log WHERE tenant_id = '{tenant}' AND seq > $1 ORDER BY seq"
    );
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        let open = format!("BEGIN; SET LOCAL app.current_tenant_id = '{tenant}'");
        reader.batch_execute(&open).await.unwrap();
        for row in reader.query(&page, &[&seen]).await.unwrap() {
            seen += 1;
            assert_eq!(row.get::<_, i64>(0), seen);
        }
        reader.batch_execute("COMMIT").await.unwrap();
    }
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap();
    }
    let changes = log(&database, tenant).await;
    assert_eq!(changes.len() as i64, written);
    // Within a vehicle, arrival and sequence give the same order.
    let admin = database.admin().await;
    let disagree =
        "SELECT count(*) FROM event_registry a JOIN event_registry b USING (tenant_id, vehicle_id)
                     WHERE a.seq < b.seq AND a.arrival > b.arrival";
    assert_eq!(count(&admin, disagree).await, 0);
    nothing_pending(&database).await;
}

#[tokio::test]
async fn the_server_learns_its_numbers_before_it_commits() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let mut client = database.connect(role::SERVER).await;
    let transaction = client.transaction().await.unwrap();
    let setting = format!("SET LOCAL app.current_tenant_id = '{tenant}'");
    transaction.batch_execute(&setting).await.unwrap();
    let (op, by) = (Uuid::new_v4(), Uuid::new_v4());
    transaction.batch_execute(&readings(tenant, vehicle, 2, "vehicle_events")).await.unwrap();
    let closed = format!(r#"{{"op_id":"{op}","by":"{by}"}}"#);
    transaction.execute("SELECT append_change('closed', $1, $2)", &[&op, &closed]).await.unwrap();
    let numbered = transaction.query("SELECT kind, seq FROM number_changes()", &[]).await.unwrap();
    let numbered: Vec<(String, i64)> =
        numbered.iter().map(|row| (row.get(0), row.get(1))).collect();
    let expected = [("event", 1), ("event", 2), ("closed", 3)];
    assert_eq!(numbered, expected.map(|(kind, seq)| (kind.to_string(), seq)));
    assert!(transaction.query("SELECT * FROM number_changes()", &[]).await.unwrap().is_empty());
    // What is written after it is numbered at commit, or at once when constraints are immediate.
    let later = readings(tenant, vehicle, 1, "vehicle_events")
        .replace("2026-01-01Z", "2026-03-01Z")
        .replace(", n\n", ", 9\n");
    transaction.batch_execute(&later).await.unwrap();
    transaction.batch_execute("SET CONSTRAINTS ALL IMMEDIATE").await.unwrap();
    transaction.commit().await.unwrap();
    let changes = log(&database, tenant).await;
    assert_eq!(changes.len(), 4);
    assert_eq!(changes[2].what, ChangeKind::Closed { op_id: op.into(), by: by.into() });
    nothing_pending(&database).await;
}

#[tokio::test]
async fn one_notification_per_transaction_and_tenant() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let (listener, mut connection) = database.config(role::SERVER).connect(NoTls).await.unwrap();
    let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) =
            futures::future::poll_fn(|cx| connection.poll_message(cx)).await
        {
            if let AsyncMessage::Notification(note) = message {
                let _ = sender.send(note.payload().to_string());
            }
        }
    });
    listener.batch_execute("LISTEN motomind_changes").await.unwrap();
    let client = database.connect(role::CLIENT).await;
    let write = readings(tenant, vehicle, 5, "vehicle_events");
    let more = readings(tenant, vehicle, 1, "vehicle_events").replace("2026-01-01Z", "2026-02-01Z");
    let more = more.replace(", n\n", ", 9\n");
    as_tenant(&client, tenant, &write).await.unwrap();
    as_tenant(&client, tenant, &more).await.unwrap();
    let wait = Duration::from_secs(30);
    let mut notes = Vec::new();
    for _ in 0..2 {
        notes.push(tokio::time::timeout(wait, heard.recv()).await.unwrap().unwrap());
    }
    assert_eq!(notes, [format!("{tenant} 5"), format!("{tenant} 6")]);
}

/// A snapshot taken before somebody else's commit could not see that commit's readings: the
/// counter row, which both write, makes Postgres refuse it.
#[tokio::test]
async fn a_stale_snapshot_is_refused_at_commit() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let (stale, other) =
        (database.connect(role::BYPASS).await, database.connect(role::BYPASS).await);
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM tenant_counters";
    stale.batch_execute(begin).await.unwrap_err(); // not even readable to it
    stale
        .batch_execute("ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM vehicles")
        .await
        .unwrap();
    let high = readings(tenant, vehicle, 2, "vehicle_events");
    other.batch_execute(&high).await.unwrap();
    let low = "INSERT INTO vehicle_events (tenant_id, vehicle_id, type, occurred_at, date, miles)";
    let low = format!(
        "{low} VALUES ('{tenant}', '{vehicle}', 'odometer', '2026-06-01Z', '2026-06-01', 1)"
    );
    stale.batch_execute(&low).await.unwrap();
    let error = stale.batch_execute("COMMIT").await.unwrap_err();
    assert_eq!(error.code(), Some(&tokio_postgres::error::SqlState::T_R_SERIALIZATION_FAILURE));
    assert_eq!(log(&database, tenant).await.len(), 2);
}
