//! A server with a photo store, a device of a technician, and an operator's connection.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use motomind_core::http::{Http, SyncEnd};
use motomind_core::{Device, OpenOptions};
use motomind_protocol::{Claims, Role};
use motomind_server::serve::{Running, start};
use tempfile::TempDir;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::postgres::{Database, Postgres};
use crate::server::{Sender, settings, token};

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

    /// The phone of another person of the tenant, a viewer, that has everything the server tells.
    pub async fn phone(&self) -> Phone {
        let token = token(self.tenant, Uuid::new_v4(), Role::Viewer);
        let folder = TempDir::new().unwrap();
        let device = open(folder.path(), &token);
        let phone = Phone {
            device: device.into(),
            http: Http::new(&self.server.url()).unwrap(),
            _folder: folder,
        };
        phone.sync().await;
        phone
    }
}

/// A real device that talks to the real server.
pub struct Phone {
    /// The device.
    pub device: std::sync::Mutex<Device>,
    http: Http,
    _folder: TempDir,
}

impl Phone {
    /// Syncs until there is nothing left to do.
    pub async fn sync(&self) {
        while self.http.sync_once(&self.device, now).await.unwrap() != SyncEnd::CaughtUp {
            tokio::task::yield_now().await;
        }
    }
}

fn now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// Opens a device in a folder, for whoever the token is of.
fn open(folder: &Path, token: &str) -> Device {
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let seed = [*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat();
    let mut device = Device::open(OpenOptions {
        journal: file("journal.db"),
        mirror: file("mirror.db"),
        vfs: None,
        identity: Some(Claims::peek(token).unwrap().identity()),
        key: None,
        seed: seed.try_into().unwrap(),
        now: now(),
    })
    .unwrap();
    device.set_token(Some(token), now());
    device
}
