//! `doctor`: says what stands between this installation and serving, or that nothing does.

use clap::Args;
use motomind_server::settings::Settings;
use motomind_server::{App, catalogue, migrate};

use super::{Admin, said};
use crate::Failure;

/// Settings as `serve` would have them, and the operator's address.
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    admin: Admin,
}

impl Doctor {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let mut sound = true;
        let mut say = |what: &str, outcome: Result<String, String>| match outcome {
            Ok(text) => println!("ok    {what}: {text}"),
            Err(text) => {
                sound = false;
                println!("wrong {what}: {text}");
            }
        };
        say("migrations and catalogue", self.examine_database().await);
        say("serving", self.examine_serving().await);
        if sound { Ok(()) } else { Err(Failure::Finding) }
    }

    async fn examine_database(&self) -> Result<String, String> {
        let client = self.admin.connect().await?;
        if !migrate::is_current(&client).await.map_err(|error| error.to_string())? {
            return Err("migrations are missing: run migrate up".into());
        }
        let defects = catalogue::check(&client).await.map_err(said)?;
        if defects.is_empty() {
            return Ok("every table, partition, view and function keeps tenants apart".into());
        }
        let lines: Vec<String> = defects.iter().map(ToString::to_string).collect();
        Err(lines.join("; "))
    }

    async fn examine_serving(&self) -> Result<String, String> {
        let app = App::new(self.settings.clone()).await?;
        app.check().await?;
        Ok("the database answers and the serving role is bound by row-level security".into())
    }
}
