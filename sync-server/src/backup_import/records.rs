//! Users, garages, vehicles and reminders of the backup. Rows of any other list have no table in
//! this version, or not what it needs: they are kept whole and say so. What is written here is
//! taken into documents like any other SQL client's rows.

use serde_json::Value;
use tokio_postgres::Transaction;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::values::{instant, integer, moment, no_nul, number, text, uuid};
use super::{Outcome, Row};

/// A column on its way in.
struct Column {
    name: &'static str,
    /// Postgres' type of `value`, for the cast.
    kind: &'static str,
    value: Option<String>,
}

/// Imports one row of a list that holds no events.
pub(super) async fn import(
    transaction: &mut Transaction<'_>,
    tenant: Uuid,
    source: &str,
    row: &Row,
) -> Result<Outcome, tokio_postgres::Error> {
    let (table, columns) = match source {
        "users" => ("profiles", profile(row)),
        "garages" => ("garages", garage(row)),
        "vehicles" => ("vehicles", vehicle(row)),
        "reminders" => ("reminders", reminder(row)),
        _ => {
            return Ok(Outcome::Kept(vec![
                "this version has no table for it; the whole row is kept".into(),
            ]));
        }
    };
    let Some(id) = uuid(row.get("id")) else {
        return Ok(Outcome::Refused(vec!["a record needs a UUID as id".into()]));
    };
    let there = format!("SELECT FROM {table} WHERE tenant_id = $1 AND id = $2");
    if transaction.query_opt(&there, &[&tenant, &id]).await?.is_some() {
        return Ok(Outcome::Kept(vec!["a record with this id is there already; it stands".into()]));
    }
    let unread = columns
        .iter()
        .filter(|column| column.value.is_none() && text(row.get(column.name)).is_some());
    let reasons = unread
        .map(|column| format!("{} {} cannot be read", column.name, row[column.name]))
        .collect();
    insert(transaction, tenant, id, table, columns, reasons).await
}

/// Writes a record; a column that breaks a rule is left out, with the reason, and tried without.
async fn insert(
    transaction: &mut Transaction<'_>,
    tenant: Uuid,
    id: Uuid,
    table: &str,
    mut columns: Vec<Column>,
    mut reasons: Vec<String>,
) -> Result<Outcome, tokio_postgres::Error> {
    columns.retain(|column| column.value.is_some());
    loop {
        let savepoint = transaction.transaction().await?;
        let Err(error) = write(&savepoint, tenant, id, table, &columns).await else {
            savepoint.commit().await?;
            return Ok(Outcome::remarked(reasons));
        };
        savepoint.rollback().await?;
        let Some(db) = error.as_db_error() else {
            return Err(error);
        };
        let blamed = blamed(db.constraint().unwrap_or_default());
        let Some(at) = columns.iter().position(|column| Some(column.name) == blamed) else {
            return Ok(Outcome::Refused(vec![db.message().to_string()]));
        };
        let column = columns.remove(at);
        let value = column.value.unwrap_or_default();
        reasons.push(format!("{} {value:?} is left out: {}", column.name, db.message()));
    }
}

/// The column that a constraint is about.
fn blamed(constraint: &str) -> Option<&'static str> {
    const NAMED: &[(&str, &str)] = &[
        ("profiles_email_live", "email"),
        ("garages_one_default", "is_default"),
        ("vehicles_vin_live", "vin"),
        ("vehicles_plate_live", "license_plate"),
        ("vehicles_tenant_id_garage_id_fkey", "garage_id"),
        ("reminders_tenant_id_vehicle_id_fkey", "vehicle_id"),
        ("reminders_tenant_id_garage_id_fkey", "garage_id"),
    ];
    const CHECKED: &[&str] = &[
        "email",
        "full_name",
        "role",
        "address",
        "lat",
        "lng",
        "timezone",
        "year",
        "make",
        "model",
        "trim",
        "color",
        "vin",
        "license_plate",
        "nickname",
        "manufacturer_mpg",
        "manufacturer_service_interval_miles",
        "current_mileage_override",
        "description",
        "category",
        "priority",
        "due_date",
        "due_miles",
        "status",
    ];
    let named = NAMED.iter().find(|(name, _)| *name == constraint).map(|(_, column)| *column);
    named.or_else(|| {
        let column = constraint.strip_suffix("_check")?.split_once('_')?.1;
        CHECKED.iter().copied().find(|name| *name == column)
    })
}

