//! A private, temporary Postgres for tests: made on first use, ended with the process.
//!
//! ```no_run
//! # async fn example() {
//! use motomind_tests::postgres::{Postgres, role};
//! let database = Postgres::shared().database().await; // a migrated copy of its own
//! let client = database.connect(role::SERVER).await;
//! # }
//! ```
//!
//! `DATABASE_URL` (a superuser's) makes [`Postgres::shared`] use that server instead. A watchdog
//! process waits for the end of this one, however it comes, then ends the cluster at once and
//! removes its files; nothing stays behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod seed;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use motomind_server::migrate;
use tokio_postgres::{Client, Config, NoTls};

pub use seed::{as_tenant, constraint, count, count_as_tenant};

/// Roles that tests connect as. All exist on every server handed out here.
pub mod role {
    /// What the sync server connects as.
    pub const SERVER: &str = "motomind_server";
    /// Another tenant-scoped SQL client, such as the web backend: member of `motomind_client`.
    pub const CLIENT: &str = "motomind_test_client";
    /// A client with BYPASSRLS, such as Supabase's `service_role`: member of `motomind_client`.
    pub const BYPASS: &str = "motomind_test_bypass";
}

/// Connections that one cluster takes.
const CONNECTIONS_MAX: u32 = 300;

/// A Postgres server, private or given by `DATABASE_URL`.
pub struct Postgres {
    admin: Config,
    cluster: Option<Cluster>,
    prefix: String,
    next: AtomicU32,
}

/// How much a private cluster cares about power loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// `fsync = off`: quick; survives the death of processes, not of the machine.
    Quick,
    /// `fsync = on`, as in production: for measurements.
    Real,
}

impl Postgres {
    /// The one server that the tests of this process share. Blocks while it is made.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| match std::env::var("DATABASE_URL") {
            Ok(url) => Self::prepared(url.parse().expect("DATABASE_URL"), None),
            Err(_) => Self::private(Durability::Quick),
        })
    }

    /// A server of one's own, for tests that stop it. Ended when dropped.
    #[must_use]
    pub fn private(durability: Durability) -> Self {
        let cluster = Cluster::start_new(durability);
        let mut admin = Config::new();
        admin.host_path(cluster.folder()).user("postgres").dbname("postgres");
        Self::prepared(admin, Some(cluster))
    }

    /// Makes the template database: migrated once, copied for each test.
    fn prepared(admin: Config, cluster: Option<Cluster>) -> Self {
        let prefix = format!("motomind_test_{}", uuid::Uuid::new_v4().simple());
        let this = Self { admin, cluster, prefix, next: AtomicU32::new(0) };
        let (admin, template) = (this.admin.clone(), this.template());
        apart(async move {
            let server = connect(&admin).await;
            server.batch_execute(&format!("CREATE DATABASE {template}")).await.unwrap();
            let mut inside = connect(admin.clone().dbname(&template)).await;
            migrate::up(&mut inside, None).await.unwrap();
            make_roles(&server).await;
        });
        this
    }

    fn template(&self) -> String {
        format!("{}_template", self.prefix)
    }

    /// A migrated database of one's own.
    pub async fn database(&self) -> Database {
        self.copy_of(&self.template()).await
    }

    /// A database of one's own without any migration.
    pub async fn empty_database(&self) -> Database {
        self.copy_of("template0").await
    }

    async fn copy_of(&self, template: &str) -> Database {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}_{number}", self.prefix);
        let admin = connect(&self.admin).await;
        let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
        admin.batch_execute(&create).await.unwrap();
        Database { admin: self.admin.clone(), name }
    }

    /// The private cluster, to stop and start it.
    ///
    /// # Panics
    /// When the server is the one of `DATABASE_URL`.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        self.cluster.as_ref().expect("a private cluster")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.cluster.is_some() {
            return; // its files go with it
        }
        let (admin, prefix) = (self.admin.clone(), self.prefix.clone());
        apart(async move {
            let server = connect(&admin).await;
            let mine = "SELECT datname FROM pg_database WHERE starts_with(datname, $1)";
            for row in server.query(mine, &[&prefix]).await.unwrap() {
                let name: String = row.get(0);
                let drop = format!("DROP DATABASE {name} WITH (FORCE)");
                server.batch_execute(&drop).await.unwrap();
            }
        });
    }
}

/// One database of a test.
pub struct Database {
    admin: Config,
    name: String,
}

impl Database {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How `role` connects to it.
    #[must_use]
    pub fn config(&self, role: &str) -> Config {
        let mut config = self.admin.clone();
        config.user(role).dbname(&self.name);
        config
    }

    /// How `role` connects to it, as a URL for settings and other processes.
    #[must_use]
    pub fn url(&self, role: &str) -> String {
        let port = self.admin.get_ports().first().copied().unwrap_or(5432);
        let host = match self.admin.get_hosts().first() {
            Some(tokio_postgres::config::Host::Tcp(host)) => host.clone(),
            Some(tokio_postgres::config::Host::Unix(path)) => {
                path.display().to_string().replace('/', "%2F")
            }
            None => "localhost".into(),
        };
        format!("postgres://{role}@{host}:{port}/{}", self.name)
    }

