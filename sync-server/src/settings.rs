//! How a server is set up. Every flag has an environment variable as its twin.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use motomind_protocol::limits;
use motomind_protocol::records::schema::{COLLECTIONS, Collection};

/// Settings of `serve`; `dev` fills in the addresses and the secret itself.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, env = "MOTOMIND_LISTEN", default_value = "127.0.0.1:8787")]
    pub listen: SocketAddr,

    /// Postgres address of the serving role.
    #[arg(
        long,
        env = "DATABASE_URL",
        default_value = "",
        hide_default_value = true,
        hide_env_values = true
    )]
    pub database_url: String,

    /// Secret that HS256 tokens are signed with.
    #[arg(long, env = "MOTOMIND_JWT_SECRET", hide_env_values = true)]
    pub jwt_secret: Option<String>,

    /// Keys that ES256, RS256 and EdDSA tokens are signed with: a JWKS file or address.
    #[arg(long, env = "MOTOMIND_JWKS")]
    pub jwks: Option<String>,

    /// Issuer that tokens must name; any, when absent.
    #[arg(long, env = "MOTOMIND_JWT_ISSUER")]
    pub jwt_issuer: Option<String>,

    /// Audience that tokens must name.
    #[arg(long, env = "MOTOMIND_JWT_AUDIENCE", default_value = "authenticated")]
    pub jwt_audience: String,

    /// Web origins that may call, separated by commas; `*` for all.
    #[arg(long, env = "MOTOMIND_CORS_ORIGINS", value_delimiter = ',')]
    pub cors_origins: Vec<String>,

    /// Connections to Postgres.
    #[arg(long, env = "MOTOMIND_POOL_SIZE", default_value_t = 16,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub pool_size: u16,

    /// Longest time for one request, milliseconds.
    #[arg(long, env = "MOTOMIND_REQUEST_TIMEOUT_MS", default_value_t = 30_000,
          value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub request_timeout_ms: u64,

    /// Requests of one token per minute, in the long run.
    #[arg(long, env = "MOTOMIND_RATE_PER_MINUTE", default_value_t = 1_200,
          value_parser = clap::value_parser!(u32).range(1..=6_000_000))]
    pub rate_per_minute: u32,

    /// Requests of one token at once.
    #[arg(long, env = "MOTOMIND_RATE_BURST", default_value_t = 300,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate_burst: u32,

    /// Days that devices keep what the server has accepted: at least the age of the oldest backup.
    #[arg(long, env = "MOTOMIND_RETENTION_DAYS", default_value_t = limits::RETENTION_DAYS_DEFAULT,
          value_parser = clap::value_parser!(u32).range(i64::from(limits::RETENTION_DAYS_DEFAULT)..=3_650))]
    pub retention_days: u32,

    /// Time between two comments on a quiet event stream, milliseconds.
    #[arg(long, env = "MOTOMIND_HEARTBEAT_MS", default_value_t = 20_000,
          value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub heartbeat_ms: u64,

    /// Where snapshots are kept while devices read them; a temporary directory, when absent.
    #[arg(long, env = "MOTOMIND_SNAPSHOT_DIR")]
    pub snapshot_dir: Option<PathBuf>,

    /// What records there are. Those of this build; a test adds one of its own.
    #[arg(skip = COLLECTIONS)]
    pub collections: &'static [Collection],

    /// Where photos rest: a directory, or `s3://bucket/prefix` with `AWS_*` variables beside it.
    /// Without one the server takes no photos.
    #[arg(long, env = "MOTOMIND_PHOTO_STORE")]
    pub photo_store: Option<String>,

    /// Room for the photos of a tenant that has no limit of its own, bytes.
    #[arg(long, env = "MOTOMIND_PHOTO_BYTES_MAX", default_value_t = PHOTO_BYTES_DEFAULT,
          value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub photo_bytes_max: u64,

    /// Days after which an unfinished upload is thrown away.
    #[arg(long, env = "MOTOMIND_UPLOAD_DAYS", default_value_t = 7,
          value_parser = clap::value_parser!(u32).range(1..=365))]
    pub upload_days: u32,
}

/// Room for the photos of a tenant, unless the operator says otherwise, bytes.
const PHOTO_BYTES_DEFAULT: u64 = 50 << 30;

impl Settings {
    /// Settings with every default, for a database and a token secret.
    #[must_use]
    pub fn new(listen: SocketAddr, database_url: String, jwt_secret: String) -> Self {
        Self {
            listen,
            database_url,
            jwt_secret: Some(jwt_secret),
            jwks: None,
            jwt_issuer: None,
            jwt_audience: "authenticated".into(),
            cors_origins: Vec::new(),
            pool_size: 16,
            request_timeout_ms: 30_000,
            rate_per_minute: 1_200,
            rate_burst: 300,
            retention_days: limits::RETENTION_DAYS_DEFAULT,
            heartbeat_ms: 20_000,
            snapshot_dir: None,
            collections: COLLECTIONS,
            photo_store: None,
            photo_bytes_max: PHOTO_BYTES_DEFAULT,
            upload_days: 7,
        }
    }

    /// What a parser of single flags cannot see.
    ///
    /// # Errors
    /// One line that names the flag and its variable.
    pub fn check(&self) -> Result<(), String> {
        if self.database_url.is_empty() {
            return Err("--database-url (DATABASE_URL) is missing: the Postgres address of the \
                        serving role"
                .into());
        }
        if let Err(error) = crate::database::parse(&self.database_url) {
            return Err(format!("--database-url (DATABASE_URL): {error}"));
        }
        let is_origin = |origin: &String| {
            origin == "*" || origin.starts_with("http://") || origin.starts_with("https://")
        };
        if let Some(other) = self.cors_origins.iter().find(|one| !is_origin(one)) {
            return Err(format!(
                "--cors-origins (MOTOMIND_CORS_ORIGINS): {other} is no origin such as \
                 https://app.example"
            ));
        }
        match (&self.jwt_secret, &self.jwks) {
            (None, None) => Err("--jwt-secret (MOTOMIND_JWT_SECRET) or --jwks (MOTOMIND_JWKS) is \
                                 missing: without one no token can be verified"
                .into()),
            (Some(secret), _) if secret.len() < 32 => {
                Err("--jwt-secret (MOTOMIND_JWT_SECRET) is too short: at least 32 characters"
                    .into())
            }
            _ => Ok(()),
        }
    }
}
