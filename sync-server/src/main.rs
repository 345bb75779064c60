//! `motomind-server`: the sync server and its operator's commands.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod cli;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand, ValueEnum};
use motomind_server::serve;
use motomind_server::settings::Settings;

/// The MotoMind sync server.
#[derive(Debug, Parser)]
#[command(name = "motomind-server", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// How log lines look.
    #[arg(long, env = "MOTOMIND_LOG_FORMAT", default_value = "text", global = true)]
    log_format: LogFormat,

    /// What is logged: `error`, `warn`, `info`, `debug`, or by module.
    #[arg(long, env = "MOTOMIND_LOG", default_value = "info", global = true)]
    log: tracing_subscriber::EnvFilter,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts a private Postgres unless given one, migrates it, serves, and prints how to connect.
    Dev(cli::dev::Dev),
    /// Serves devices.
    Serve(Settings),
    /// Applies, takes back or lists migrations.
    #[command(subcommand)]
    Migrate(cli::migrate::Migrate),
    /// Tenants.
    #[command(subcommand)]
    Tenant(cli::people::Tenant),
    /// People of a tenant.
    #[command(subcommand)]
    User(cli::people::User),
    /// Devices of a tenant.
    #[command(subcommand)]
    Device(cli::devices::Device),
    /// Signs a token with the HS256 secret.
    Token(cli::token::Token),
    /// Imports the product's backup JSON.
    Import(cli::import::Import),
    /// Checks settings, connections and the database's catalogue.
    Doctor(cli::doctor::Doctor),
    /// Makes event partitions ahead of time and moves rows into them; run it daily.
    Partitions(cli::partitions::Partitions),
    /// Removes expired uploads of photos and finishes what a crash left; serving instances do so
    /// by themselves.
    Uploads(cli::uploads::Uploads),
    /// Proves what a device sealed: texts, chain, events and photos; finds a flipped byte.
    Verify(cli::verify::Verify),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(cli.log)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match cli.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("motomind-server: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Setting(line)) => {
            eprintln!("motomind-server: {line}");
            ExitCode::from(2)
        }
        Err(Failure::Finding) => ExitCode::FAILURE,
    }
}

/// Why a command did not succeed.
enum Failure {
    /// A setting or the outside world is not as it must be; one line says what.
    Setting(String),
    /// The command did its work and found something wrong, which it has printed.
    Finding,
}

impl From<String> for Failure {
    fn from(line: String) -> Self {
        Self::Setting(line)
    }
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Dev(dev) => dev.run().await?,
        Command::Serve(settings) => {
            let running = serve::start(settings).await?;
            tracing::info!(address = %running.address, "serving");
            running.until(serve::signalled()).await;
        }
        Command::Migrate(migrate) => migrate.run().await?,
        Command::Tenant(tenant) => tenant.run().await?,
        Command::User(user) => user.run().await?,
        Command::Device(device) => device.run().await?,
        Command::Token(token) => token.run()?,
        Command::Import(import) => import.run().await?,
        Command::Doctor(doctor) => return doctor.run().await,
        Command::Partitions(partitions) => partitions.run().await?,
        Command::Uploads(uploads) => uploads.run().await?,
        Command::Verify(verify) => return verify.run().await,
    }
    Ok(())
}

/// A wrong flag or variable is one line; help and version are themselves.
fn refuse(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
        _ => {}
    }
    let text = error.to_string();
    let line: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    eprintln!("motomind-server: {}", line.join(" ").trim_start_matches("error: "));
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Flags below a command that no environment variable sets.
    fn without_twin(command: &clap::Command, found: &mut Vec<String>) {
        let flags = command.get_arguments().filter(|arg| arg.get_env().is_none());
        let flags = flags.filter_map(clap::Arg::get_long);
        found.extend(flags.map(|flag| format!("{} --{flag}", command.get_name())));
        for sub in command.get_subcommands() {
            without_twin(sub, found);
        }
    }

    #[test]
    fn every_flag_has_an_environment_twin() {
        let command = Cli::command();
        let mut found = Vec::new();
        without_twin(&command, &mut found);
        assert_eq!(found, Vec::<String>::new());
    }
}
