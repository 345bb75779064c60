//! The way to Postgres: the pool of the serving role, and transactions bound to one tenant.

use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts, Transaction,
};
use motomind_protocol::TenantId;
use tokio_postgres::NoTls;

use crate::error::Error;

/// Longest wait for a free connection, and for a new one to open.
const CONNECTION_WAIT: Duration = Duration::from_secs(5);

/// The database ends a statement after this, and a transaction that idles.
const STATEMENT_TIMEOUT_MS: u32 = 20_000;

/// Longest wait for a row that another transaction holds.
const LOCK_TIMEOUT_MS: u32 = 10_000;

/// A pool of at most `size` connections. Opens none yet.
///
/// # Errors
/// A sentence, when `url` is not a Postgres address.
pub fn pool(url: &str, size: usize) -> Result<Pool, String> {
    let mut config = parse(url)?;
    let options = format!(
        "{} -c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS} \
         -c idle_in_transaction_session_timeout={STATEMENT_TIMEOUT_MS}",
        config.get_options().unwrap_or_default()
    );
    config.options(options.trim());
    // Fast: whoever used a connection set nothing that outlives their transaction (`SET LOCAL`,
    // locks of the transaction), and one that was left open is rolled back before anything else.
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    Pool::builder(Manager::from_config(config, NoTls, recycling))
        .max_size(size)
        .timeouts(Timeouts {
            wait: Some(CONNECTION_WAIT),
            create: Some(CONNECTION_WAIT),
            recycle: Some(CONNECTION_WAIT),
        })
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| error.to_string())
}

/// Reads a Postgres address.
///
/// # Errors
/// A sentence that does not repeat the password.
pub fn parse(url: &str) -> Result<tokio_postgres::Config, String> {
    let mut config: tokio_postgres::Config =
        url.parse().map_err(|error| format!("this is not a Postgres address: {error}"))?;
    if config.get_application_name().is_none() {
        config.application_name("motomind-server");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECTION_WAIT);
    }
    Ok(config)
}

/// Opens one connection outside the pool and drives it in the background. The task ends when the
/// client is dropped or the connection is lost.
///
/// # Errors
/// A sentence with the database's words.
pub async fn connect(url: &str) -> Result<tokio_postgres::Client, String> {
    let (client, connection) =
        parse(url)?.connect(NoTls).await.map_err(|error| crate::error::with_source(&error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(error = %crate::error::with_source(&error), "a connection was lost");
        }
    });
    Ok(client)
}

/// Begins a transaction that sees and writes this tenant's rows only.
///
/// The setting is awaited on its own: a statement pipelined ahead of its reply could run before
/// the tenant is known.
pub(crate) async fn begin(client: &mut Object, tenant: TenantId) -> Result<Transaction<'_>, Error> {
    let transaction = client.transaction().await?;
    // A UUID's text needs no quoting, and the simple protocol saves a round trip.
    let setting = format!("SET LOCAL app.current_tenant_id = '{tenant}'");
    transaction.batch_execute(&setting).await?;
    Ok(transaction)
}

/// What is wrong with the role that serves requests, if anything: it must be bound by row-level
/// security.
pub(crate) async fn role_defect(client: &tokio_postgres::Client) -> Result<Option<String>, Error> {
    let row = client
        .query_one(
            "SELECT current_user::text, rolsuper, rolbypassrls,
                    EXISTS (SELECT FROM pg_class c
                            JOIN pg_namespace n ON n.oid = c.relnamespace
                            WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v')
                              AND pg_has_role(current_user, c.relowner, 'USAGE'))
             FROM pg_roles WHERE rolname = current_user",
            &[],
        )
        .await?;
    let name: String = row.get(0);
    let why = match (row.get(1), row.get(2), row.get(3)) {
        (true, _, _) => "is a superuser",
        (_, true, _) => "has BYPASSRLS",
        (_, _, true) => "owns the tables, or is a member of their owner",
        _ => return Ok(None),
    };
    Ok(Some(format!(
        "the serving role {name} {why}: tenants would not be kept apart; connect as the role \
         that the migrations made for serving"
    )))
}
