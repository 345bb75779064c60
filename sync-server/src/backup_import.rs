//! Imports the product's backup JSON: losslessly, any number of times, with a report.
//!
//! Every row of the backup is kept whole in `imported_rows`. What has a place in the schema is
//! *mapped*; a value that breaks a rule is moved aside, under `imported_…` in an event's payload or
//! left in the kept row, and the row counts as *kept as other* with the reason; what cannot become a
//! row at all (no id, no vehicle, no date) is *refused*, and tried again by the next import.
//!
//! One transaction per batch, as `motomind_owner` with the batch's tenant set: row-level security
//! binds the import like anyone.

mod draft;
mod events;
mod records;
mod values;

use std::collections::{BTreeMap, HashMap};

use motomind_protocol::Hash;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio_postgres::{Client, Transaction};
use uuid::Uuid;

use values::{text, uuid};

/// Rows of one transaction.
const BATCH_ROWS: usize = 500;

/// A row of the backup.
type Row = Map<String, Value>;

/// Why a backup could not be imported at all. Rows that cannot are in the report instead.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is not a backup.
    #[error("this is not a backup of the product: {0}")]
    NotABackup(String),
    /// The database failed; batches before it stay imported, run it again.
    #[error("database: {0}")]
    Postgres(#[from] tokio_postgres::Error),
}

/// What became of the rows of a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// By list of the backup, such as `vehicles` or `fuel_logs`.
    pub sources: BTreeMap<String, SourceReport>,
}

/// What became of the rows of one list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SourceReport {
    /// Rows that found their place completely.
    pub mapped: u64,
    /// Rows that an earlier import had dealt with.
    pub unchanged: u64,
    /// Rows kept as other, in part or whole, and why.
    pub kept: Vec<RowNote>,
    /// Rows that could not become anything, and why. They are in `imported_rows`, if they name a tenant.
    pub refused: Vec<RowNote>,
}

/// A row and what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowNote {
    /// Its id in the backup.
    pub id: String,
    /// Sentences for people.
    pub reasons: Vec<String>,
}

/// What became of one row.
enum Outcome {
    Mapped,
    Kept(Vec<String>),
    Refused(Vec<String>),
}

impl Outcome {
    /// Mapped, if there is nothing to remark.
    fn remarked(reasons: Vec<String>) -> Self {
        if reasons.is_empty() { Self::Mapped } else { Self::Kept(reasons) }
    }

    fn stored(&self) -> (&'static str, &[String]) {
        match self {
            Self::Mapped => ("mapped", &[]),
            Self::Kept(reasons) => ("kept", reasons),
            Self::Refused(reasons) => ("refused", reasons),
        }
    }
}

/// Imports a backup (the parsed JSON file). The connection must be able to act as
/// `motomind_owner`.
///
/// # Errors
/// [`ImportError`]; running it again goes on where it stopped.
pub async fn import(client: &mut Client, backup: &Value) -> Result<ImportReport, ImportError> {
    let lists = lists(backup)?;
    let mut report = ImportReport::default();
    let tenants = import_tenants(client, lists.get("tenants"), &mut report).await?;
    let owners = Owners::of(&lists, tenants);
    let known = ["users", "garages", "vehicles", "reminders"];
    let order = known.into_iter().chain(events::SOURCES.iter().copied());
    let others = lists.keys().map(String::as_str);
    let others = others.filter(|name| {
        *name != "tenants" && !known.contains(name) && !events::SOURCES.contains(name)
    });
    for source in order.chain(others) {
        let Some(rows) = lists.get(source) else {
            continue;
        };
        import_source(client, source, rows, &owners, &mut report).await?;
    }
    Ok(report)
}

/// The backup's lists by name, those of `legacy_events` beside the others.
fn lists(backup: &Value) -> Result<BTreeMap<String, Vec<Value>>, ImportError> {
    let Value::Object(backup) = backup else {
        return Err(ImportError::NotABackup("it is no JSON object".into()));
    };
    if !["tenants", "vehicles", "current_events"].iter().any(|name| backup.contains_key(*name)) {
        return Err(ImportError::NotABackup(
            "it has no tenants, vehicles or current_events".into(),
        ));
    }
    let legacy = backup.get("legacy_events").and_then(Value::as_object).into_iter().flatten();
    Ok(backup
        .iter()
        .chain(legacy)
        .filter_map(|(name, rows)| Some((name.clone(), rows.as_array()?.clone())))
        .collect())
}

/// Who owns a row that does not say so itself.
struct Owners {
    tenants: Vec<Uuid>,
    by_vehicle: HashMap<Uuid, Uuid>,
}

impl Owners {
    fn of(lists: &BTreeMap<String, Vec<Value>>, tenants: Vec<Uuid>) -> Self {
        let vehicles = lists.get("vehicles").into_iter().flatten();
        let by_vehicle = vehicles
            .filter_map(|row| Some((uuid(row.get("id"))?, uuid(row.get("tenant_id"))?)))
            .collect();
        Self { tenants, by_vehicle }
    }

    /// The tenant that a row names, or its vehicle's, or the only one there is.
    fn tenant(&self, row: &Row) -> Option<Uuid> {
        let only = || {
            if let [only] = self.tenants.as_slice() { Some(*only) } else { None }
        };
        uuid(row.get("tenant_id"))
            .or_else(|| self.by_vehicle.get(&uuid(row.get("vehicle_id"))?).copied())
            .or_else(only)
            .filter(|tenant| self.tenants.contains(tenant))
    }
}

