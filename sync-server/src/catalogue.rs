//! The catalogue check: what keeps tenants apart is read back from Postgres' own catalogue.
//!
//! Each [`Rule`] is one query for the objects that break it; no rows means it holds. `doctor` runs
//! them, the tests run them, and a test breaks each in turn and sees it found.

use tokio_postgres::Client;

/// A property that every object of its kind must have.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// A stable name.
    pub name: &'static str,
    /// What is wrong with an object that breaks it.
    pub defect: &'static str,
    /// Returns the names of the objects that break it.
    sql: &'static str,
}

/// An object that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// [`Rule::name`].
    pub rule: &'static str,
    /// [`Rule::defect`].
    pub defect: &'static str,
    /// The object.
    pub object: String,
}

impl std::fmt::Display for Defect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({})", self.object, self.defect, self.rule)
    }
}

/// Checks the whole catalogue. Any role may: the catalogue is readable by all.
///
/// # Errors
/// The database's.
pub async fn check(client: &Client) -> Result<Vec<Defect>, tokio_postgres::Error> {
    let mut defects = Vec::new();
    for rule in RULES {
        let sql = format!("{COMMON} {}", rule.sql);
        for row in client.query(&sql, &[]).await? {
            defects.push(Defect { rule: rule.name, defect: rule.defect, object: row.get(0) });
        }
    }
    Ok(defects)
}

/// `tables`: every table and partition of ours. `tenant_tables`: those that hold tenants' rows, with
/// the column that says whose.
const COMMON: &str = "
WITH tables AS (
    SELECT c.* FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
), tenant_tables AS (
    SELECT t.*, CASE t.relname WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END AS wall
      FROM tables t WHERE t.relname NOT IN ('schema_migrations', 'maintenance_runs')
), partitions AS (
    SELECT t.* FROM tables t
      JOIN pg_inherits i ON i.inhrelid = t.oid AND i.inhparent = to_regclass('public.vehicle_events')
), definers AS (
    SELECT p.* FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef
)";

const fn rule(name: &'static str, defect: &'static str, sql: &'static str) -> Rule {
    Rule { name, defect, sql }
}

