//! Tables of the records, laid out from their declaration in `protocol`.
//!
//! Their rows are a projection of the documents. When an upgrade of the app changes the
//! declaration, the tables are laid out again and filled from the documents, without network.

use std::fmt::Write as _;

use motomind_protocol::records::schema::{Collection, Form, collections};
use motomind_protocol::{Hash, Millis, Vehicle};
use rusqlite::types::{Value as Column, ValueRef};
use rusqlite::{Connection, Row, params_from_iter};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::error::StoreError;
use crate::ids::blob;

/// Columns of every record's table before those of its fields.
const BEFORE: &str = "id, label, deleted_at, state, refused, conflicts, own, generation";
/// How many these are.
pub(super) const BEFORE_COUNT: usize = 8;

/// Counts changes of what is said here; part of the fingerprint.
const LAYOUT_VERSION: u32 = 1;

/// What the declaration of this build comes to.
pub(crate) fn fingerprint() -> String {
    let declared: Vec<&Collection> = collections().collect();
    Hash::of(format!("{LAYOUT_VERSION} {declared:?}").as_bytes()).to_string()
}

/// Creates the tables of the records in an empty schema.
pub(super) fn create(conn: &Connection, schema: &str) -> Result<(), StoreError> {
    let mut sql = String::new();
    for collection in collections() {
        table(&mut sql, schema, collection);
    }
    conn.execute_batch(&sql)?;
    let sql = format!("UPDATE {schema}.mirror SET layout = ?1");
    conn.execute(&sql, [fingerprint()])?;
    Ok(())
}

fn table(sql: &mut String, schema: &str, collection: &Collection) {
    let name = collection.name;
    // Writing to a String cannot fail.
    let _ = write!(
        sql,
        "CREATE TABLE {schema}.{name} (
           id BLOB PRIMARY KEY,
           label TEXT NOT NULL,
           deleted_at INTEGER,
           state TEXT NOT NULL,
           refused INTEGER NOT NULL,
           conflicts INTEGER NOT NULL,
           own INTEGER NOT NULL,
           generation INTEGER NOT NULL"
    );
    for field in collection.fields {
        let _ = write!(sql, ", \"{}\" {}", field.name, kind(field.form));
    }
    let _ = write!(
        sql,
        ") STRICT;
         CREATE INDEX {schema}.{name}_shown ON {name} (label, id) WHERE deleted_at IS NULL;
         CREATE INDEX {schema}.{name}_marked ON {name} (id) WHERE own = 1 OR conflicts > 0;
         INSERT INTO {schema}.record_tables (name) VALUES ('{name}');"
    );
    for unique in collection.unique {
        let columns: Vec<String> = unique.fields.iter().map(|name| format!("\"{name}\"")).collect();
        let columns = columns.join(", ");
        let code = unique.code;
        let _ = write!(sql, "CREATE INDEX {schema}.{name}_{code} ON {name} ({columns})");
        // Most have none of what only one may have.
        let alone = unique.fields.len() == 1;
        let _ = write!(
            sql,
            "{};",
            if alone { format!(" WHERE {columns} IS NOT NULL") } else { String::new() }
        );
    }
}

fn kind(form: Form) -> &'static str {
    match form {
        Form::Integer(..) | Form::Year | Form::Flag => "INTEGER",
        Form::Number(..) => "REAL",
        _ => "TEXT",
    }
}

/// Removes the tables of the records, those of an older declaration too.
pub(super) fn drop_tables(conn: &Connection, schema: &str) -> Result<(), StoreError> {
    let names: Vec<String> = {
        let mut statement = conn.prepare(&format!("SELECT name FROM {schema}.record_tables"))?;
        let names = statement.query_map([], |row| row.get(0))?;
        names.collect::<Result<_, _>>()?
    };
    for name in names {
        conn.execute_batch(&format!("DROP TABLE IF EXISTS {schema}.\"{name}\""))?;
    }
    conn.execute_batch(&format!("DELETE FROM {schema}.record_tables"))?;
    Ok(())
}

/// A record's row as it is to be shown.
pub(crate) struct RecordRow<'a> {
    pub(crate) fields: &'a Map<String, Value>,
    pub(crate) deleted_at: Option<Millis>,
    /// `agreed`, `pending` or `refused`.
    pub(crate) state: &'static str,
    /// Own edits that the server has refused.
    pub(crate) refused: u64,
    /// Fields with competing values.
    pub(crate) conflicts: usize,
    /// Something of this device is shown in it or refused.
    pub(crate) own: bool,
    pub(crate) generation: i64,
}

