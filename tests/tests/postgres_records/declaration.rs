//! Postgres' own guards against the declaration.

use std::collections::BTreeSet;

use motomind_protocol::records::check_value;
use motomind_protocol::records::schema::{COLLECTIONS, Collection, Field, Form, Unique};
use motomind_tests::postgres::{Postgres, constraint};
use motomind_tests::server::new_id;
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use super::VIN;

/// A value of the form, and one that breaks it.
fn examples(field: &Field, vehicle: Uuid) -> (Value, Option<Value>) {
    match field.form {
        Form::Line(_, max) => (json!("x".repeat(max)), Some(json!("x".repeat(max + 1)))),
        Form::Text(max) => (json!("é".repeat(max)), Some(json!("é".repeat(max + 1)))),
        Form::Integer(_, max) => (json!(max), Some(json!(max + 1))),
        Form::Number(_, max) => (json!(max), Some(json!(max + 0.5))),
        Form::Flag => (json!(true), None),
        Form::Date => (json!("9999-12-31"), Some(json!("1899-12-31"))),
        Form::Choice(words) => (json!(words[0]), Some(json!("something else"))),
        Form::Year => (json!(1900), Some(json!(1899))),
        Form::Vin => (json!(VIN), Some(json!("1HGCM82633A00435O"))),
        Form::Timezone => (json!("America/Denver"), Some(json!("Denver; DROP"))),
        Form::Ref(_) => (json!(vehicle), Some(json!(Uuid::from_u128(1)))),
        Form::Person => (json!(Uuid::from_u128(2)), None),
        Form::Photo => (json!("0".repeat(64)), Some(json!("F".repeat(64)))),
        Form::Json(_) => (json!([1, {"a": null}]), None),
        Form::Map(_) => (json!({"a": 1}), Some(json!([1]))),
    }
}

/// Writes a row in a transaction of its own, again if it is to be there twice; undone.
async fn write(
    client: &Client,
    collection: &Collection,
    rows: &[(Uuid, serde_json::Map<String, Value>, bool)],
    tenant: Uuid,
) -> Result<(), tokio_postgres::Error> {
    client.batch_execute("BEGIN").await.unwrap();
    let mut outcome = Ok(());
    for (id, fields, deleted) in rows {
        let name = collection.name;
        let id =
            if collection.unique.is_empty() && name != "profiles" && name != "conversation_threads"
            {
                None // follows from the key
            } else {
                Some(id)
            };
        let columns: String = fields.keys().map(|field| format!(", \"{field}\"")).collect();
        let values: String = fields.keys().map(|field| format!(", r.\"{field}\"")).collect();
        let insert = format!(
            "INSERT INTO {name} (tenant_id, id, deleted_at{columns})
             SELECT $1, $2, CASE WHEN $3 THEN now() END{values}
               FROM json_populate_record(NULL::{name}, $4::text::json) AS r"
        );
        let row = Value::Object(fields.clone()).to_string();
        if let Err(error) = client.execute(&insert, &[&tenant, &id, deleted, &row]).await {
            outcome = Err(error);
            break;
        }
    }
    client.batch_execute("ROLLBACK").await.unwrap();
    outcome
}

fn with_unique(
    base: &serde_json::Map<String, Value>,
    collection: &Collection,
    unique: &Unique,
    vehicle: Uuid,
) -> serde_json::Map<String, Value> {
    let mut row = base.clone();
    for name in unique.fields {
        let field = collection.fields.iter().find(|field| field.name == *name).unwrap();
        row.insert((*name).into(), examples(field, vehicle).0);
    }
    if let Some((name, word)) = unique.only {
        let word = if word == "true" { json!(true) } else { json!(word) };
        row.insert(name.into(), word);
    }
    row
}

/// The second guard, tested against the first: tables have the declared columns and no others, hold
/// what the declaration allows, refuse what it refuses, and keep live records apart as it says.
#[tokio::test]
async fn tables_are_as_they_are_declared() {
    const BESIDE: [&str; 8] = [
        "tenant_id",
        "id",
        "created_at",
        "created_by",
        "updated_at",
        "updated_by",
        "deleted_at",
        "deleted_by",
    ];
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let admin = database.admin().await;
    let garage = "INSERT INTO garages (tenant_id, id, name) VALUES ($1, $2, 'Yard')";
    admin.execute(garage, &[&tenant, &vehicle]).await.unwrap();
    let mut refused = 0;
    for collection in COLLECTIONS {
        let name = collection.name;
        let columns = "SELECT attname::text FROM pg_attribute
                        WHERE attrelid = to_regclass($1::text) AND attnum > 0 AND NOT attisdropped";
        let columns = admin.query(columns, &[&name]).await.unwrap();
        let columns: BTreeSet<String> = columns.iter().map(|row| row.get(0)).collect();
        let mut declared: BTreeSet<String> = BESIDE.map(String::from).into();
        declared.extend(collection.fields.iter().map(|field| field.name.to_string()));
        if name == "profiles" {
            declared.extend(["email".into(), "role".into()]); // the operator's
        }
        assert_eq!(columns, declared, "{name}");

        let base: serde_json::Map<String, Value> = collection
            .fields
            .iter()
            .filter(|field| field.required)
            .map(|field| (field.name.to_string(), examples(field, vehicle).0))
            .collect();
        let now = chrono::Utc::now().timestamp_millis();
        for field in collection.fields {
            let (good, bad) = examples(field, vehicle);
            check_value(field, &good, now).unwrap();
            let mut row = base.clone();
            row.insert(field.name.into(), good);
            let written =
                write(&admin, collection, &[(new_id(), row.clone(), false)], tenant).await;
            written.unwrap_or_else(|error| panic!("{name}.{}: {error:?}", field.name));
            let Some(bad) = bad else { continue };
            assert!(check_value(field, &bad, now).is_err() || matches!(field.form, Form::Ref(_)));
            row.insert(field.name.into(), bad.clone());
            let written = write(&admin, collection, &[(new_id(), row, false)], tenant).await;
            assert!(written.is_err(), "{name}.{} took {bad}", field.name);
            refused += 1;
        }
        for field in collection.fields.iter().filter(|field| field.required) {
            let mut row = base.clone();
            row.insert(field.name.into(), Value::Null);
            assert!(
                write(&admin, collection, &[(new_id(), row, false)], tenant).await.is_err(),
                "{name}.{} may not be absent",
                field.name
            );
        }
        for unique in collection.unique {
            let row = with_unique(&base, collection, unique, vehicle);
            let twice =
                |deleted| [(new_id(), row.clone(), deleted), (new_id(), row.clone(), false)];
            let error = write(&admin, collection, &twice(false), tenant).await.unwrap_err();
            assert_eq!(
                error.code().unwrap().code(),
                "23505",
                "{}: {}",
                unique.code,
                constraint(&error)
            );
            write(&admin, collection, &twice(true), tenant).await.unwrap();
            let mut only_required = base.clone();
            for name in unique.fields.iter().filter(|name| base.contains_key(**name)) {
                only_required.insert((*name).into(), row[*name].clone());
            }
            let bare = [(new_id(), only_required.clone(), false), (new_id(), only_required, false)];
            let claims = motomind_protocol::records::claims(collection, &bare[0].1);
            let both = write(&admin, collection, &bare, tenant).await;
            assert_eq!(
                both.is_err(),
                claims.iter().any(|claim| claim.code == unique.code),
                "{both:?}"
            );
        }
    }
    assert!(refused > 40, "{refused} bad values");
}