    /// How the superuser connects to it, as a URL.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.url(self.admin.get_user().unwrap_or("postgres"))
    }

    /// A connection as `role`.
    pub async fn connect(&self, role: &str) -> Client {
        connect(&self.config(role)).await
    }

    /// A connection as the superuser.
    pub async fn admin(&self) -> Client {
        connect(self.admin.clone().dbname(&self.name)).await
    }
}

async fn connect(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.expect("connection to Postgres");
    tokio::spawn(connection);
    client
}

async fn make_roles(server: &Client) {
    for (name, attributes) in [(role::CLIENT, "LOGIN"), (role::BYPASS, "LOGIN BYPASSRLS")] {
        let make = format!(
            "DO $$ BEGIN CREATE ROLE {name} {attributes} IN ROLE motomind_client;
             EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        );
        server.batch_execute(&make).await.unwrap();
    }
}

/// Runs a future to its end on a thread and runtime of its own, so that it can be waited for
/// inside another runtime.
fn apart(work: impl Future<Output = ()> + Send + 'static) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::spawn(move || runtime().block_on(work)).join().expect("database work");
}

/// A private cluster on a Unix socket in a temporary folder.
pub struct Cluster {
    folder: PathBuf,
    watchdog: Child,
}

impl Cluster {
    fn start_new(durability: Durability) -> Self {
        let folder = tempfile::Builder::new().prefix("motomind-pg-").tempdir().unwrap().keep();
        if is_root() {
            let owner = Command::new("chown").arg("postgres").arg(&folder).status().unwrap();
            assert!(owner.success(), "chown of the cluster's folder");
        }
        let watchdog = watch(&folder);
        let this = Self { folder, watchdog };
        let data = this.data();
        run(tool("initdb")
            .args(["--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8"])
            .args(["--locale", "C", "-D"])
            .arg(&data));
        let sync = if durability == Durability::Real { "on" } else { "off" };
        let settings = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nfsync = {sync}\n\
             full_page_writes = {sync}\nmax_connections = {CONNECTIONS_MAX}\n\
             shared_buffers = 128MB\nmax_wal_size = 4GB\nlog_min_messages = warning\n",
            this.folder.display()
        );
        std::fs::write(data.join("postgresql.auto.conf"), settings).unwrap();
        this.start();
        this
    }

    /// The folder that holds socket, data and log.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Starts it (again) and waits until it answers; after [`Cluster::stop_immediate`] it recovers.
    pub fn start(&self) {
        run(tool("pg_ctl")
            .args(["-w", "-t", "60", "-s", "-D"])
            .arg(self.data())
            .arg("-l")
            .arg(self.folder.join("log"))
            .arg("start"));
    }

    /// `pg_ctl stop -m immediate`: no shutdown checkpoint, as when the power goes.
    pub fn stop_immediate(&self) {
        run(tool("pg_ctl")
            .args(["-w", "-s", "-m", "immediate", "-D"])
            .arg(self.data())
            .arg("stop"));
    }

    /// Stops it in order.
    pub fn stop(&self) {
        run(tool("pg_ctl").args(["-w", "-s", "-m", "fast", "-D"]).arg(self.data()).arg("stop"));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take()); // tells the watchdog
        let _ = self.watchdog.wait();
    }
}

/// A process that outlives this one by the moment it takes to end the cluster.
fn watch(folder: &Path) -> Child {
    let prefix: Vec<String> = as_postgres().iter().map(|word| (*word).to_string()).collect();
    let script = format!(
        "trap '' INT TERM HUP; cat >/dev/null; \
         {} '{}' -s -m immediate -D '{}/data' stop; rm -rf '{}'",
        prefix.join(" "),
        binaries().join("pg_ctl").display(),
        folder.display(),
        folder.display()
    );
    Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh")
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id");
    id.stdout.starts_with(b"0\n")
}

/// initdb and postgres refuse to run as root.
fn as_postgres() -> &'static [&'static str] {
    if is_root() { &["runuser", "-u", "postgres", "--"] } else { &["env"] }
}

fn tool(name: &str) -> Command {
    let prefix = as_postgres();
    let mut command = Command::new(prefix[0]);
    command.args(&prefix[1..]).arg(binaries().join(name)).current_dir("/");
    command
}

fn run(command: &mut Command) {
    // pg_ctl's child would hold a pipe open: its output goes nowhere, the cluster's to its log.
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    assert!(status.expect("Postgres' tools").success(), "{command:?}");
}

/// Where Postgres' programs are: `PG_BIN`, Debian's newest, or the search path's `pg_config`.
fn binaries() -> &'static Path {
    static BINARIES: OnceLock<PathBuf> = OnceLock::new();
    BINARIES.get_or_init(|| {
        if let Ok(folder) = std::env::var("PG_BIN") {
            return folder.into();
        }
        let mut debian: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path().join("bin"))
            .filter(|folder| folder.join("initdb").exists())
            .collect();
        debian.sort();
        if let Some(newest) = debian.pop() {
            return newest;
        }
        let output = Command::new("pg_config").arg("--bindir").output();
        let output = output.expect("no Postgres found: install it or set PG_BIN");
        String::from_utf8(output.stdout).unwrap().trim().into()
    })
}
