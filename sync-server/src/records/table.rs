//! The statements of a collection's table, made from its declaration.

use motomind_protocol::records::schema::{Collection, Field, Form, Unique};
use serde_json::Value;

/// Locks rows, in one order for everyone. `$2`: ids.
pub(super) fn lock(collection: &Collection) -> String {
    format!(
        "SELECT id FROM {} WHERE tenant_id = $1 AND id = ANY($2) ORDER BY id FOR NO KEY UPDATE",
        collection.name
    )
}

/// Locks queued rows that nobody else has locked. `$2`: after this id; `$3`: at most so many.
pub(super) fn lock_queued(collection: &Collection) -> String {
    format!(
        "SELECT t.id FROM record_queue AS q
         JOIN {0} AS t ON t.tenant_id = q.tenant_id AND t.id = q.record_id
         WHERE q.tenant_id = $1 AND q.collection = '{0}' AND q.record_id > $2
         ORDER BY q.record_id LIMIT $3 FOR NO KEY UPDATE OF t SKIP LOCKED",
        collection.name
    )
}

/// How many queued rows there are, whoever holds them. `$2`: after this id.
pub(super) fn count_queued(collection: &Collection) -> String {
    format!(
        "SELECT count(*) FROM record_queue AS q
         JOIN {0} AS t ON t.tenant_id = q.tenant_id AND t.id = q.record_id
         WHERE q.tenant_id = $1 AND q.collection = '{0}' AND q.record_id > $2",
        collection.name
    )
}

/// Reads rows as other SQL clients left them. `$2`: ids. What was deleted at no instant that can be
/// counted is deleted now.
pub(super) fn read(collection: &Collection) -> String {
    let fields = collection.fields.iter().map(|field| format!("'{0}', \"{0}\"", field.name));
    let fields = fields.collect::<Vec<_>>().join(", ");
    format!(
        "SELECT id, json_build_object({fields})::text,
                epoch_ms(CASE WHEN isfinite(deleted_at) THEN deleted_at
                              WHEN deleted_at IS NOT NULL THEN now() END),
                updated_by, epoch_ms(CASE WHEN isfinite(updated_at) THEN updated_at END)
         FROM {} WHERE tenant_id = $1 AND id = ANY($2)",
        collection.name
    )
}

/// Which of these are there. `$2`: ids. Of garages only live ones, held so that nobody deletes
/// them meanwhile.
pub(super) fn there(collection: &Collection) -> String {
    let name = collection.name;
    if name == super::GARAGES {
        format!(
            "SELECT id FROM {name} WHERE tenant_id = $1 AND id = ANY($2) AND deleted_at IS NULL
             ORDER BY id FOR SHARE"
        )
    } else {
        format!("SELECT id FROM {name} WHERE tenant_id = $1 AND id = ANY($2)")
    }
}

/// Writes rows that are not there yet. `$2`: a JSON array of rows.
pub(super) fn insert(collection: &Collection) -> String {
    let name = collection.name;
    let columns = collection.fields.iter().map(|field| format!("\"{}\", ", field.name));
    let values = collection.fields.iter().map(|field| format!("{}, ", projected(field)));
    format!(
        "INSERT INTO {name} (tenant_id, id, {}deleted_at, deleted_by)
         SELECT $1, r.id, {}r.deleted_at,
                CASE WHEN r.deleted_at IS NOT NULL THEN current_user_id() END
         FROM json_populate_recordset(NULL::{name}, $2::text::json) AS r",
        columns.collect::<String>(),
        values.collect::<String>()
    )
}

/// Writes rows that are there. `$2`: a JSON array of rows.
pub(super) fn update(collection: &Collection) -> String {
    let name = collection.name;
    let sets = collection.fields.iter();
    let sets = sets.map(|field| format!("\"{}\" = {}, ", field.name, projected(field)));
    format!(
        "UPDATE {name} AS t SET {}deleted_at = r.deleted_at
         FROM json_populate_recordset(NULL::{name}, $2::text::json) AS r
         WHERE t.tenant_id = $1 AND t.id = r.id",
        sets.collect::<String>()
    )
}

/// Flags and objects are never absent in a row.
fn projected(field: &Field) -> String {
    match field.form {
        Form::Flag => format!("COALESCE(r.\"{}\", false)", field.name),
        Form::Map(_) => format!("COALESCE(r.\"{}\", '{{}}')", field.name),
        _ => format!("r.\"{}\"", field.name),
    }
}

/// Finds the live records that hold what is claimed. `$2`: a JSON array of rows with the claimed
/// fields; `values` are those of one of them: absent fields are absent in all.
pub(super) fn holders(collection: &Collection, unique: &Unique, values: &[Value]) -> String {
    let name = collection.name;
    let same = unique.fields.iter().zip(values).map(|(field, value)| match value {
        Value::Null => format!(" AND t.\"{field}\" IS NULL"),
        _ => format!(" AND t.\"{field}\" = c.\"{field}\""),
    });
    let only = unique.only.map_or_else(String::new, |(field, word)| match word {
        "true" => format!(" AND t.\"{field}\""),
        word => format!(" AND t.\"{field}\" = '{word}'"),
    });
    format!(
        "SELECT a.nth, t.id
         FROM json_array_elements($2::text::json) WITH ORDINALITY AS a (item, nth)
         CROSS JOIN LATERAL json_populate_record(NULL::{name}, a.item) AS c
         JOIN {name} AS t ON t.tenant_id = $1 AND t.deleted_at IS NULL{}{only}",
        same.collect::<String>()
    )
}
