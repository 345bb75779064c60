//! Records under concurrency, and what other SQL clients write: nothing is lost, whoever comes
//! first. And Postgres' own guards against the declaration.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use motomind_tests::postgres::Database;
use serde_json::Value;
use uuid::Uuid;

const VIN: &str = "1HGCM82633A004352";

/// Rows and documents agree, whatever was done.
async fn row_of(database: &Database, vehicle: Uuid) -> Value {
    let admin = database.admin().await;
    let row = format!("SELECT to_jsonb(v)::text FROM vehicles v WHERE id = '{vehicle}'");
    let text: String = admin.query_one(&row, &[]).await.unwrap().get(0);
    serde_json::from_str(&text).unwrap()
}

mod absorbing;
mod beginnings;
mod declaration;
mod other_clients;
mod racing;
