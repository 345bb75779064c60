//! Tenants never see each other, enforced by Postgres itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use motomind_tests::postgres::{Postgres, as_tenant, constraint, count, count_as_tenant, role};
use tokio_postgres::error::SqlState;
use uuid::Uuid;

const EVENT: &str = "INSERT INTO vehicle_events (vehicle_id, type, occurred_at, date)
                     VALUES ('{vehicle}', 'parking', '2025-05-05Z', '2025-05-05')";

#[tokio::test]
async fn another_tenant_sees_nothing_anywhere_partitions_included() {
    let database = Postgres::shared().database().await;
    let (mine, vehicle) = database.tenant_with_vehicle().await;
    let (theirs, _) = database.tenant_with_vehicle().await;
    let admin = database.admin().await;
    let server = database.connect(role::SERVER).await;
    let client = database.connect(role::CLIENT).await;
    let rows = format!(
        "{}; INSERT INTO garages (name) VALUES ('G');
         INSERT INTO operations (tenant_id, op_id, outcome, superseded_by) VALUES ('{mine}', '{vehicle}', 'closed', '{vehicle}');
         INSERT INTO devices (tenant_id, id, user_id) VALUES ('{mine}', '{vehicle}', '{vehicle}');
         INSERT INTO rejected_operations (tenant_id, op_id, hash, text, code, rejection)
         VALUES ('{mine}', '{vehicle}', sha256('x'), 'x', 'malformed', '{{}}')",
        EVENT.replace("{vehicle}", &vehicle.to_string())
    );
    as_tenant(&server, mine, &rows).await.unwrap();

    let tables = "SELECT c.relname::text FROM pg_class c
                   WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v')
                     AND c.relname NOT IN ('schema_migrations', 'maintenance_runs', 'job_freshness', 'partition_coverage')";
    let mut seen_by_owner_of_rows = 0;
    for row in admin.query(tables, &[]).await.unwrap() {
        let table: String = row.get(0);
        for reader in [&server, &client] {
            let readable = reader
                .query_one("SELECT has_table_privilege($1, 'SELECT')", &[&table])
                .await
                .unwrap();
            if !readable.get::<_, bool>(0) {
                continue;
            }
            let who = if table == "tenants" { "id" } else { "tenant_id" };
            let foreign = format!("SELECT count(*) FROM {table} WHERE {who} = '{mine}'");
            assert_eq!(count_as_tenant(reader, theirs, &foreign).await, 0, "{table}");
            // Unset, and set to nothing as it is after a commit: no rows, no error.
            assert_eq!(count(reader, &format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
            reader.batch_execute("SET app.current_tenant_id = ''").await.unwrap();
            assert_eq!(count(reader, &format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
            reader.batch_execute("RESET app.current_tenant_id").await.unwrap();
            seen_by_owner_of_rows += count_as_tenant(reader, mine, &foreign).await;
        }
    }
    assert!(seen_by_owner_of_rows > 20, "the rows are there for their own tenant");
}

#[tokio::test]
async fn nobody_writes_into_another_tenant() {
    let database = Postgres::shared().database().await;
    let (mine, vehicle) = database.tenant_with_vehicle().await;
    let (theirs, other) = database.tenant_with_vehicle().await;
    for user in [role::SERVER, role::CLIENT] {
        let client = database.connect(user).await;
        let foreign_row = format!(
            "INSERT INTO vehicle_events (tenant_id, vehicle_id, type, occurred_at, date)
             VALUES ('{theirs}', '{other}', 'parking', now(), '2025-05-05')"
        );
        let error = as_tenant(&client, mine, &foreign_row).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
        // A foreign key's check ignores row security: only the tenant in the key stops this.
        let foreign_vehicle = EVENT.replace("{vehicle}", &other.to_string());
        let error = as_tenant(&client, mine, &foreign_vehicle).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::FOREIGN_KEY_VIOLATION));
        let direct = foreign_row.replace("vehicle_events", "vehicle_events_2025");
        assert!(as_tenant(&client, mine, &direct).await.is_err());
        let rename = format!("UPDATE vehicles SET id = gen_random_uuid() WHERE id = '{vehicle}'");
        assert!(as_tenant(&client, mine, &rename).await.is_err());
        let hijack = format!("UPDATE vehicles SET tenant_id = '{theirs}' WHERE id = '{vehicle}'");
        assert!(as_tenant(&client, mine, &hijack).await.is_err());
        let blind = format!("UPDATE vehicles SET nickname = 'stolen' WHERE id = '{other}'");
        as_tenant(&client, mine, &blind).await.unwrap();
    }
    let admin = database.admin().await;
    let touched = "SELECT count(*) FROM vehicles WHERE nickname = 'stolen' OR nickname IS NULL";
    assert_eq!(count(&admin, touched).await, 0);
    assert_eq!(count(&admin, "SELECT count(*) FROM vehicle_events").await, 0);
}

#[tokio::test]
async fn one_tenants_ids_never_shadow_anothers() {
    let database = Postgres::shared().database().await;
    let (mine, vehicle) = database.tenant_with_vehicle().await;
    let (theirs, other) = database.tenant_with_vehicle().await;
    let id = Uuid::new_v4();
    let client = database.connect(role::CLIENT).await;
    for (tenant, vehicle) in [(mine, vehicle), (theirs, other)] {
        let write = format!(
            "INSERT INTO vehicle_events (id, vehicle_id, type, occurred_at, date)
             VALUES ('{id}', '{vehicle}', 'parking', now(), '2025-05-05') ON CONFLICT DO NOTHING"
        );
        as_tenant(&client, tenant, &write).await.unwrap();
        // Again: nothing new, no error, nothing logged.
        as_tenant(&client, tenant, &write).await.unwrap();
        let same_vin =
            format!("UPDATE vehicles SET vin = '1HGCM82633A004352' WHERE id = '{vehicle}'");
        as_tenant(&client, tenant, &same_vin).await.unwrap();
    }
    let admin = database.admin().await;
    assert_eq!(count(&admin, "SELECT count(*) FROM vehicle_events").await, 2);
    assert_eq!(count(&admin, "SELECT count(*) FROM change_log WHERE kind = 'event'").await, 2);
    // The same id on another date is refused within the tenant.
    let again = format!(
        "INSERT INTO vehicle_events (id, vehicle_id, type, occurred_at, date)
         VALUES ('{id}', '{vehicle}', 'parking', now(), '2024-01-01')"
    );
    let error = as_tenant(&client, mine, &again).await.unwrap_err();
    assert_eq!(constraint(&error), "event_registry_pkey");
}

#[tokio::test]
async fn soft_delete_works_under_row_security() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let (stranger, _) = database.tenant_with_vehicle().await;
    let (client, server) =
        (database.connect(role::CLIENT).await, database.connect(role::SERVER).await);
    let mine = format!("SELECT count(*) FROM vehicles WHERE id = '{vehicle}'");
    let live = format!("SELECT count(*) FROM active_vehicles WHERE id = '{vehicle}'");

    // The serving role deletes with a plain UPDATE and still reads the row.
    let delete = format!("UPDATE vehicles SET deleted_at = now() WHERE id = '{vehicle}'");
    as_tenant(&server, tenant, &delete).await.unwrap();
    assert_eq!(count_as_tenant(&server, tenant, &mine).await, 1);
    assert_eq!(count_as_tenant(&server, tenant, &live).await, 0);
    // Another SQL client does not see it, and restores and deletes by functions.
    assert_eq!(count_as_tenant(&client, tenant, &mine).await, 0);
    let restore = format!("SELECT restore_vehicle('{vehicle}')::integer::bigint");
    assert_eq!(count_as_tenant(&client, stranger, &restore).await, 0);
    assert_eq!(count_as_tenant(&client, tenant, &restore).await, 1);
    assert_eq!(count_as_tenant(&client, tenant, &mine).await, 1);
    let remove = format!("SELECT delete_vehicle('{vehicle}')::integer::bigint");
    assert_eq!(count_as_tenant(&client, stranger, &remove).await, 0);
    assert_eq!(count_as_tenant(&client, tenant, &remove).await, 1);
    assert_eq!(count_as_tenant(&client, tenant, &mine).await, 0);
    let queued = "SELECT count(*) FROM record_queue WHERE collection = 'vehicles'";
    assert_eq!(count_as_tenant(&server, tenant, queued).await, 1, "to be taken into its document");
    assert_eq!(count_as_tenant(&server, stranger, queued).await, 1, "its own");
}

#[tokio::test]
async fn deleting_a_garage_moves_its_vehicles() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let client = database.connect(role::CLIENT).await;
    let (old, new) = (Uuid::new_v4(), Uuid::new_v4());
    let setup = format!(
        "INSERT INTO garages (id, name, is_default) VALUES ('{old}', 'Old', true), ('{new}', 'New', false);
         UPDATE vehicles SET garage_id = '{old}' WHERE id = '{vehicle}'"
    );
    as_tenant(&client, tenant, &setup).await.unwrap();
    let second = "INSERT INTO garages (name, is_default) VALUES ('Another', true)";
    let error = as_tenant(&client, tenant, second).await.unwrap_err();
    assert_eq!(constraint(&error), "garages_one_default");
    let nowhere = format!("SELECT delete_garage('{old}', '{}')", Uuid::new_v4());
    assert!(as_tenant(&client, tenant, &nowhere).await.is_err());
    as_tenant(&client, tenant, &format!("SELECT delete_garage('{old}', '{new}')")).await.unwrap();
    let moved =
        format!("SELECT count(*) FROM vehicles WHERE id = '{vehicle}' AND garage_id = '{new}'");
    assert_eq!(count_as_tenant(&client, tenant, &moved).await, 1);
    as_tenant(&client, tenant, &format!("SELECT delete_garage('{new}')")).await.unwrap();
    let cleared =
        format!("SELECT count(*) FROM vehicles WHERE id = '{vehicle}' AND garage_id IS NULL");
    assert_eq!(count_as_tenant(&client, tenant, &cleared).await, 1);
}
