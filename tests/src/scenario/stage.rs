//! The world of a scenario: people, vehicles, a database, a server, and how it all can fail.

use std::collections::BTreeMap;

use motomind_protocol::{Identity, TenantId, UserId};
use motomind_server::serve::{self, Running};
use serde_json::{Value, json};
use tokio_postgres::{Config, NoTls};
use uuid::Uuid;

use super::script::Scenario;
use crate::postgres::{Database, Postgres};
use crate::server;

/// The world outside the devices.
pub struct Stage {
    database: Database,
    server: Option<Running>,
    people: BTreeMap<String, (Identity, motomind_protocol::Role)>,
    vehicles: BTreeMap<String, (Uuid, Uuid)>,
}

impl Stage {
    /// Sets up the scenario's people and vehicles on a server of its own.
    pub async fn set(scenario: &Scenario) -> Self {
        let postgres = tokio::task::spawn_blocking(Postgres::shared).await.unwrap();
        let mut tenants: BTreeMap<String, Uuid> = BTreeMap::new();
        let mut tenant = |name: &String| *tenants.entry(name.clone()).or_insert_with(Uuid::new_v4);
        let mut people = BTreeMap::new();
        for (name, user) in &scenario.users {
            let tenant_id = TenantId(tenant(&user.tenant));
            let identity = Identity { tenant_id, user_id: UserId(Uuid::new_v4()) };
            people.insert(name.clone(), (identity, user.role));
        }
        let mut vehicles = BTreeMap::new();
        for (name, owned) in &scenario.vehicles {
            vehicles.insert(name.clone(), (tenant(&owned.tenant), Uuid::new_v4()));
        }
        let mut stage =
            Self { database: postgres.database().await, server: None, people, vehicles };
        stage.furnish(&tenants).await;
        stage.start_server().await;
        stage
    }

    async fn furnish(&self, tenants: &BTreeMap<String, Uuid>) {
        let admin = self.database.admin().await;
        for (name, id) in tenants {
            let insert = "INSERT INTO tenants (id, name) VALUES ($1, $2)";
            admin.execute(insert, &[id, name]).await.unwrap();
        }
        for (name, (identity, role)) in &self.people {
            let role = json!(role).as_str().unwrap().to_string();
            let insert =
                "INSERT INTO profiles (tenant_id, id, full_name, role) VALUES ($1, $2, $3, $4)";
            let (tenant, user) = (identity.tenant_id.0, identity.user_id.0);
            admin.execute(insert, &[&tenant, &user, name, &role]).await.unwrap();
        }
        for (name, (tenant, id)) in &self.vehicles {
            let insert = "INSERT INTO vehicles (tenant_id, id, nickname) VALUES ($1, $2, $3)";
            admin.execute(insert, &[tenant, id, name]).await.unwrap();
        }
    }

    /// Starts the server process's work on the database as it is.
    pub async fn start_server(&mut self) {
        let mut settings = server::settings(&self.database);
        settings.cors_origins = vec!["*".into()]; // agents may be web pages
        self.server = Some(serve::start(settings).await.expect("the server starts"));
    }

    /// Stops it in order.
    pub async fn stop_server(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    /// Where the server is; an address where nobody listens while it is stopped.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.as_ref().map_or_else(|| "http://127.0.0.1:9".into(), Running::url)
    }

    /// Copies the database under a name.
    pub async fn back_up(&mut self, name: &str) {
        let (from, to) = (self.database.name().to_string(), self.backup(name));
        self.copy_database(&from, &to).await;
    }

    /// Puts a copy in the place of the database.
    pub async fn restore(&mut self, name: &str) {
        let (from, to) = (self.backup(name), self.database.name().to_string());
        self.copy_database(&from, &to).await;
    }

    fn backup(&self, name: &str) -> String {
        format!("{}_{name}", self.database.name())
    }

    async fn copy_database(&mut self, from: &str, to: &str) {
        let running = self.server.is_some();
        self.stop_server().await;
        let mut config: Config = self.database.admin_url().parse().unwrap();
        let (client, connection) = config.dbname("postgres").connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        let others =
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1";
        client.query(others, &[&from]).await.unwrap();
        let replace = format!("DROP DATABASE IF EXISTS {to} WITH (FORCE)");
        client.batch_execute(&replace).await.unwrap();
        let copy = format!("CREATE DATABASE {to} TEMPLATE {from}");
        client.batch_execute(&copy).await.unwrap();
        if running {
            self.start_server().await;
        }
    }

    /// Refuses a device from now on.
    pub async fn revoke(&self, device: Uuid) {
        let admin = self.database.admin().await;
        let update = "UPDATE devices SET revoked_at = now() WHERE id = $1";
        assert_eq!(admin.execute(update, &[&device]).await.unwrap(), 1, "the device is known");
    }

    /// Who a user is.
    #[must_use]
    pub fn identity(&self, user: &str) -> Identity {
        self.people[user].0
    }

    /// A token of a user.
    #[must_use]
    pub fn token(&self, user: &str, expires_in_s: i64) -> String {
        let (identity, role) = self.people[user];
        let mut claims = server::claims(identity.tenant_id.0, identity.user_id.0, role);
        claims.exp = chrono::Utc::now().timestamp() + expires_in_s;
        motomind_server::auth::mint(server::SECRET, &claims).unwrap()
    }

    /// A vehicle's id.
    #[must_use]
    pub fn vehicle(&self, name: &str) -> Uuid {
        self.vehicles[name].1
    }

    /// Every event that the server has of a vehicle, in the order of its log.
    pub async fn events(&self, vehicle: &str) -> Value {
        let (tenant, id) = self.vehicles[vehicle];
        let admin = self.database.admin().await;
        let events = "SELECT e.id, e.type, e.miles, e.corrects, r.effective, e.user_id, e.op_id
                      FROM vehicle_events e
                      JOIN event_registry r ON r.tenant_id = e.tenant_id AND r.event_id = e.id
                      WHERE e.tenant_id = $1 AND e.vehicle_id = $2 ORDER BY r.seq";
        let rows = admin.query(events, &[&tenant, &id]).await.unwrap();
        let event = |row: &tokio_postgres::Row| {
            json!({
                "event_id": row.get::<_, Uuid>(0), "type": row.get::<_, String>(1),
                "miles": row.get::<_, Option<i32>>(2), "corrects": row.get::<_, Option<Uuid>>(3),
                "effective": row.get::<_, bool>(4), "user_id": row.get::<_, Option<Uuid>>(5),
                "op_id": row.get::<_, Option<Uuid>>(6),
            })
        };
        rows.iter().map(event).collect()
    }

    /// Names for the ids that exist from the beginning.
    #[must_use]
    pub fn names(&self) -> BTreeMap<String, String> {
        let vehicles = self.vehicles.iter().map(|(name, (_, id))| (id.to_string(), name.clone()));
        let people = self.people.iter();
        let people = people.map(|(name, (who, _))| (who.user_id.to_string(), name.clone()));
        vehicles.chain(people).collect()
    }
}
