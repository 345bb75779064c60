//! Maintenance of the partitions of `vehicle_events`: years are made ahead of need, and rows that
//! came before their year had a partition are moved into it.
//!
//! Runs as the operator (a connection that may act as `motomind_owner`), on a schedule, never from
//! an insert. Running it twice, or twice at once, is harmless.

use std::time::Instant;

use chrono::{Datelike, NaiveDate};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// Years beyond the present one that have a partition.
pub const YEARS_AHEAD: i32 = 2;

/// Rows of one past year in the default partition from which on that year earns its own.
pub const ADOPT_ROWS_MIN: i64 = 10_000;

/// How often a partition's locks are asked for, half a second each.
const LOCK_TRIES_MAX: u32 = 120;

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionReport {
    /// Years that got their partition, with the number of rows moved into it.
    pub made: Vec<(i32, i64)>,
    /// Years whose rows rest in the default partition afterwards, with their number.
    pub resting: Vec<(i32, i64)>,
}

/// Makes the partitions of `today`'s year and the [`YEARS_AHEAD`], and those of other years with
/// at least `adopt_rows_min` rows in the default partition. Each year is its own transaction;
/// writers of events wait while one is made.
///
/// # Errors
/// The database's; years made before stay made. Moved rows whose hashes differ are an error and
/// that year's transaction is rolled back.
pub async fn maintain_partitions(
    client: &mut Client,
    today: NaiveDate,
    adopt_rows_min: i64,
) -> Result<PartitionReport, tokio_postgres::Error> {
    let started = Instant::now();
    let mut years: Vec<i32> = (today.year()..=today.year() + YEARS_AHEAD).collect();
    let resting = resting_years(client).await?;
    years.extend(resting.iter().filter(|(_, rows)| *rows >= adopt_rows_min).map(|(year, _)| *year));
    years.sort_unstable();
    years.dedup();
    let mut report = PartitionReport::default();
    for year in years {
        if let Some(moved) = make_partition(client, year).await? {
            report.made.push((year, moved));
        }
    }
    report.resting = resting_years(client).await?;
    record(client, started, &report).await?;
    Ok(report)
}

/// Makes one year's partition; the rows it took over, or `None` when it was there. The locks are
/// asked for again when somebody held them too long: the wait for them is the pause between tries.
async fn make_partition(
    client: &mut Client,
    year: i32,
) -> Result<Option<i64>, tokio_postgres::Error> {
    let mut tries = LOCK_TRIES_MAX;
    loop {
        let transaction = client.transaction().await?;
        transaction.batch_execute("SET LOCAL ROLE motomind_owner").await?;
        let made = transaction.query_one("SELECT public.make_event_partition($1)", &[&year]).await;
        match made {
            Ok(row) => {
                transaction.commit().await?;
                return Ok(Some(row.get(0)).filter(|moved: &i64| *moved >= 0));
            }
            Err(error) => {
                transaction.rollback().await?;
                let busy = [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED];
                tries -= 1;
                if tries == 0 || !error.code().is_some_and(|code| busy.contains(code)) {
                    return Err(error);
                }
            }
        }
    }
}

async fn resting_years(client: &mut Client) -> Result<Vec<(i32, i64)>, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute("SET LOCAL ROLE motomind_owner").await?;
    let rows =
        transaction.query("SELECT year, rows FROM public.default_partition_years()", &[]).await?;
    transaction.commit().await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn record(
    client: &mut Client,
    started: Instant,
    report: &PartitionReport,
) -> Result<(), tokio_postgres::Error> {
    let moved: i64 = report.made.iter().map(|(_, rows)| rows).sum();
    let resting: i64 = report.resting.iter().map(|(_, rows)| rows).sum();
    let outcome = format!(
        "{} partitions made, {moved} events moved, {resting} events in the default partition",
        report.made.len()
    );
    let duration_ms = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
    let transaction = client.transaction().await?;
    transaction.batch_execute("SET LOCAL ROLE motomind_owner").await?;
    transaction
        .execute(
            "INSERT INTO public.maintenance_runs (job, started_at, duration_ms, outcome)
             VALUES ('partitions', clock_timestamp(), $1, $2)",
            &[&duration_ms, &outcome],
        )
        .await?;
    transaction.commit().await
}
