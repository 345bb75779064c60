//! `migrate up`, `migrate down`, `migrate status`.

use clap::{Args, Subcommand};
use motomind_server::migrate;

use super::Admin;

/// What to do with migrations.
#[derive(Debug, Subcommand)]
pub(crate) enum Migrate {
    /// Applies what is missing.
    Up(Up),
    /// Takes back every migration above a version. Destroys what their tables hold.
    Down(Down),
    /// Lists every migration and when it was applied.
    Status(Status),
}

/// How far up.
#[derive(Args, Debug)]
pub(crate) struct Up {
    /// The last one to apply; all, when absent.
    #[arg(long, env = "MOTOMIND_MIGRATE_UP_TO")]
    to: Option<i32>,
    #[command(flatten)]
    admin: Admin,
}

/// How far down.
#[derive(Args, Debug)]
pub(crate) struct Down {
    /// The last one to keep; -1 keeps none.
    #[arg(long, env = "MOTOMIND_MIGRATE_DOWN_TO", allow_negative_numbers = true)]
    to: i32,
    #[command(flatten)]
    admin: Admin,
}

/// Of which database.
#[derive(Args, Debug)]
pub(crate) struct Status {
    #[command(flatten)]
    admin: Admin,
}

impl Migrate {
    pub(crate) async fn run(self) -> Result<(), String> {
        let text = |error: migrate::MigrateError| error.to_string();
        match self {
            Self::Up(up) => {
                let mut client = up.admin.connect().await?;
                let applied = migrate::up(&mut client, up.to).await.map_err(text)?;
                applied.iter().for_each(|name| println!("applied {name}"));
                if applied.is_empty() {
                    println!("nothing to apply");
                }
            }
            Self::Down(down) => {
                let mut client = down.admin.connect().await?;
                let taken_back = migrate::down(&mut client, down.to).await.map_err(text)?;
                taken_back.iter().for_each(|name| println!("took back {name}"));
            }
            Self::Status(status) => {
                let client = status.admin.connect().await?;
                for one in migrate::status(&client).await.map_err(text)? {
                    match one.applied_at {
                        Some(at) => {
                            let at = at.format("%Y-%m-%d %H:%M:%S UTC");
                            let took = one.duration_ms.unwrap_or(0);
                            println!("{:28} applied {at}, {took} ms", one.name);
                        }
                        None => println!("{:28} missing", one.name),
                    }
                }
            }
        }
        Ok(())
    }
}