async fn write(
    transaction: &Transaction<'_>,
    tenant: Uuid,
    id: Uuid,
    table: &str,
    columns: &[Column],
) -> Result<(), tokio_postgres::Error> {
    let mut names = String::from("tenant_id, id");
    let mut values = String::from("$1, $2");
    let mut params: Vec<&(dyn ToSql + Sync)> = vec![&tenant, &id];
    for column in columns {
        params.push(&column.value);
        names += &format!(", {}", column.name);
        values += &format!(", ${}::text::{}", params.len(), column.kind);
    }
    let insert = format!("INSERT INTO {table} ({names}) VALUES ({values})");
    transaction.execute(&insert, &params).await?;
    Ok(())
}

fn profile(row: &Row) -> Vec<Column> {
    let preferences =
        row.get("preferences").filter(|value| value.is_object()).map(Value::to_string);
    let mut columns = vec![
        line("email", row.get("email")),
        line("full_name", row.get("full_name").or(row.get("name"))),
        line("role", row.get("role")),
        Column {
            name: "preferences",
            kind: "jsonb",
            value: preferences.filter(|text| !text.contains("\\u0000")),
        },
    ];
    columns.extend(audit(row));
    columns
}

fn garage(row: &Row) -> Vec<Column> {
    let mut columns = vec![
        line("name", row.get("name")),
        line("address", row.get("address")),
        line("timezone", row.get("timezone")),
        Column {
            name: "is_default",
            kind: "boolean",
            value: row.get("is_default").and_then(Value::as_bool).map(|is| is.to_string()),
        },
    ];
    for name in ["lat", "lng"] {
        let value = number(row.get(name)).map(|degrees| degrees.to_string());
        columns.push(Column { name, kind: "double precision", value });
    }
    columns.extend(audit(row));
    columns
}

fn vehicle(row: &Row) -> Vec<Column> {
    let mut columns = vec![line(
        "nickname",
        row.get("nickname").filter(|name| text(Some(name)).is_some()).or(row.get("display_name")),
    )];
    for name in ["make", "model", "trim", "color", "vin", "license_plate", "timezone"] {
        columns.push(line(name, row.get(name)));
    }
    for (name, older) in [
        ("year", "year"),
        ("manufacturer_mpg", "baseline_fuel_mpg"),
        ("manufacturer_service_interval_miles", "baseline_service_interval_miles"),
        ("current_mileage_override", "current_mileage_override"),
    ] {
        let value = integer(row.get(name)).or_else(|| integer(row.get(older)));
        columns.push(Column {
            name,
            kind: "integer",
            value: value.and_then(|value| i32::try_from(value).ok()).map(|value| value.to_string()),
        });
    }
    let garage = uuid(row.get("garage_id")).map(|id| id.to_string());
    columns.push(Column { name: "garage_id", kind: "uuid", value: garage });
    columns.extend(audit(row));
    columns
}

fn reminder(row: &Row) -> Vec<Column> {
    let mut columns: Vec<Column> = ["title", "description", "category", "priority"]
        .map(|name| line(name, row.get(name)))
        .into();
    // The product has had two vocabularies.
    let status = text(row.get("status")).map(|status| match status.as_str() {
        "open" | "scheduled" => "active".into(),
        "done" => "completed".into(),
        _ => no_nul(&status),
    });
    columns.push(Column { name: "status", kind: "text", value: status });
    let day = moment(row.get("due_date")).map(|moment| moment.day.to_string());
    columns.push(Column { name: "due_date", kind: "date", value: day });
    let miles = integer(row.get("due_miles")).or_else(|| integer(row.get("due_mileage")));
    let miles = miles.and_then(|miles| i32::try_from(miles).ok()).map(|miles| miles.to_string());
    columns.push(Column { name: "due_miles", kind: "integer", value: miles });
    for name in ["vehicle_id", "garage_id"] {
        let id = uuid(row.get(name)).map(|id| id.to_string());
        columns.push(Column { name, kind: "uuid", value: id });
    }
    columns.extend(audit(row));
    columns
}

/// Who wrote it and when.
fn audit(row: &Row) -> Vec<Column> {
    let moments = ["created_at", "updated_at", "deleted_at"].map(|name| Column {
        name,
        kind: "timestamptz",
        value: instant(row.get(name)).map(|at| at.to_rfc3339()),
    });
    let people = ["created_by", "updated_by", "deleted_by"].map(|name| Column {
        name,
        kind: "uuid",
        value: uuid(row.get(name)).map(|id| id.to_string()),
    });
    moments.into_iter().chain(people).collect()
}

fn line(name: &'static str, value: Option<&Value>) -> Column {
    Column { name, kind: "text", value: text(value).map(|text| no_nul(&text)) }
}
