//! `verify`: what a device sealed, proven.

use clap::Args;
use motomind_server::evidence;
use uuid::Uuid;

use super::{Admin, said};
use crate::Failure;

/// Which device, and whether its photos are read again.
#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// The device.
    #[arg(long, env = "MOTOMIND_DEVICE")]
    device: Uuid,
    /// Its tenant; may be left out where the database role sees all of them.
    #[arg(long, env = "MOTOMIND_TENANT")]
    tenant: Option<Uuid>,
    /// Also reads every photo that the device's operations name and hashes it again.
    #[arg(long, env = "MOTOMIND_VERIFY_PHOTOS")]
    photos: bool,
    /// Where photos rest: a directory, or `s3://bucket/prefix`.
    #[arg(long, env = "MOTOMIND_PHOTO_STORE")]
    photo_store: Option<String>,
    #[command(flatten)]
    admin: Admin,
}

impl Verify {
    /// Prints what was found; anything that is not as it was sealed is a finding.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        if self.photos && self.photo_store.is_none() {
            let line = "--photos needs --photo-store (MOTOMIND_PHOTO_STORE): where photos rest";
            return Err(line.to_string().into());
        }
        let tenant = match self.tenant {
            Some(tenant) => tenant,
            None => self.tenant_of_device().await?,
        };
        let client = self.admin.connect_for(tenant).await?;
        let store = self.photo_store.as_deref().filter(|_| self.photos);
        let found = evidence::verify(&client, tenant, self.device, store).await?;
        println!("{found}");
        if found.operations == 0 {
            return Err(format!("tenant {tenant} has nothing of device {}", self.device).into());
        }
        if found.findings.is_empty() { Ok(()) } else { Err(Failure::Finding) }
    }

    async fn tenant_of_device(&self) -> Result<Uuid, String> {
        let client = self.admin.connect().await?;
        let sql = "SELECT tenant_id FROM devices WHERE id = $1";
        let rows = client.query(sql, &[&self.device]).await.map_err(said)?;
        match rows.as_slice() {
            [row] => Ok(row.get(0)),
            [] => Err("no such device is seen; name its tenant with --tenant".into()),
            _ => Err("several tenants have this device; name one with --tenant".into()),
        }
    }
}