async fn import_tenants(
    client: &mut Client,
    rows: Option<&Vec<Value>>,
    report: &mut ImportReport,
) -> Result<Vec<Uuid>, ImportError> {
    let source = report.sources.entry("tenants".into()).or_default();
    let mut tenants = Vec::new();
    for row in rows.into_iter().flatten() {
        let (Some(id), Some(row)) = (uuid(row.get("id")), row.as_object()) else {
            source.refused.push(note(row.as_object(), vec!["a tenant needs a UUID as id".into()]));
            continue;
        };
        let transaction = begin(client, id).await?;
        let name = text(row.get("name")).unwrap_or_else(|| id.to_string());
        let name: String = name.chars().take(200).collect();
        let active = row.get("is_active") != Some(&Value::Bool(false));
        let insert =
            "INSERT INTO tenants (id, name, is_active) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        let fresh = transaction.execute(insert, &[&id, &name, &active]).await?;
        keep_row(&transaction, id, "tenants", row, &Outcome::Mapped).await?;
        transaction.commit().await?;
        source.mapped += fresh;
        source.unchanged += 1 - fresh;
        tenants.push(id);
    }
    Ok(tenants)
}

async fn import_source(
    client: &mut Client,
    source: &str,
    rows: &[Value],
    owners: &Owners,
    report: &mut ImportReport,
) -> Result<(), ImportError> {
    let report = report.sources.entry(source.into()).or_default();
    let mut by_tenant: BTreeMap<Uuid, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        match row.as_object().and_then(|row| Some((owners.tenant(row)?, row))) {
            Some((tenant, row)) => by_tenant.entry(tenant).or_default().push(row),
            None => {
                let why = "it is no object, or of no tenant of this backup";
                report.refused.push(note(row.as_object(), vec![why.into()]));
            }
        }
    }
    for (tenant, mut rows) in by_tenant {
        // Readings in their order: of two that contradict each other, the earlier one stands.
        rows.sort_by_cached_key(|row| (draft::sort_key(row), row_id(row)));
        for batch in rows.chunks(BATCH_ROWS) {
            import_batch(client, tenant, source, batch, report).await?;
        }
    }
    Ok(())
}

async fn import_batch(
    client: &mut Client,
    tenant: Uuid,
    source: &str,
    rows: &[&Row],
    report: &mut SourceReport,
) -> Result<(), ImportError> {
    let mut transaction = begin(client, tenant).await?;
    let settled = settled(&transaction, tenant, source, rows).await?;
    for row in rows {
        let outcome = match settled.get(&row_id(row)) {
            Some(hash) if *hash == row_hash(row).0 => {
                report.unchanged += 1;
                continue;
            }
            Some(_) => {
                let why = "an earlier import brought this row with other content, which stands";
                report.kept.push(note(Some(row), vec![why.into()]));
                continue;
            }
            None if events::SOURCES.contains(&source) => {
                events::import(&mut transaction, tenant, source, row).await?
            }
            None => records::import(&mut transaction, tenant, source, row).await?,
        };
        keep_row(&transaction, tenant, source, row, &outcome).await?;
        match outcome {
            Outcome::Mapped => report.mapped += 1,
            Outcome::Kept(reasons) => report.kept.push(note(Some(row), reasons)),
            Outcome::Refused(reasons) => report.refused.push(note(Some(row), reasons)),
        }
    }
    transaction.commit().await?;
    Ok(())
}

/// Begins a transaction as the owner, bound to one tenant.
async fn begin(
    client: &mut Client,
    tenant: Uuid,
) -> Result<Transaction<'_>, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    let bound =
        format!("SET LOCAL ROLE motomind_owner; SET LOCAL app.current_tenant_id = '{tenant}'");
    transaction.batch_execute(&bound).await?;
    Ok(transaction)
}

/// The rows of a batch that an earlier import has settled, with their hashes.
async fn settled(
    transaction: &Transaction<'_>,
    tenant: Uuid,
    source: &str,
    rows: &[&Row],
) -> Result<HashMap<String, Vec<u8>>, tokio_postgres::Error> {
    let ids: Vec<String> = rows.iter().map(|row| row_id(row)).collect();
    let query = "SELECT row_id, hash FROM imported_rows
                  WHERE tenant_id = $1 AND source = $2 AND row_id = ANY($3) AND outcome <> 'refused'";
    let found = transaction.query(query, &[&tenant, &source, &ids]).await?;
    Ok(found.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn keep_row(
    transaction: &Transaction<'_>,
    tenant: Uuid,
    source: &str,
    row: &Row,
    outcome: &Outcome,
) -> Result<(), tokio_postgres::Error> {
    let (outcome, reasons) = outcome.stored();
    let reasons: Vec<String> = reasons.iter().map(|reason| values::no_nul(reason)).collect();
    transaction
        .execute(
            "INSERT INTO imported_rows (tenant_id, source, row_id, hash, row, outcome, reasons)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (tenant_id, source, row_id) DO UPDATE
                SET hash = excluded.hash, row = excluded.row, outcome = excluded.outcome, reasons = excluded.reasons
              WHERE imported_rows.outcome = 'refused'",
            &[
                &tenant,
                &source,
                &row_id(row),
                &&row_hash(row).0[..],
                &row_json(row),
                &outcome,
                &reasons,
            ],
        )
        .await?;
    Ok(())
}

fn row_json(row: &Row) -> String {
    Value::Object(row.clone()).to_string()
}

fn row_hash(row: &Row) -> Hash {
    Hash::of(row_json(row).as_bytes())
}

/// The row's id; of one without, its hash, so that it is still one row.
fn row_id(row: &Row) -> String {
    text(row.get("id")).map_or_else(|| row_hash(row).to_string(), |id| values::no_nul(&id))
}

fn note(row: Option<&Row>, reasons: Vec<String>) -> RowNote {
    let id = row.map_or_else(|| "?".into(), row_id);
    RowNote { id, reasons }
}
