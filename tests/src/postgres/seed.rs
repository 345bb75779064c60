//! Rows that many database tests need, and running SQL as a tenant.

use tokio_postgres::{Client, Error};
use uuid::Uuid;

use super::Database;

impl Database {
    /// A new tenant with one vehicle: their ids.
    pub async fn tenant_with_vehicle(&self) -> (Uuid, Uuid) {
        let (tenant, vehicle) = (Uuid::new_v4(), Uuid::new_v4());
        let admin = self.admin().await;
        let tenants = "INSERT INTO tenants (id, name) VALUES ($1, 'Tenant')";
        admin.execute(tenants, &[&tenant]).await.unwrap();
        let vehicles = "INSERT INTO vehicles (tenant_id, id, nickname) VALUES ($1, $2, 'Van')";
        admin.execute(vehicles, &[&tenant, &vehicle]).await.unwrap();
        (tenant, vehicle)
    }

    /// One more vehicle of a tenant.
    pub async fn vehicle(&self, tenant: Uuid) -> Uuid {
        let vehicle = Uuid::new_v4();
        let vehicles = "INSERT INTO vehicles (tenant_id, id) VALUES ($1, $2)";
        let admin = self.admin().await;
        admin.execute(vehicles, &[&tenant, &vehicle]).await.unwrap();
        vehicle
    }
}

/// Runs statements in one transaction of a tenant; rolls back when one fails.
///
/// # Errors
/// What the first failing statement said.
pub async fn as_tenant(client: &Client, tenant: Uuid, sql: &str) -> Result<(), Error> {
    let all = format!("BEGIN; SET LOCAL app.current_tenant_id = '{tenant}'; {sql}; COMMIT");
    let result = client.batch_execute(&all).await;
    if result.is_err() {
        client.batch_execute("ROLLBACK").await?;
    }
    result
}

/// The one number that a query returns, asked in a transaction of a tenant.
pub async fn count_as_tenant(client: &Client, tenant: Uuid, query: &str) -> i64 {
    let open = format!("BEGIN; SET LOCAL app.current_tenant_id = '{tenant}'");
    client.batch_execute(&open).await.unwrap();
    let count = client.query_one(query, &[]).await.unwrap().get(0);
    client.batch_execute("COMMIT").await.unwrap();
    count
}

/// The one number that a query returns.
pub async fn count(client: &Client, query: &str) -> i64 {
    client.query_one(query, &[]).await.unwrap().get(0)
}

/// The name of the constraint that an error names, or its text.
#[must_use]
pub fn constraint(error: &Error) -> String {
    match error.as_db_error() {
        Some(db) => db.constraint().unwrap_or(db.message()).to_string(),
        None => error.to_string(),
    }
}
