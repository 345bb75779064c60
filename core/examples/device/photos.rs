//! Commands on photos, capture sessions and places.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path as FilePath, PathBuf};

use clap::Subcommand;
use motomind_core::protocol::flow::{Left, Path, Session, Standing};
use motomind_core::protocol::photo::{CaptureFacts, CaptureMethod};
use motomind_core::protocol::place::{CorrectionMethod, Place, PlaceFrom};
use motomind_core::protocol::{EventId, Hash};
use motomind_core::{
    Capture, CaptureError, Device, HostPreview, LocationSaid, PhotoEdit, PhotoMeta, PhotoShown,
    PhotoTarget, Variant, When, Whereabouts,
};
use uuid::Uuid;

use super::args::Facts;
use super::show::table;
use super::{Failure, captured, day_at, find_vehicle, now, zone};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// The photos on an event, and where their bytes are.
    Photos {
        event: EventId,
        #[arg(long)]
        json: bool,
    },
    /// Which pictures go over which network, until it is said again; what is set, without a word.
    Transfers {
        #[arg(long, value_parser = when)]
        previews: Option<When>,
        #[arg(long, value_parser = when)]
        originals: Option<When>,
    },
    /// Add, describe, take off or read one photo.
    #[command(subcommand)]
    Photo(One),
    /// Photograph step by step: begin, add photos, complete.
    #[command(subcommand)]
    Session(Flow),
    /// Say where an event happened, take that back, or ask what is known of it.
    Locate {
        event: EventId,
        /// latitude,longitude
        #[arg(long, allow_hyphen_values = true)]
        at: Option<String>,
        #[arg(long)]
        address: Option<String>,
        /// Take back what was said.
        #[arg(long, conflicts_with = "at")]
        withdraw: bool,
        #[arg(long)]
        reason: Option<String>,
        #[arg(long)]
        json: bool,
    },
}

/// always, unmetered, paused
fn when(word: &str) -> Result<When, String> {
    let said = serde_json::from_value(word.into());
    said.map_err(|_| "always, unmetered or paused".to_string())
}

