//! `partitions`: the maintenance job that makes event partitions ahead of need.

use clap::Args;
use motomind_server::maintenance::{ADOPT_ROWS_MIN, maintain_partitions};

use super::{Admin, said};

/// How much rests in the default partition before it is moved.
#[derive(Args, Debug)]
pub(crate) struct Partitions {
    /// Rows of one year in the default partition from which on the year gets its own.
    #[arg(long, env = "MOTOMIND_ADOPT_ROWS_MIN", default_value_t = ADOPT_ROWS_MIN)]
    adopt_rows_min: i64,
    #[command(flatten)]
    admin: Admin,
}

impl Partitions {
    pub(crate) async fn run(self) -> Result<(), String> {
        let mut client = self.admin.connect().await?;
        let today = chrono::Utc::now().date_naive();
        let report =
            maintain_partitions(&mut client, today, self.adopt_rows_min).await.map_err(said)?;
        for (year, rows) in &report.made {
            println!("made {year}, {rows} rows moved");
        }
        for (year, rows) in &report.resting {
            println!("{rows} rows of {year} rest in the default partition");
        }
        if report.made.is_empty() {
            println!("every year needed has its partition");
        }
        Ok(())
    }
}
