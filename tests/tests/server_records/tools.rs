//! A collection that this build does not have.

use motomind_protocol::Role;
use motomind_protocol::records::schema::{COLLECTIONS, Collection, Field, Form, Key, Unique};
use motomind_protocol::records::{Action, FieldEdit, Patch};
use motomind_server::serve::start;
use motomind_tests::postgres::{Postgres, as_tenant, count, role};
use motomind_tests::records::{mirrored_in, step, typed};
use motomind_tests::server::{Sender, accepted, new_id, rejection, settings};
use serde_json::{Value, json};

/// A collection that this build does not have: its declaration, and the migration of its table.
fn with_tools() -> &'static [Collection] {
    const TOOLS: Collection = Collection {
        name: "tools",
        key: Key::Made,
        fields: &[
            Field { name: "vehicle_id", form: Form::Ref("vehicles"), required: false },
            Field { name: "serial", form: Form::Line(1, 40), required: true },
            Field { name: "order", form: Form::Integer(0, 9), required: false },
            Field { name: "notes", form: Form::Text(100), required: false },
            Field { name: "settings", form: Form::Map(1_000), required: false },
        ],
        unique: &[Unique { code: "serial_taken", fields: &["serial"], only: None }],
    };
    let copy = |one: &'static Collection| Collection {
        name: one.name,
        key: one.key,
        fields: one.fields,
        unique: one.unique,
    };
    let all: Vec<Collection> = COLLECTIONS.iter().map(copy).chain([TOOLS]).collect();
    Box::leak(all.into_boxed_slice())
}

#[tokio::test]
async fn a_collection_is_a_declaration_and_a_table() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let migration = "SET ROLE motomind_owner;
        CREATE TABLE tools (
            tenant_id uuid NOT NULL DEFAULT current_tenant_id() REFERENCES tenants (id),
            id uuid NOT NULL DEFAULT gen_random_uuid(),
            vehicle_id uuid, serial text NOT NULL, \"order\" integer, notes text,
            settings jsonb NOT NULL DEFAULT '{}',
            created_at timestamptz NOT NULL DEFAULT now(), created_by uuid DEFAULT current_user_id(),
            updated_at timestamptz NOT NULL DEFAULT now(), updated_by uuid DEFAULT current_user_id(),
            deleted_at timestamptz, deleted_by uuid,
            PRIMARY KEY (tenant_id, id),
            FOREIGN KEY (tenant_id, vehicle_id) REFERENCES vehicles (tenant_id, id));
        CREATE UNIQUE INDEX ON tools (tenant_id, serial) WHERE deleted_at IS NULL;
        SELECT furnish_records('tools')";
    database.admin().await.batch_execute(migration).await.unwrap();
    let admin = database.admin().await;
    assert_eq!(motomind_server::catalogue::check(&admin).await.unwrap(), []);
    let mut settings = settings(&database);
    settings.collections = with_tools();
    let server = start(settings).await.unwrap();

    let mut ann = Sender::new(&server, tenant, Role::Manager);
    let mut bob = Sender::new(&server, tenant, Role::Manager);
    let id = new_id();
    let fields = json!({"serial": "T-1", "vehicle_id": vehicle, "order": 3});
    let twice = [ann.create("tools", id, fields.clone()), ann.create("tools", new_id(), fields)];
    let outcomes = ann.outcomes(twice.to_vec()).await;
    accepted(&outcomes[0]);
    assert_eq!(rejection(&outcomes[1]), ("serial_taken", Some("serial")));
    let tool = |changes: &[Value]| {
        mirrored_in(with_tools(), changes).remove(&("tools".to_string(), id)).unwrap()
    };
    let seen = tool(&ann.pull_all().await.0);
    for (device, words, key) in [(&mut ann, "by Ann", "a"), (&mut bob, "by Bob", "b")] {
        let mut patch = typed("notes", 0, words);
        let keys = [(key.to_string(), json!(true))].into_iter().collect();
        patch.insert("settings".into(), FieldEdit::Keys(keys));
        let edit = device.edit(&seen, patch);
        accepted(&device.outcome(edit).await);
    }
    let client = database.connect(role::CLIENT).await;
    as_tenant(&client, tenant, "UPDATE tools SET \"order\" = 4").await.unwrap();
    as_tenant(&client, tenant, &format!("SELECT delete_record('tools', '{id}')")).await.unwrap();
    let now = tool(&ann.pull_all().await.0);
    assert_eq!(now.field("order"), 4);
    assert_eq!(now.field("settings"), json!({"a": true, "b": true}));
    assert_eq!(now.field("notes").as_str().unwrap().len(), 12, "all that both typed");
    assert!(now.document.deleted_at().is_some());
    let row = "SELECT count(*) FROM tools WHERE settings = '{\"a\": true, \"b\": true}'
                  AND char_length(notes) = 12 AND deleted_at IS NOT NULL";
    assert_eq!(count(&admin, row).await, 1);
    let restore = ann.act(&now, step(Action::Restore, Patch::new()));
    accepted(&ann.outcome(restore).await);
    assert_eq!(count(&admin, "SELECT count(*) FROM active_tools").await, 1);
    server.stop().await;
}
