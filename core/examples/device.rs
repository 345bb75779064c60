//! A device on the command line: everything the core does, one command at a time.
//!
//! ```text
//! device --dir a login --server http://127.0.0.1:8787 --token "$TOKEN"
//! device --dir a sync
//! device --dir a capture "Big Red" odometer --miles 54120 --fix 39.74,-104.99,12
//! device --dir a record edit vehicles "Big Red" --set nickname="Big Blue"
//! device --dir a photo add EVENT dent.jpg --caption "the dent"
//! device --dir a pending
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr)]

/// Prints a line. Whoever reads may have gone, as after `| head`: that is an error, no panic.
macro_rules! say {
    ($($said:tt)*) => {{
        use std::io::Write as _;
        writeln!(std::io::stdout(), $($said)*)?
    }};
}

#[path = "device/args.rs"]
mod args;
#[path = "device/photos.rs"]
mod photos;
#[path = "device/records.rs"]
mod records;
#[path = "device/show.rs"]
mod show;
#[path = "device/show_records.rs"]
mod show_records;

use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use args::{Args, Command, Facts};
use chrono_tz::Tz;
use clap::Parser as _;
use motomind_core::http::Http;
use motomind_core::import::fuelio;
use motomind_core::protocol::{Claims, Millis, OpId, VehicleId};
use motomind_core::{Capture, CaptureError, Device, ExportScope, OpenOptions, TimelineQuery};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if nobody_reads(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("device: {error}");
            ExitCode::FAILURE
        }
    }
}

