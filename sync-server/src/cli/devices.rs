//! `device list`, `device revoke`.

use clap::{Args, Subcommand};
use uuid::Uuid;

use super::{Admin, said};

/// What to do with devices.
#[derive(Debug, Subcommand)]
pub(crate) enum Device {
    /// Lists a tenant's devices, the most recently seen first.
    List(DeviceList),
    /// Refuses a device from now on, whatever it asks for. What it has captured stays on it. An
    /// open stream of hints (numbers only), and a program that does not name its device, end with
    /// the token: have the issuer end that as well.
    Revoke(DeviceRevoke),
}

/// Whose devices.
#[derive(Args, Debug)]
pub(crate) struct DeviceList {
    /// The tenant.
    #[arg(long, env = "MOTOMIND_TENANT")]
    tenant: Uuid,
    #[command(flatten)]
    admin: Admin,
}

/// Which device.
#[derive(Args, Debug)]
pub(crate) struct DeviceRevoke {
    /// The tenant.
    #[arg(long, env = "MOTOMIND_TENANT")]
    tenant: Uuid,
    /// The device.
    device: Uuid,
    #[command(flatten)]
    admin: Admin,
}

impl Device {
    pub(crate) async fn run(self) -> Result<(), String> {
        match self {
            Self::List(list) => list.run().await,
            Self::Revoke(revoke) => revoke.run().await,
        }
    }
}

impl DeviceList {
    async fn run(self) -> Result<(), String> {
        let client = self.admin.connect_for(self.tenant).await?;
        let rows = client
            .query(
                "SELECT id, user_id, to_char(last_seen AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
                        revoked_at IS NOT NULL
                 FROM devices WHERE tenant_id = $1 ORDER BY last_seen DESC",
                &[&self.tenant],
            )
            .await
            .map_err(said)?;
        println!("{:36}  {:36}  {:16}  state", "device", "user", "last seen (UTC)");
        for row in rows {
            let (device, user, seen): (Uuid, Uuid, String) = (row.get(0), row.get(1), row.get(2));
            let state = if row.get(3) { "revoked" } else { "active" };
            println!("{device}  {user}  {seen}  {state}");
        }
        Ok(())
    }
}

impl DeviceRevoke {
    async fn run(self) -> Result<(), String> {
        let client = self.admin.connect_for(self.tenant).await?;
        let revoked = client
            .execute(
                "UPDATE devices SET revoked_at = COALESCE(revoked_at, now())
                 WHERE tenant_id = $1 AND id = $2",
                &[&self.tenant, &self.device],
            )
            .await
            .map_err(said)?;
        if revoked == 0 {
            return Err(format!("tenant {} has no device {}", self.tenant, self.device));
        }
        println!("{} is revoked", self.device);
        Ok(())
    }
}
