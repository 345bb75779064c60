//! `tenant add`, `user add`.

use clap::{Args, Subcommand};
use motomind_protocol::Role;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::{Admin, said};

/// What to do with tenants.
#[derive(Debug, Subcommand)]
pub(crate) enum Tenant {
    /// Adds a tenant and prints its id.
    Add(TenantAdd),
}

/// A tenant.
#[derive(Args, Debug)]
pub(crate) struct TenantAdd {
    /// What it is called.
    name: String,
    /// Its id; a new one, when absent.
    #[arg(long, env = "MOTOMIND_NEW_TENANT_ID")]
    id: Option<Uuid>,
    #[command(flatten)]
    admin: Admin,
}

/// What to do with people.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Adds a person to a tenant and prints their id.
    Add(UserAdd),
}

/// A person.
#[derive(Args, Debug)]
pub(crate) struct UserAdd {
    /// The tenant.
    #[arg(long, env = "MOTOMIND_TENANT")]
    tenant: Uuid,
    /// The `sub` of their tokens; a new one, when absent.
    #[arg(long, env = "MOTOMIND_NEW_USER_ID")]
    id: Option<Uuid>,
    /// Their name.
    #[arg(long, env = "MOTOMIND_NEW_USER_NAME")]
    name: Option<String>,
    /// Their address.
    #[arg(long, env = "MOTOMIND_NEW_USER_EMAIL")]
    email: Option<String>,
    /// viewer, technician, manager or service.
    #[arg(long, env = "MOTOMIND_ROLE", default_value = "technician", value_parser = super::token::role)]
    role: Role,
    #[command(flatten)]
    admin: Admin,
}

impl Tenant {
    pub(crate) async fn run(self) -> Result<(), String> {
        let Self::Add(tenant) = self;
        let id = tenant.id.unwrap_or_else(Uuid::new_v4);
        let client = tenant.admin.connect_for(id).await?;
        client
            .execute("INSERT INTO tenants (id, name) VALUES ($1, $2)", &[&id, &tenant.name])
            .await
            .map_err(|error| match error.code() {
                Some(&SqlState::UNIQUE_VIOLATION) => format!("there is a tenant {id} already"),
                _ => said(error),
            })?;
        println!("{id}");
        Ok(())
    }
}

impl User {
    pub(crate) async fn run(self) -> Result<(), String> {
        let Self::Add(user) = self;
        let id = user.id.unwrap_or_else(Uuid::new_v4);
        let client = user.admin.connect_for(user.tenant).await?;
        let role = serde_json::to_value(user.role).map_err(|error| error.to_string())?;
        client
            .execute(
                "INSERT INTO profiles (tenant_id, id, full_name, email, role)
                 VALUES ($1, $2, $3, $4, $5)",
                &[&user.tenant, &id, &user.name, &user.email, &role.as_str()],
            )
            .await
            .map_err(|error| match error.code() {
                Some(&SqlState::FOREIGN_KEY_VIOLATION) => {
                    format!("there is no tenant {}", user.tenant)
                }
                Some(&SqlState::UNIQUE_VIOLATION) => {
                    "this tenant has a person with this id or address already".to_string()
                }
                _ => said(error),
            })?;
        println!("{id}");
        Ok(())
    }
}
