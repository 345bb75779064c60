//! The subcommands of `motomind-server`. They print: this is the operator's side.

pub(crate) mod dev;
pub(crate) mod dev_web;
pub(crate) mod devices;
pub(crate) mod doctor;
pub(crate) mod import;
pub(crate) mod migrate;
pub(crate) mod partitions;
pub(crate) mod people;
pub(crate) mod private_postgres;
pub(crate) mod token;
pub(crate) mod uploads;
pub(crate) mod verify;

use clap::Args;
use tokio_postgres::Client;
use uuid::Uuid;

/// The operator's way to the database.
#[derive(Args, Clone, Debug)]
pub(crate) struct Admin {
    /// Postgres address of the role that owns the tables.
    #[arg(long, env = "MOTOMIND_ADMIN_URL", hide_env_values = true)]
    pub(crate) admin_url: Option<String>,
}

impl Admin {
    pub(crate) fn url(&self) -> Result<&str, String> {
        self.admin_url.as_deref().ok_or_else(|| {
            "--admin-url (MOTOMIND_ADMIN_URL) is missing: the Postgres address of the role that \
             owns the tables"
                .to_string()
        })
    }

    pub(crate) async fn connect(&self) -> Result<Client, String> {
        motomind_server::database::connect(self.url()?)
            .await
            .map_err(|error| format!("--admin-url (MOTOMIND_ADMIN_URL): {error}"))
    }

    /// Connects and names the tenant: forced row-level security binds the owner as well.
    pub(crate) async fn connect_for(&self, tenant: Uuid) -> Result<Client, String> {
        let client = self.connect().await?;
        let setting = format!("SET app.current_tenant_id = '{tenant}'");
        client.batch_execute(&setting).await.map_err(said)?;
        Ok(client)
    }
}

/// The database's words in one line.
pub(crate) fn said(error: tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => match db.detail() {
            Some(detail) => format!("{}: {detail}", db.message()),
            None => db.message().to_string(),
        },
        None => error.to_string(),
    }
}
