//! The catalogue check holds on a migrated database, and finds each property that is taken away.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use motomind_server::catalogue::{self, RULES};
use motomind_tests::postgres::{Postgres, role};

/// How each rule is broken, and the object that must then be named.
const BREAKAGES: &[(&str, &str, &str)] = &[
    ("rls_enabled", "ALTER TABLE vehicles DISABLE ROW LEVEL SECURITY", "vehicles"),
    (
        "rls_enabled",
        "ALTER TABLE vehicle_events_2025 DISABLE ROW LEVEL SECURITY",
        "vehicle_events_2025",
    ),
    (
        "rls_forced",
        "ALTER TABLE vehicle_events_default NO FORCE ROW LEVEL SECURITY",
        "vehicle_events_default",
    ),
    ("rls_forced", "ALTER TABLE operations NO FORCE ROW LEVEL SECURITY", "operations"),
    ("tenant_wall", "DROP POLICY tenant_wall ON vehicle_events_2025", "vehicle_events_2025"),
    ("tenant_wall", "ALTER POLICY tenant_wall ON garages USING (true)", "garages"),
    ("tenant_wall", "ALTER POLICY tenant_wall ON garages WITH CHECK (true)", "garages"),
    ("tenant_wall", "ALTER POLICY tenant_wall ON garages TO motomind_server", "garages"),
    (
        "tenant_wall",
        "CREATE TABLE notes (tenant_id uuid NOT NULL, id uuid, PRIMARY KEY (tenant_id, id))",
        "notes",
    ),
    (
        "no_second_door",
        "CREATE POLICY convenience ON devices FOR SELECT USING (true)",
        "devices.convenience",
    ),
    (
        "tenant_column",
        "ALTER TABLE change_pending DROP CONSTRAINT change_pending_pkey,
                       ALTER COLUMN tenant_id DROP NOT NULL",
        "change_pending",
    ),
    (
        "tenant_first_key",
        "ALTER TABLE devices DROP CONSTRAINT devices_pkey, ADD PRIMARY KEY (id)",
        "devices",
    ),
    ("tenant_first_unique", "CREATE UNIQUE INDEX receipts ON vehicles (hero_photo)", "receipts"),
    (
        "foreign_key_carries_tenant",
        "ALTER TABLE garages ADD UNIQUE (id);
      ALTER TABLE vehicles ADD CONSTRAINT lives FOREIGN KEY (garage_id) REFERENCES garages (id)",
        "vehicles.lives",
    ),
    ("owner", "ALTER TABLE devices OWNER TO motomind_server", "devices"),
    ("owner", "ALTER VIEW timeline_feed OWNER TO motomind_system", "timeline_feed"),
    (
        "view_as_invoker",
        "ALTER VIEW active_vehicles SET (security_invoker = false)",
        "active_vehicles",
    ),
    ("view_as_invoker", "ALTER VIEW active_vehicles RESET (security_invoker)", "active_vehicles"),
    (
        "no_shared_matview",
        "CREATE MATERIALIZED VIEW feed AS SELECT * FROM vehicles;
                           GRANT SELECT ON feed TO motomind_client",
        "feed",
    ),
    ("no_public_grant", "GRANT SELECT ON vehicles TO PUBLIC", "vehicles: SELECT"),
    (
        "no_destructive_grant",
        "GRANT TRUNCATE ON vehicle_events_2026 TO motomind_server",
        "vehicle_events_2026: TRUNCATE to motomind_server",
    ),
    (
        "no_destructive_grant",
        "GRANT DELETE ON vehicles TO motomind_client",
        "vehicles: DELETE to motomind_client",
    ),
    (
        "append_only_grants",
        "GRANT UPDATE ON vehicle_events_default TO motomind_server",
        "vehicle_events_default to motomind_server",
    ),
    (
        "append_only_grants",
        "GRANT UPDATE ON change_log TO motomind_server",
        "change_log to motomind_server",
    ),
    ("definer_owner", "ALTER FUNCTION number_changes() OWNER TO postgres", "number_changes()"),
    (
        "definer_path",
        "ALTER FUNCTION delete_vehicle(uuid) RESET search_path",
        "delete_vehicle(uuid)",
    ),
    (
        "definer_not_public",
        "GRANT EXECUTE ON FUNCTION append_change(text, uuid, text) TO PUBLIC",
        "append_change(text,uuid,text)",
    ),
    ("roles_bound", "ALTER ROLE motomind_server BYPASSRLS", "motomind_server"),
    ("roles_without_login", "ALTER ROLE motomind_system LOGIN", "motomind_system"),
    (
        "roles_apart",
        "GRANT motomind_system TO motomind_server",
        "motomind_server as motomind_system",
    ),
    ("schema_closed", "GRANT CREATE ON SCHEMA public TO PUBLIC", "public"),
    (
        "partition_triggers",
        "DROP TRIGGER on_insert_3_log ON vehicle_events_2025",
        "vehicle_events_2025: on_insert_3_log",
    ),
    (
        "partition_triggers",
        "ALTER TABLE vehicle_events DISABLE TRIGGER on_insert_1_register",
        "vehicle_events: on_insert_1_register",
    ),
    (
        "partition_triggers",
        "ALTER TABLE vehicle_events_2025 DISABLE TRIGGER immutable",
        "vehicle_events_2025: immutable",
    ),
    ("record_triggers", "DROP TRIGGER queue_update ON vehicles", "vehicles: queue_update"),
    ("record_triggers", "DROP TRIGGER stamp ON reminders", "reminders: stamp"),
    ("record_triggers", "ALTER TABLE operations DISABLE TRIGGER keep", "operations: keep"),
    ("numbering_deferred", "DROP TRIGGER number_at_commit ON change_marks", "change_marks"),
    (
        "default_partition",
        "ALTER TABLE vehicle_events DETACH PARTITION vehicle_events_default",
        "vehicle_events",
    ),
];

#[tokio::test]
async fn a_migrated_database_has_no_defect() {
    let database = Postgres::shared().database().await;
    for user in [role::SERVER, role::CLIENT] {
        let client = database.connect(user).await;
        assert_eq!(catalogue::check(&client).await.unwrap(), [], "as {user}");
    }
}

#[tokio::test]
async fn each_property_that_is_taken_away_is_found() {
    let database = Postgres::shared().database().await;
    let admin = database.admin().await;
    for (rule, breakage, object) in BREAKAGES {
        admin.batch_execute("BEGIN").await.unwrap();
        admin.batch_execute(breakage).await.unwrap_or_else(|error| panic!("{breakage}: {error:?}"));
        let found = catalogue::check(&admin).await.unwrap();
        admin.batch_execute("ROLLBACK").await.unwrap();
        assert!(
            found.iter().any(|defect| defect.rule == *rule && defect.object == *object),
            "{breakage} was not found by {rule}: {found:?}"
        );
    }
    assert_eq!(catalogue::check(&admin).await.unwrap(), []);
}

#[test]
fn every_rule_is_broken_once() {
    for rule in RULES {
        assert!(BREAKAGES.iter().any(|(name, _, _)| *name == rule.name), "{}", rule.name);
    }
}