/// Every rule.
pub const RULES: &[Rule] = &[
    rule(
        "rls_enabled",
        "has row-level security switched off",
        "SELECT relname::text FROM tables WHERE NOT relrowsecurity",
    ),
    rule(
        "rls_forced",
        "does not force row-level security on its owner",
        "SELECT relname::text FROM tables WHERE NOT relforcerowsecurity",
    ),
    rule(
        "tenant_wall",
        "has no policy that ties every row, read or written, to the transaction's tenant",
        "SELECT t.relname::text FROM tenant_tables t WHERE NOT EXISTS (
             SELECT FROM pg_policy p
              WHERE p.polrelid = t.oid AND p.polname = 'tenant_wall' AND p.polpermissive
                AND p.polcmd = '*' AND p.polroles = '{0}'
                AND pg_get_expr(p.polqual, t.oid) = format(
                    '(%s = (NULLIF(current_setting(''app.current_tenant_id''::text, true), ''''::text))::uuid)', t.wall)
                AND pg_get_expr(p.polwithcheck, t.oid) = pg_get_expr(p.polqual, t.oid))",
    ),
    rule(
        "no_second_door",
        "has another permissive policy; permissive policies are OR-ed and undo the wall",
        "SELECT t.relname || '.' || p.polname FROM tenant_tables t JOIN pg_policy p ON p.polrelid = t.oid
          WHERE p.polpermissive AND p.polname <> 'tenant_wall'
            AND p.polroles <> ARRAY['motomind_system'::regrole::oid]",
    ),
    rule(
        "tenant_column",
        "has no NOT NULL tenant_id of type uuid",
        "SELECT t.relname::text FROM tenant_tables t WHERE NOT EXISTS (
             SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attname = t.wall
                AND a.attnotnull AND a.atttypid = 'uuid'::regtype)",
    ),
    rule(
        "tenant_first_key",
        "has no primary key, or one that does not start with the tenant",
        "SELECT t.relname::text FROM tenant_tables t WHERE NOT EXISTS (
             SELECT FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.conkey[1]
              WHERE k.conrelid = t.oid AND k.contype = 'p' AND a.attname = t.wall)",
    ),
    rule(
        "tenant_first_unique",
        "is a unique index that does not start with the tenant: one tenant's value blocks another's",
        "SELECT i.indexrelid::regclass::text FROM tenant_tables t JOIN pg_index i ON i.indrelid = t.oid
          WHERE i.indisunique AND NOT EXISTS (
              SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum = i.indkey[0] AND a.attname = t.wall)",
    ),
    rule(
        "foreign_key_carries_tenant",
        "is a foreign key that does not carry the tenant: its check ignores row-level security",
        "SELECT t.relname || '.' || k.conname FROM tenant_tables t JOIN pg_constraint k ON k.conrelid = t.oid
          WHERE k.contype = 'f' AND NOT EXISTS (
              SELECT FROM generate_subscripts(k.conkey, 1) AS at
                JOIN pg_attribute mine ON mine.attrelid = k.conrelid AND mine.attnum = k.conkey[at]
                JOIN pg_attribute theirs ON theirs.attrelid = k.confrelid AND theirs.attnum = k.confkey[at]
               WHERE mine.attname = 'tenant_id'
                 AND theirs.attname = CASE k.confrelid WHEN to_regclass('public.tenants') THEN 'id' ELSE 'tenant_id' END)",
    ),
    rule(
        "owner",
        "is not owned by motomind_owner",
        "SELECT c.relname::text FROM pg_class c
          WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
            AND c.relowner <> 'motomind_owner'::regrole
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')",
    ),
    rule(
        "view_as_invoker",
        "is a view with its owner's rights",
        "SELECT c.relname::text FROM pg_class c
          WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v'
            AND NOT COALESCE('security_invoker=true' = ANY (c.reloptions), false)
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')",
    ),
    rule(
        "no_shared_matview",
        "is a materialised view somebody else may read; it has no row-level security",
        "SELECT DISTINCT c.relname::text FROM pg_class c, aclexplode(c.relacl) a
          WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'm' AND a.grantee <> c.relowner",
    ),
    rule(
        "no_public_grant",
        "is granted to PUBLIC",
        "SELECT c.relname || ': ' || a.privilege_type FROM pg_class c, aclexplode(c.relacl) a
          WHERE c.relnamespace = 'public'::regnamespace AND a.grantee = 0
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')",
    ),
    rule(
        "no_destructive_grant",
        "grants more than SELECT, INSERT and UPDATE to a role that serves; a work table's rows may go",
        "SELECT t.relname || ': ' || a.privilege_type || ' to ' || a.grantee::regrole::text
           FROM tables t, aclexplode(t.relacl) a
          WHERE a.privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE')
            AND NOT (t.relname = 'uploads' AND a.privilege_type = 'DELETE' AND a.grantee = 'motomind_server'::regrole)
            AND a.grantee NOT IN ('motomind_owner'::regrole, 'motomind_system'::regrole)",
    ),
    rule(
        "append_only_grants",
        "grants UPDATE to a role that serves, on what is never altered",
        "SELECT t.relname || ' to ' || a.grantee::regrole::text FROM tables t, aclexplode(t.relacl) a
          WHERE a.privilege_type = 'UPDATE'
            AND a.grantee NOT IN ('motomind_owner'::regrole, 'motomind_system'::regrole)
            AND (t.relname IN ('vehicle_events', 'vehicle_event_audit_logs', 'change_log', 'event_registry', 'earlier_documents',
                             'photo_metadata', 'event_photos', 'location_corrections') OR t.oid IN (SELECT oid FROM partitions))",
    ),
    rule(
        "definer_owner",
        "runs with the rights of another role than motomind_system",
        "SELECT oid::regprocedure::text FROM definers WHERE proowner <> 'motomind_system'::regrole",
    ),
    rule(
        "definer_path",
        "is SECURITY DEFINER without a fixed search_path that ends in pg_temp",
        "SELECT oid::regprocedure::text FROM definers
          WHERE NOT COALESCE('search_path=pg_catalog, public, pg_temp' = ANY (proconfig), false)",
    ),
    rule(
        "definer_not_public",
        "is SECURITY DEFINER and anybody may call it",
        "SELECT d.oid::regprocedure::text FROM definers d
          WHERE EXISTS (SELECT FROM aclexplode(COALESCE(d.proacl, acldefault('f', d.proowner))) a
                         WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE')",
    ),
    rule(
        "roles_bound",
        "is a role that row-level security does not bind",
        "SELECT rolname::text FROM pg_roles
          WHERE rolname IN ('motomind_owner', 'motomind_system', 'motomind_server', 'motomind_client')
            AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)",
    ),
    rule(
        "roles_without_login",
        "may log in and must not",
        "SELECT rolname::text FROM pg_roles
          WHERE rolname IN ('motomind_owner', 'motomind_system', 'motomind_client') AND rolcanlogin",
    ),
    rule(
        "roles_apart",
        "may act as a role that sees beyond its tenant",
        "SELECT serving || ' as ' || strong
           FROM unnest(ARRAY['motomind_server', 'motomind_client', 'motomind_owner']) AS serving,
                unnest(ARRAY['motomind_owner', 'motomind_system']) AS strong
          WHERE serving <> strong AND pg_has_role(serving, strong, 'MEMBER')",
    ),
    rule(
        "schema_closed",
        "lets everybody create objects, which definer functions could take for ours",
        "SELECT n.nspname::text FROM pg_namespace n, aclexplode(n.nspacl) a
          WHERE n.nspname = 'public' AND a.grantee = 0 AND a.privilege_type = 'CREATE'",
    ),
    rule(
        "partition_triggers",
        "lacks a trigger that its parent has, or has it switched off",
        "SELECT part.relname || ': ' || wanted.name
           FROM (SELECT oid, relname FROM partitions
                 UNION ALL SELECT oid, relname FROM tables WHERE relname = 'vehicle_events') AS part,
                unnest(ARRAY['immutable', 'immutable_whole', 'on_insert_1_register',
                             'on_insert_2_settle', 'on_insert_3_log', 'on_insert_4_audit']) AS wanted (name)
          WHERE NOT EXISTS (SELECT FROM pg_trigger g
                             WHERE g.tgrelid = part.oid AND g.tgname = wanted.name AND g.tgenabled IN ('O', 'A'))",
    ),
    rule(
        "record_triggers",
        "lacks a trigger, or has it switched off",
        "SELECT wanted.relation || ': ' || wanted.trigger
           FROM (VALUES ('vehicles', 'stamp_vehicle'), ('user_maintenance_preferences', 'key'),
                        ('vehicle_spec_enhancements', 'key'),
                        ('tenants', 'open_log'),
                        ('change_log', 'number_events'),
                        ('vehicle_event_audit_logs', 'immutable'), ('vehicle_event_audit_logs', 'immutable_whole'),
                        ('earlier_documents', 'immutable'), ('earlier_documents', 'immutable_whole'),
                        ('photo_metadata', 'immutable'), ('photo_metadata', 'immutable_whole'),
                        ('event_photos', 'immutable'), ('event_photos', 'immutable_whole'),
                        ('event_photos', 'place'), ('event_photos', 'log'),
                        ('location_corrections', 'immutable'), ('location_corrections', 'immutable_whole'),
                        ('location_corrections', 'place'), ('location_corrections', 'measure'),
                        ('location_corrections', 'log'),
                        ('capture_sessions', 'place'), ('capture_sessions', 'log_insert'),
                        ('capture_sessions', 'log_update'), ('capture_sessions', 'refuse_delete'),
                        ('operations', 'keep'), ('operations', 'refuse_delete'),
                        ('rejected_operations', 'keep'), ('rejected_operations', 'refuse_delete'),
                        ('devices', 'refuse_delete')) AS wanted (relation, trigger)
          WHERE NOT EXISTS (SELECT FROM pg_trigger g
                             WHERE g.tgrelid = to_regclass('public.' || wanted.relation)
                               AND g.tgname = wanted.trigger AND g.tgenabled IN ('O', 'A'))
         UNION ALL
         SELECT relation || ': ' || trigger
           FROM unnest(ARRAY['profiles', 'garages', 'vehicles', 'reminders', 'user_maintenance_preferences',
                             'vehicle_spec_enhancements', 'vehicle_images', 'conversation_threads']) AS relation,
                unnest(ARRAY['queue_insert', 'queue_update', 'stamp', 'refuse_delete']) AS trigger
          WHERE NOT EXISTS (SELECT FROM pg_trigger g
                             WHERE g.tgrelid = to_regclass('public.' || relation)
                               AND g.tgname = trigger AND g.tgenabled IN ('O', 'A'))",
    ),
    rule(
        "numbering_deferred",
        "does not number changes at commit",
        "SELECT 'change_marks' WHERE NOT EXISTS (
             SELECT FROM pg_trigger g WHERE g.tgrelid = to_regclass('public.change_marks')
                AND g.tgname = 'number_at_commit' AND g.tgenabled IN ('O', 'A') AND g.tginitdeferred)",
    ),
    rule(
        "default_partition",
        "has no default partition: some dates are errors",
        "SELECT 'vehicle_events' WHERE NOT EXISTS (
             SELECT FROM partitions p WHERE pg_get_expr(p.relpartbound, p.oid) = 'DEFAULT')",
    ),
];