fn nobody_reads(error: &(dyn std::error::Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

fn run(args: &Args) -> Result<(), Failure> {
    if let Command::Login { server, token } = &args.command {
        return login(args, server, token);
    }
    if let Command::Salvage = &args.command {
        return salvage(args);
    }
    let mut device = open(args, None)?;
    match &args.command {
        Command::Login { .. } | Command::Salvage => Ok(()),
        Command::Vehicles => show::vehicles(&device.vehicles()?),
        Command::Status => show::status(&device.status(now())?),
        Command::Capture { vehicle, kind, facts } => {
            let vehicle = find_vehicle(&device, vehicle)?;
            let zone = zone(facts.timezone.as_deref().unwrap_or("UTC"))?;
            let at = facts.at.unwrap_or_else(now);
            let mut capture = Capture::new(vehicle, kind, at, day_at(at, zone), zone.name());
            facts.apply(&mut capture)?;
            captured(device.capture(capture, now()))
        }
        Command::Amend { op, facts } => amend(&mut device, *op, facts),
        Command::Discard { op, reason } => captured(device.discard(*op, reason, now())),
        Command::Retract { event, reason } => captured(device.retract(*event, reason, now())),
        Command::Restore { event, reason } => captured(device.restore(*event, reason, now())),
        Command::Family { event } => {
            show::family(&device.family(*event)?.ok_or(CaptureError::UnknownOperation)?)
        }
        Command::Retry { op } => Ok(device.retry(*op, now())?),
        Command::ImportFuelio { vehicle, file, timezone, currency, step } => {
            let vehicle = find_vehicle(&device, vehicle)?;
            import(&mut device, vehicle, file, timezone, currency.clone(), *step)
        }
        Command::Timeline { vehicle, kind, from, to, limit, all } => {
            let vehicle = match vehicle {
                Some(name) => Some(find_vehicle(&device, name)?),
                None => None,
            };
            let query = TimelineQuery {
                vehicle,
                kind: kind.clone(),
                from: *from,
                to: *to,
                before: None,
                limit: *limit,
                include_hidden: *all,
            };
            show::timeline(&device.vehicles()?, &device.timeline(&query)?)
        }
        Command::Pending => show::pending(&device, &device.pending(now())?),
        Command::Sync { watch } => sync(args, device, *watch),
        Command::Export { file, everything } => {
            let scope = if *everything { ExportScope::Everything } else { ExportScope::Unsettled };
            let operations = device.export(scope, create_private(file)?, now())?;
            say!("{operations} operations written to {}", file.display());
            Ok(())
        }
        Command::Verify => match device.verify()? {
            Ok(()) => {
                say!("the chain is whole");
                match device.verify_photos()?.as_slice() {
                    [] => Ok(()),
                    altered => Err(format!("photos were altered: {altered:?}").into()),
                }
            }
            Err(broken) => Err(format!("the chain is broken: {broken:?}").into()),
        },
        Command::Records(command) => records::run(&mut device, command),
        Command::Photos(command) => photos::run(&mut device, command),
    }
}

fn login(args: &Args, server: &str, token: &str) -> Result<(), Failure> {
    fs::create_dir_all(&args.dir)?;
    let identity = Claims::peek(token)?.identity();
    let device = open(args, Some(identity))?;
    fs::write(args.dir.join("server"), server)?;
    write_secret(&args.dir.join("token"), token)?;
    say!("device {} of user {}", device.identity().device_id, identity.user_id);
    Ok(())
}

/// Writes a file that only its owner can read, whatever it was before.
fn write_secret(path: &Path, secret: &str) -> io::Result<()> {
    create_private(path)?.write_all(secret.as_bytes())
}

/// Creates a file that only its owner can read, in the place of whatever was there.
fn create_private(path: &Path) -> io::Result<fs::File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn open(
    args: &Args,
    identity: Option<motomind_core::protocol::Identity>,
) -> Result<Device, Failure> {
    let file = |name: &str| args.dir.join(name).to_string_lossy().into_owned();
    if identity.is_none() && !Path::new(&file("journal.db")).exists() {
        return Err(format!("{} is no device yet: login first", args.dir.display()).into());
    }
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(Device::open(OpenOptions {
        journal: file("journal.db"),
        mirror: file("mirror.db"),
        vfs: None,
        identity,
        key: args.key.clone(),
        seed,
        now: now(),
    })?)
}

fn zone(name: &str) -> Result<Tz, Failure> {
    name.parse().map_err(|_| format!("{name:?} is no IANA time zone").into())
}

fn day_at(at: Millis, zone: Tz) -> chrono::NaiveDate {
    let utc = chrono::DateTime::from_timestamp_millis(at).unwrap_or_default();
    utc.with_timezone(&zone).date_naive()
}

fn salvage(args: &Args) -> Result<(), Failure> {
    let file = |name: &str| args.dir.join(name).to_string_lossy().into_owned();
    let (journal, into) = (file("journal.db"), file("salvaged.db"));
    let salvaged = motomind_core::salvage(&journal, &into, None, args.key.as_deref())?;
    fs::rename(&journal, file("journal-damaged.db"))?;
    for log in ["-wal", "-shm"] {
        let path = format!("{journal}{log}");
        if Path::new(&path).exists() {
            fs::rename(&path, file(&format!("journal-damaged.db{log}")))?;
        }
    }
    fs::rename(&into, &journal)?;
    say!(
        "{} operations recovered, {} altered, {} unreadable",
        salvaged.recovered,
        salvaged.altered.len(),
        salvaged.unreadable
    );
    Ok(())
}

/// A vehicle by id or by a part of its name that only one has.
fn find_vehicle(device: &Device, name: &str) -> Result<VehicleId, Failure> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let lower = name.to_lowercase();
    let found: Vec<_> = device
        .vehicles()?
        .into_iter()
        .filter(|entry| entry.name.to_lowercase().contains(&lower))
        .collect();
    match found.as_slice() {
        [one] => Ok(one.vehicle.id),
        [] => Err(format!("no vehicle is called {name:?}; see `vehicles`").into()),
        many => Err(format!("{} vehicles are called {name:?}", many.len()).into()),
    }
}

fn captured(result: Result<motomind_core::Captured, CaptureError>) -> Result<(), Failure> {
    let captured = result?;
    for warning in &captured.warnings {
        eprintln!("note: {}: {}", warning.field, warning.message);
    }
    say!("{}", captured.op_id);
    Ok(())
}

fn amend(device: &mut Device, op: OpId, facts: &Facts) -> Result<(), Failure> {
    let item = device.operation(op, now())?.ok_or(CaptureError::UnknownOperation)?;
    let mut capture: Capture = item.event.ok_or(CaptureError::UnknownOperation)?.into();
    capture.op_id = None;
    facts.apply(&mut capture)?;
    captured(device.amend(op, capture, now()))
}

fn import(
    device: &mut Device,
    vehicle: VehicleId,
    file: &PathBuf,
    timezone: &str,
    currency: Option<String>,
    step: bool,
) -> Result<(), Failure> {
    let zone = zone(timezone)?;
    let offset = fuelio::offsets_of(zone);
    let zone = fuelio::Zone { name: zone.name(), offset: &offset };
    let options = fuelio::Options { currency, ..fuelio::Options::new(vehicle, zone) };
    let import = fuelio::read(&fs::read(file)?, &options)?;
    for note in import.report.refused.iter().chain(&import.report.skipped) {
        say!("line {} ({}): {}", note.line, note.section, note.reason);
    }
    let (mut new, mut known, mut refused) = (0, 0, 0);
    let mut confirm = std::io::stdin().lock().lines();
    for draft in import.drafts {
        match device.capture(Capture::from(draft.event), now()) {
            Ok(captured) if captured.duplicate => known += 1,
            Ok(captured) => {
                new += 1;
                if step {
                    say!("line {}: {}", draft.line, captured.op_id);
                    if confirm.next().is_none() {
                        break;
                    }
                }
            }
            Err(error @ CaptureError::Store(_)) => return Err(error.into()),
            Err(error) => {
                refused += 1;
                say!("line {}: {error}", draft.line);
            }
        }
    }
    let bad = refused + import.report.refused.len();
    say!(
        "{new} events captured, {known} were there already, {bad} rows refused, {} skipped",
        import.report.skipped.len()
    );
    Ok(())
}

fn sync(args: &Args, mut device: Device, watch: bool) -> Result<(), Failure> {
    let read = |name: &str| fs::read_to_string(args.dir.join(name));
    let (server, token) = (read("server")?, read("token")?);
    device.set_token(Some(token.trim()), now());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let device = Mutex::new(device);
    let http = Http::new(server.trim())?;
    runtime.block_on(async {
        if !watch {
            let end = http.sync_once(&device, now).await?;
            return show::sync_end(&device, &end, now());
        }
        let token = || Some(token.trim().to_owned());
        let blocked = http
            .sync_forever(&device, now, token, std::future::pending, |end| {
                if let Err(error) = show::sync_end(&device, end, now()) {
                    eprintln!("{error}");
                }
            })
            .await?;
        Err(format!("syncing stopped: {blocked}").into())
    })
}
