//! The command line.

use std::path::PathBuf;

use chrono::NaiveDate;
use clap::{Parser, Subcommand};
use motomind_core::Capture;
use motomind_core::protocol::{EventId, Fix, FixSource, Millis, OpId};
use serde_json::Value;

/// A MotoMind device on the command line.
#[derive(Parser)]
pub(crate) struct Args {
    /// The device's directory: one for each user.
    #[arg(long, env = "MOTOMIND_DEVICE_DIR")]
    pub(crate) dir: PathBuf,
    /// Passphrase, where the device is encrypted.
    #[arg(long, env = "MOTOMIND_DEVICE_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make the directory a device of the token's user, or give it a fresh token.
    Login {
        #[arg(long)]
        server: String,
        #[arg(long, env = "MOTOMIND_TOKEN", hide_env_values = true)]
        token: String,
    },
    /// Vehicles with their mileage.
    Vehicles,
    /// Syncing at a glance.
    Status,
    /// Capture a fact.
    Capture {
        /// Id, or a part of the name.
        vehicle: String,
        /// odometer, fuel, maintenance, damage, inspection, …
        #[arg(value_name = "TYPE")]
        kind: String,
        #[command(flatten)]
        facts: Facts,
    },
    /// Replace a capture by a mended one; what is not given stays.
    Amend {
        op: OpId,
        #[command(flatten)]
        facts: Facts,
    },
    /// Take a capture or an edit back that the server has not accepted.
    Discard {
        op: OpId,
        #[arg(long, default_value = "discarded")]
        reason: String,
    },
    /// Take an event back, whoever captured it.
    Retract {
        event: EventId,
        #[arg(long, default_value = "retracted")]
        reason: String,
    },
    /// Bring back an event that was taken back.
    Restore {
        event: EventId,
        #[arg(long, default_value = "restored")]
        reason: String,
    },
    /// An event's whole story: who stated, corrected, retracted and restored it, and what counts.
    Family { event: EventId },
    /// Offer a refused capture or edit again as it is.
    Retry { op: OpId },
    /// Import a Fuelio CSV export.
    ImportFuelio {
        vehicle: String,
        file: PathBuf,
        /// IANA time zone of the file's clock times.
        #[arg(long, default_value = "UTC")]
        timezone: String,
        /// ISO 4217 code of the file's amounts.
        #[arg(long)]
        currency: Option<String>,
        /// Wait for a line of input after each capture.
        #[arg(long)]
        step: bool,
    },
    /// Events, newest first.
    Timeline {
        vehicle: Option<String>,
        #[arg(long = "type")]
        kind: Option<String>,
        #[arg(long)]
        from: Option<NaiveDate>,
        #[arg(long)]
        to: Option<NaiveDate>,
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Also what was corrected or retracted.
        #[arg(long)]
        all: bool,
    },
    /// What the server does not have yet or has refused, and why.
    Pending,
    /// Exchange with the server until nothing is left to do.
    Sync {
        /// Go on, on the server's pokes.
        #[arg(long)]
        watch: bool,
    },
    /// Write what is unsettled to a file.
    Export {
        file: PathBuf,
        /// Everything that the journal holds.
        #[arg(long)]
        everything: bool,
    },
    /// Check the chain of evidence.
    Verify,
    /// Read what can be read of a damaged journal into a new one and use that from now on; the
    /// damaged file stays beside it.
    Salvage,
    #[command(flatten)]
    Records(super::records::Command),
    #[command(flatten)]
    Photos(super::photos::Command),
}

/// What a capture says.
#[derive(clap::Args)]
pub(crate) struct Facts {
    /// Odometer, miles.
    #[arg(long)]
    pub(crate) miles: Option<i64>,
    /// Money in minor units (cents).
    #[arg(long)]
    pub(crate) total_minor: Option<i64>,
    #[arg(long)]
    pub(crate) currency: Option<String>,
    #[arg(long)]
    pub(crate) vendor: Option<String>,
    #[arg(long)]
    pub(crate) notes: Option<String>,
    /// When it happened, UTC ms since 1970; now when absent.
    #[arg(long)]
    pub(crate) at: Option<Millis>,
    /// Local day; from the time and zone when absent.
    #[arg(long)]
    pub(crate) date: Option<NaiveDate>,
    /// IANA time zone.
    #[arg(long)]
    pub(crate) timezone: Option<String>,
    /// latitude,longitude[,accuracy in metres]
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) fix: Option<String>,
    /// A key of the payload and its value, JSON or text: key=value. May repeat.
    #[arg(long = "payload", value_name = "KEY=VALUE")]
    pub(crate) payload: Vec<String>,
    /// An id of your own: the same id twice is one capture.
    #[arg(long)]
    pub(crate) id: Option<OpId>,
    /// The event that this one corrects.
    #[arg(long)]
    pub(crate) corrects: Option<EventId>,
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

impl Facts {
    /// Puts what was given into a capture.
    pub(crate) fn apply(&self, capture: &mut Capture) -> Result<(), Box<dyn std::error::Error>> {
        let text = |given: &Option<String>, field: &mut Option<String>| {
            if given.is_some() {
                field.clone_from(given);
            }
        };
        capture.op_id = self.id.or(capture.op_id);
        capture.miles = self.miles.or(capture.miles);
        capture.total_minor = self.total_minor.or(capture.total_minor);
        capture.corrects = self.corrects.or(capture.corrects);
        capture.occurred_at = self.at.unwrap_or(capture.occurred_at);
        capture.date = self.date.unwrap_or(capture.date);
        text(&self.currency, &mut capture.currency);
        text(&self.vendor, &mut capture.vendor);
        text(&self.notes, &mut capture.notes);
        text(&self.reason, &mut capture.reason);
        if let Some(fix) = &self.fix {
            capture.fix = Some(parse_fix(fix)?);
        }
        for pair in &self.payload {
            let (key, value) = pair.split_once('=').ok_or("--payload takes key=value")?;
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
            capture.payload.insert(key.to_owned(), value);
        }
        Ok(())
    }
}

fn parse_fix(text: &str) -> Result<Fix, Box<dyn std::error::Error>> {
    let numbers: Vec<f64> = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let [latitude, longitude, rest @ ..] = numbers.as_slice() else {
        return Err("--fix takes latitude,longitude[,accuracy]".into());
    };
    let mut fix = Fix::at(*latitude, *longitude, FixSource::Gps);
    fix.accuracy_m = rest.first().copied();
    Ok(fix)
}
