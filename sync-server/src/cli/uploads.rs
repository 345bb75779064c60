//! `uploads`: the sweep that a serving instance does by itself, once and now.

use clap::Args;
use motomind_server::photos::sweep;
use motomind_server::settings::Settings;

/// Settings as `serve` has them.
#[derive(Args, Debug)]
pub(crate) struct Uploads {
    #[command(flatten)]
    settings: Settings,
}

impl Uploads {
    pub(crate) async fn run(self) -> Result<(), String> {
        println!("{}", sweep(self.settings, chrono::Utc::now()).await?);
        Ok(())
    }
}
