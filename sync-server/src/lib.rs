//! The MotoMind sync server: axum over a multi-tenant Postgres.
//!
//! Devices push what they captured and pull what changed; the server judges with the rules of
//! [`motomind_protocol`], keeps tenants apart with Postgres' own row-level security, and holds no
//! state that another instance would need. `docs/protocol.md` is the authority on what it says.
//!
//! A request passes `router` (ids, limits, problems), becomes an [`auth::Caller`], and reaches
//! its endpoint in `routes/`. Every endpoint works in one transaction bound to the caller's tenant
//! ([`database`]); none is open while the network is.
#![forbid(unsafe_code)]

mod app;
pub mod auth;
pub mod backup_import;
pub mod catalogue;
mod cursor;
mod custody;
pub mod database;
mod error;
pub mod evidence;
mod jwks;
mod log;
pub mod maintenance;
pub mod migrate;
pub mod photos;
mod pokes;
mod push;
mod rate;
mod readiness;
mod records;
mod router;
mod routes;
pub mod serve;
pub mod settings;
mod snapshot;

pub use app::App;
pub use error::Error;