#[derive(Subcommand)]
pub(crate) enum One {
    /// Add a photo to an event.
    Add {
        event: EventId,
        file: PathBuf,
        #[arg(long)]
        caption: Option<String>,
        /// It stands for the event.
        #[arg(long)]
        primary: bool,
    },
    /// Say anew what a photo is.
    Describe {
        event: EventId,
        photo: Hash,
        #[arg(long)]
        caption: Option<String>,
        #[arg(long)]
        sequence: Option<i64>,
        #[arg(long)]
        primary: Option<bool>,
    },
    /// Take a photo off an event.
    Remove {
        event: EventId,
        photo: Hash,
        #[arg(long, default_value = "removed")]
        reason: String,
    },
    /// Ask for a photo that is on the server alone; the next sync brings it.
    Fetch {
        photo: Hash,
        #[arg(long)]
        preview: bool,
    },
    /// Write a photo that is on this device to a file.
    Read {
        photo: Hash,
        file: PathBuf,
        #[arg(long)]
        preview: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum Flow {
    /// Begin one.
    Begin {
        vehicle: String,
        /// fuel, service, tire, damage, dashboard_warning, document
        flow: String,
        /// One shot, without its steps.
        #[arg(long)]
        quick: bool,
    },
    /// Those that can be gone on with.
    List,
    /// Add a photo to one.
    Add {
        session: Uuid,
        file: PathBuf,
        #[arg(long)]
        step: Option<String>,
        #[arg(long)]
        caption: Option<String>,
        #[arg(long)]
        primary: bool,
    },
    /// Go on with one that was left, its photos with it.
    Resume { session: Uuid },
    /// Leave one; its photos stay.
    Leave { session: Uuid },
    /// Throw the photos of one away.
    Discard { session: Uuid },
    /// Save the event with its photos.
    Complete {
        session: Uuid,
        #[arg(value_name = "TYPE")]
        kind: String,
        #[command(flatten)]
        facts: Box<Facts>,
    },
}

pub(crate) fn run(device: &mut Device, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Photos { event, json: true } => {
            say!("{}", serde_json::to_string(&device.photos(*event)?)?);
            Ok(())
        }
        Command::Photos { event, .. } => photos(&device.photos(*event)?),
        Command::Transfers { previews, originals } => {
            let mut policy = device.transfer_policy();
            policy.previews = previews.unwrap_or(policy.previews);
            policy.originals = originals.unwrap_or(policy.originals);
            device.set_transfer_policy(policy)?;
            say!("{}", serde_json::to_string(&policy)?);
            Ok(())
        }
        Command::Photo(one) => photo(device, one),
        Command::Session(flow) => session(device, flow),
        Command::Locate { event, json: true, .. } => {
            say!("{}", serde_json::to_string(&device.place(*event)?)?);
            Ok(())
        }
        Command::Locate { event, at, address, withdraw, reason, .. } => {
            let reason = reason.clone();
            if *withdraw {
                let reason = reason.unwrap_or_else(|| "withdrawn".into());
                return captured(device.withdraw_location(*event, reason, now()));
            }
            let Some(at) = at else { return place(device, *event) };
            let (latitude, longitude) =
                at.split_once(',').ok_or("--at takes latitude,longitude")?;
            let said = LocationSaid {
                latitude: latitude.trim().parse()?,
                longitude: longitude.trim().parse()?,
                method: CorrectionMethod::ManualEntry,
                address: address.clone(),
                reason,
                extraction: None,
            };
            captured(device.correct_location(*event, said, now()))
        }
    }
}

fn photo(device: &mut Device, one: &One) -> Result<(), Failure> {
    match one {
        One::Add { event, file, caption, primary } => {
            add(device, PhotoTarget::Event(*event), file, caption, *primary)
        }
        One::Describe { event, photo, caption, sequence, primary } => {
            let (caption, sequence) = (caption.clone(), *sequence);
            let edit = PhotoEdit { caption, sequence, is_primary: *primary };
            captured(device.describe_photo(*event, *photo, edit, now()))
        }
        One::Remove { event, photo, reason } => {
            captured(device.remove_photo(*event, *photo, reason, now()))
        }
        One::Fetch { photo, preview } => {
            Ok(device.fetch_photo(*photo, variant(*preview), now())?)
        }
        One::Read { photo, file, preview } => read(device, *photo, variant(*preview), file),
    }
}

fn variant(preview: bool) -> Variant {
    if preview { Variant::Preview } else { Variant::Original }
}

fn add(
    device: &mut Device,
    target: PhotoTarget,
    file: &FilePath,
    caption: &Option<String>,
    is_primary: bool,
) -> Result<(), Failure> {
    let bytes = File::open(file)?;
    let capture_method = Some(CaptureMethod::Upload);
    let meta = PhotoMeta {
        size: Some(bytes.metadata()?.len()),
        capture: CaptureFacts { capture_method, ..CaptureFacts::default() },
        caption: caption.clone(),
        is_primary,
        ..PhotoMeta::default()
    };
    let added = device.add_photo(target, bytes, meta, HostPreview::None, now())?;
    if let Some(Err(why)) = &added.preview {
        eprintln!("note: no preview: {why:?}");
    }
    for (flag, told) in [
        (added.flags.screenshot, "it is a picture of a screen"),
        (added.flags.edited, "it was edited"),
        (added.flags.stale, "it is more than seven days old"),
    ] {
        if flag {
            eprintln!("note: {told}");
        }
    }
    say!("{}", added.facts.sha256);
    Ok(())
}

fn read(device: &Device, photo: Hash, variant: Variant, file: &FilePath) -> Result<(), Failure> {
    let mut out = None;
    let mut at = 0;
    while let Some(piece) = device.read_photo(photo, variant, at, usize::MAX)? {
        let out = match &mut out {
            Some(out) => out,
            None => out.insert(crate::create_private(file)?),
        };
        out.write_all(&piece.bytes)?;
        at += piece.bytes.len() as u64;
        if at >= piece.total {
            say!("{at} bytes of {} written to {}", piece.mime.as_str(), file.display());
            return Ok(());
        }
    }
    Err("it is not on this device".into())
}

fn session(device: &mut Device, flow: &Flow) -> Result<(), Failure> {
    match flow {
        Flow::Begin { vehicle, flow, quick } => {
            let vehicle = find_vehicle(device, vehicle)?;
            let path = if *quick { Path::Quick } else { Path::Guided };
            say!("{}", device.begin_session(vehicle, flow, path, now())?.id);
            Ok(())
        }
        Flow::List => sessions(&device.sessions(now())?),
        Flow::Add { session, file, step, caption, primary } => {
            let target = PhotoTarget::Session { id: *session, step: step.clone() };
            add(device, target, file, caption, *primary)
        }
        Flow::Resume { session } => {
            say!("{}", device.resume_session(*session, now())?.id);
            Ok(())
        }
        Flow::Leave { session } => {
            device.leave_session(*session, Left::Navigation, now())?;
            Ok(())
        }
        Flow::Discard { session } => Ok(device.discard_session_photos(*session, now())?),
        Flow::Complete { session, kind, facts } => complete(device, *session, kind, facts),
    }
}

fn complete(device: &mut Device, id: Uuid, kind: &str, facts: &Facts) -> Result<(), Failure> {
    let session = device.session(id, now())?.ok_or(CaptureError::UnknownSession)?;
    let zone = zone(facts.timezone.as_deref().unwrap_or("UTC"))?;
    let at = facts.at.unwrap_or_else(now);
    let mut capture = Capture::new(session.vehicle_id, kind, at, day_at(at, zone), zone.name());
    facts.apply(&mut capture)?;
    captured(device.complete_session(id, capture, now()))
}

fn photos(photos: &[PhotoShown]) -> Result<(), Failure> {
    let row = |one: &PhotoShown| {
        let facts = one.facts.as_ref();
        let pixels = facts.and_then(|facts| facts.width.zip(facts.height));
        vec![
            one.sequence.to_string(),
            if one.is_primary { "●".into() } else { String::new() },
            one.photo.to_string(),
            facts.map(|facts| facts.mime.as_str().to_string()).unwrap_or_default(),
            pixels.map(|(width, height)| format!("{width}×{height}")).unwrap_or_default(),
            one.state.as_str().to_string(),
            bytes(&one.original),
            bytes(&one.preview),
            one.caption.clone().unwrap_or_default(),
        ]
    };
    table(
        &["no", "", "photo", "kind", "pixels", "state", "original", "preview", "caption"],
        &photos.iter().map(row).collect::<Vec<_>>(),
    )
}

fn bytes(whereabouts: &Whereabouts) -> String {
    match (whereabouts.here, whereabouts.on_server, whereabouts.upload) {
        (true, true, _) => "here and there".into(),
        (false, true, _) => "on the server".into(),
        (here, false, Some(state)) => {
            let here = if here { "here, " } else { "" };
            format!("{here}{state:?} {}", whereabouts.acked).to_lowercase()
        }
        (true, false, None) => "here".into(),
        (false, false, None) => String::new(),
    }
}

fn sessions(sessions: &[Session]) -> Result<(), Failure> {
    let row = |session: &Session| {
        let standing = match &session.standing {
            Standing::Abandoned { reason, .. } => format!("left: {reason:?}").to_lowercase(),
            _ => "goes on".into(),
        };
        vec![
            session.id.to_string(),
            session.flow.clone(),
            standing,
            session.photos.len().to_string(),
            session.missing_steps().join(", "),
        ]
    };
    table(
        &["session", "flow", "", "photos", "still needed"],
        &sessions.iter().map(row).collect::<Vec<_>>(),
    )
}

fn place(device: &Device, event: EventId) -> Result<(), Failure> {
    let known = device.place(event)?.ok_or(CaptureError::UnknownOperation)?;
    let line = |place: &Place| {
        let from = match place.from {
            PlaceFrom::Fix => "measured",
            PlaceFrom::Photo => "by its photo",
            PlaceFrom::Correction => "as a person said",
        };
        let address = place.address.as_deref().unwrap_or_default();
        format!("{}, {} {from} {address}", place.latitude, place.longitude)
    };
    say!("{}", known.place.as_ref().map_or("nowhere".into(), line));
    if let Some(decision) = &known.decision {
        say!(
            "decided by {:?}{}",
            decision.rule,
            if decision.ask { "; ask the person" } else { "" }
        );
    }
    for correction in &known.corrections {
        let counts = if correction.counts { "●" } else { " " };
        let said = &correction.said;
        let metres = said.distance_m.map(|m| format!(" {m} m off")).unwrap_or_default();
        let (latitude, longitude) = (said.latitude, said.longitude);
        say!("{counts} {latitude}, {longitude}{metres} ({})", correction.state.as_str());
    }
    Ok(())
}