/// Inserts or replaces a record's row.
pub(crate) fn put_row(
    conn: &Connection,
    collection: &'static Collection,
    id: Uuid,
    row: &RecordRow<'_>,
) -> Result<(), StoreError> {
    let mut sql = format!("INSERT OR REPLACE INTO {} ({BEFORE}", collection.name);
    for field in collection.fields {
        let _ = write!(sql, ", \"{}\"", field.name);
    }
    sql.push_str(") VALUES (?");
    sql.push_str(&", ?".repeat(BEFORE_COUNT - 1 + collection.fields.len()));
    sql.push(')');
    let before = [
        Column::Blob(blob(&id).to_vec()),
        Column::Text(label(collection, id, row.fields)),
        row.deleted_at.map_or(Column::Null, Column::Integer),
        Column::Text(row.state.into()),
        Column::Integer(row.refused as i64),
        Column::Integer(row.conflicts as i64),
        Column::Integer(row.own.into()),
        Column::Integer(row.generation),
    ];
    let fields = collection.fields.iter();
    let fields = fields.map(|field| column(field.form, row.fields.get(field.name)));
    conn.prepare_cached(&sql)?.execute(params_from_iter(before.into_iter().chain(fields)))?;
    Ok(())
}

/// Removes a record's row.
pub(crate) fn remove_row(
    conn: &Connection,
    collection: &'static Collection,
    id: Uuid,
) -> Result<(), StoreError> {
    let sql = format!("DELETE FROM {} WHERE id = ?1", collection.name);
    conn.prepare_cached(&sql)?.execute([blob(&id)])?;
    Ok(())
}

/// What a list calls a record: a vehicle's display name, else what names it, else its id.
fn label(collection: &Collection, id: Uuid, fields: &Map<String, Value>) -> String {
    if collection.name == "vehicles"
        && let Ok(vehicle) = Vehicle::from_fields(id, fields.clone(), None)
    {
        return vehicle.display_name();
    }
    let named = ["name", "title", "full_name"];
    let name = named.iter().find_map(|name| fields.get(*name)?.as_str());
    name.map_or_else(|| id.to_string(), str::to_string)
}

/// A value as its column holds it. One that does not have the form of its field is not shown.
fn column(form: Form, value: Option<&Value>) -> Column {
    let Some(value) = value else { return Column::Null };
    match form {
        Form::Integer(..) | Form::Year => value.as_i64().map_or(Column::Null, Column::Integer),
        Form::Number(..) => value.as_f64().map_or(Column::Null, Column::Real),
        Form::Flag => value.as_bool().map_or(Column::Null, |flag| Column::Integer(flag.into())),
        Form::Json(_) | Form::Map(_) => Column::Text(value.to_string()),
        _ => value.as_str().map_or(Column::Null, |text| Column::Text(text.into())),
    }
}

/// A column's value.
pub(super) fn read_column(form: Form, value: ValueRef<'_>) -> Option<Value> {
    match (form, value) {
        (Form::Flag, ValueRef::Integer(flag)) => Some(Value::Bool(flag != 0)),
        (_, ValueRef::Integer(number)) => Some(Value::from(number)),
        (_, ValueRef::Real(number)) => Some(Value::from(number)),
        (Form::Json(_) | Form::Map(_), ValueRef::Text(text)) => serde_json::from_slice(text).ok(),
        (_, ValueRef::Text(text)) => Some(Value::String(String::from_utf8_lossy(text).into())),
        _ => None,
    }
}

/// Reads a row selected as [`select`] says.
pub(super) fn read_fields(
    collection: &Collection,
    row: &Row<'_>,
    first: usize,
) -> Result<Map<String, Value>, StoreError> {
    let mut fields = Map::new();
    for (index, field) in collection.fields.iter().enumerate() {
        if let Some(value) = read_column(field.form, row.get_ref(first + index)?) {
            fields.insert(field.name.into(), value);
        }
    }
    Ok(fields)
}

/// The start of a statement that reads a collection's rows: the common columns, then the fields.
pub(super) fn select(collection: &Collection) -> String {
    let mut sql = format!("SELECT {BEFORE}");
    for field in collection.fields {
        let _ = write!(sql, ", \"{}\"", field.name);
    }
    let _ = write!(sql, " FROM {}", collection.name);
    sql
}
