//! A server with a photo store, a device of a technician, and an operator's connection.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use motomind_protocol::Role;
use motomind_server::serve::{Running, start};
use tempfile::TempDir;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::postgres::{Database, Postgres};
use crate::server::{Sender, settings};

/// What most tests of the server need.
pub struct Stage {
    /// Its database.
    pub database: Database,
    /// The server.
    pub server: Running,
    /// A tenant …
    pub tenant: Uuid,
    /// … with a vehicle …
    pub vehicle: Uuid,
    /// … and a device of a technician.
    pub device: Sender,
    /// Where photos rest.
    pub store: TempDir,
}

impl Stage {
    /// Sets it.
    pub async fn set() -> Self {
        let database = Postgres::shared().database().await;
        let (tenant, vehicle) = database.tenant_with_vehicle().await;
        let store = TempDir::new().unwrap();
        let mut settings = settings(&database);
        settings.photo_store = Some(store.path().to_str().unwrap().into());
        let server = start(settings).await.unwrap();
        let device = Sender::new(&server, tenant, Role::Technician);
        Self { database, server, tenant, vehicle, device, store }
    }

    /// An operator's connection, inside the tenant.
    pub async fn operator(&self) -> Client {
        let admin = self.database.admin().await;
        let setting = format!("SET app.current_tenant_id = '{}'", self.tenant);
        admin.batch_execute(&setting).await.unwrap();
        admin
    }
}
