//! `import`: the product's backup JSON.

use std::path::PathBuf;

use clap::Args;
use motomind_server::backup_import::{self, RowNote};

use super::Admin;

/// Which backup.
#[derive(Args, Debug)]
pub(crate) struct Import {
    /// The backup file.
    file: PathBuf,
    /// Prints the whole report as JSON instead of a summary.
    #[arg(long, env = "MOTOMIND_IMPORT_JSON")]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

impl Import {
    pub(crate) async fn run(self) -> Result<(), String> {
        let file = self.file.display();
        let text = std::fs::read(&self.file).map_err(|error| format!("{file}: {error}"))?;
        let backup = serde_json::from_slice(&text).map_err(|error| format!("{file}: {error}"))?;
        let mut client = self.admin.connect().await?;
        let report = backup_import::import(&mut client, &backup)
            .await
            .map_err(|error| format!("{file}: {error}"))?;
        if self.json {
            let text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
            println!("{text}");
            return Ok(());
        }
        for (source, rows) in &report.sources {
            let (kept, refused) = (rows.kept.len(), rows.refused.len());
            println!(
                "{source}: {} mapped, {} unchanged, {kept} kept as other, {refused} refused",
                rows.mapped, rows.unchanged
            );
            rows.kept.iter().for_each(|note| tell("kept", note));
            rows.refused.iter().for_each(|note| tell("refused", note));
        }
        Ok(())
    }
}

fn tell(what: &str, note: &RowNote) {
    println!("  {what} {}: {}", note.id, note.reasons.join("; "));
}
