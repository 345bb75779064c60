//! `dev`: everything on one machine, for trying things out.

use std::path::PathBuf;

use clap::Args;
use motomind_server::settings::Settings;
use motomind_server::{database, migrate, serve};
use tempfile::TempDir;
use uuid::Uuid;

use super::dev_web::Web;
use super::private_postgres::PrivatePostgres;

/// The database that `dev` makes in its private Postgres.
const DATABASE: &str = "motomind";

/// Like `serve`, but what is not given is made.
#[derive(Args, Debug)]
pub(crate) struct Dev {
    /// Where the private Postgres lives; it is kept between runs. A temporary directory that goes
    /// with the process, when absent.
    #[arg(long, env = "MOTOMIND_DEV_DIR")]
    dir: Option<PathBuf>,

    /// A Postgres of yours instead: the address of a role that may make roles and tables.
    /// `--database-url` (the role motomind_server on the same database) is then needed too.
    #[arg(long, env = "MOTOMIND_ADMIN_URL", hide_env_values = true)]
    admin_url: Option<String>,

    /// The web app's built files: served beside the API, where anyone may sign in as anyone.
    #[arg(long, env = "MOTOMIND_DEV_WEB")]
    web: Option<PathBuf>,

    #[command(flatten)]
    settings: Settings,
}

impl Dev {
    pub(crate) async fn run(self) -> Result<(), String> {
        let Self { dir, admin_url, web, mut settings } = self;
        // Declared before the Postgres that lives in it: dropped after it.
        let mut temporary: Option<TempDir> = None;
        let (private, admin_url) = match admin_url {
            Some(url) => (None, url),
            None => {
                let directory = match dir {
                    Some(dir) => dir,
                    None => temporary.insert(temporary_directory()?).path().to_path_buf(),
                };
                if settings.photo_store.is_none() {
                    let photos = directory.join("photos");
                    settings.photo_store = Some(photos.display().to_string());
                }
                let postgres = PrivatePostgres::start(&directory).await?;
                make_database(&postgres).await?;
                settings.database_url = postgres.url("motomind_server", DATABASE);
                let url = postgres.url("postgres", DATABASE);
                (Some(postgres), url)
            }
        };
        let mut admin = database::connect(&admin_url)
            .await
            .map_err(|error| format!("--admin-url (MOTOMIND_ADMIN_URL): {error}"))?;
        let applied = migrate::up(&mut admin, None).await.map_err(|error| error.to_string())?;
        drop(admin);
        if settings.jwt_secret.is_none() && settings.jwks.is_none() {
            settings.jwt_secret = Some(format!("{}{}", Uuid::new_v4(), Uuid::new_v4()));
        }
        let secret = settings.jwt_secret.clone().unwrap_or_default();
        let database_url = settings.database_url.clone();
        let web = web_app(web, &admin_url, &secret)?;
        let running = serve::start_within(settings, |api| match web {
            Some(web) => web.around(api),
            None => api,
        })
        .await?;
        println!(
            "# {} migrations applied; ctrl-c ends the server{}",
            applied.len(),
            if private.is_some() { " and its Postgres" } else { "" }
        );
        println!("MOTOMIND_URL={}", running.url());
        println!("MOTOMIND_ADMIN_URL='{admin_url}'");
        println!("DATABASE_URL='{database_url}'");
        println!("MOTOMIND_JWT_SECRET={secret}");
        println!("# ready");
        running.until(serve::signalled()).await;
        drop(private);
        Ok(())
    }
}

fn web_app(files: Option<PathBuf>, admin_url: &str, secret: &str) -> Result<Option<Web>, String> {
    let Some(files) = files else { return Ok(None) };
    if !files.join("index.html").is_file() {
        let files = files.display();
        return Err(format!(
            "--web (MOTOMIND_DEV_WEB): {files} has no index.html; build the app first"
        ));
    }
    if secret.is_empty() {
        return Err("--web (MOTOMIND_DEV_WEB): needs a --jwt-secret, not only a JWKS".to_string());
    }
    Ok(Some(Web { files, admin_url: admin_url.to_string(), secret: secret.to_string() }))
}

fn temporary_directory() -> Result<TempDir, String> {
    let mut builder = tempfile::Builder::new();
    let made = builder.prefix("motomind-dev-").tempdir();
    made.map_err(|error| format!("no temporary directory: {error}"))
}

async fn make_database(postgres: &PrivatePostgres) -> Result<(), String> {
    let client = database::connect(&postgres.url("postgres", "postgres")).await?;
    let there = client
        .query_opt("SELECT FROM pg_database WHERE datname = $1", &[&DATABASE])
        .await
        .map_err(super::said)?;
    if there.is_none() {
        let create = format!("CREATE DATABASE {DATABASE}");
        client.batch_execute(&create).await.map_err(super::said)?;
    }
    Ok(())
}
