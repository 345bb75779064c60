//! A device that takes one JSON command per line and answers each with one line: the native agent
//! of the behaviour scenarios. `tests/scenarios/README.md` describes the commands.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use motomind_core::http::{Http, SyncEnd};
use motomind_core::import::fuelio;
use motomind_core::protocol::{Identity, Millis, OpId, VehicleId};
use motomind_core::{
    Blocked, Capture, CaptureError, Device, ExportScope, OpenError, OpenOptions, TimelineQuery,
};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Command {
    now: Option<Millis>,
    #[serde(flatten)]
    what: What,
}

#[derive(Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case")]
enum What {
    Open { directory: PathBuf, identity: Option<Identity> },
    Close,
    Copy { from: PathBuf, to: PathBuf },
    Token { token: Option<String> },
    Capture { capture: Capture },
    Amend { op_id: OpId, capture: Capture },
    Discard { op_id: OpId, reason: String },
    Retry { op_id: OpId },
    Import { file: PathBuf, vehicle: VehicleId, timezone: String, currency: Option<String> },
    Sync { url: String },
    Pending,
    Timeline { vehicle: VehicleId, hidden: bool },
    Vehicle { vehicle: VehicleId },
    Status,
    Export { everything: bool },
    Verify,
}

/// What goes back as `error`: a stable code, and the fields to mend where there are any.
struct Refusal(Value);

type Answer = Result<Value, Refusal>;

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut device = None;
    for line in std::io::stdin().lock().lines() {
        let answer = match serde_json::from_str(&line?) {
            Ok(command) => runtime.block_on(answer(&mut device, command)),
            Err(error) => Err(refusal("bad_command", error)),
        };
        let reply = match answer {
            Ok(value) => json!({ "ok": value }),
            Err(Refusal(error)) => json!({ "error": error }),
        };
        println!("{reply}");
        std::io::stdout().flush()?;
    }
    Ok(())
}

async fn answer(slot: &mut Option<Mutex<Device>>, command: Command) -> Answer {
    let now = command.now.unwrap_or_default();
    if let What::Open { directory, identity } = command.what {
        let device = open(directory, identity, now)?;
        let who = device.identity();
        *slot = Some(Mutex::new(device));
        return Ok(json!({"device_id": who.device_id, "incarnation": who.incarnation}));
    }
    if let What::Close = command.what {
        *slot = None;
        return Ok(Value::Null);
    }
    if let What::Copy { from, to } = command.what {
        return copy(&from, &to).map_err(|error| refusal("storage", error));
    }
    let device = slot.as_ref().ok_or_else(|| refusal("not_open", "open a directory first"))?;
    if let What::Sync { url } = command.what {
        return sync(device, &url, now).await;
    }
    let mut device = device.lock().map_err(|error| refusal("poisoned", error))?;
    match command.what {
        What::Token { token } => {
            let blocked = device.set_token(token.as_deref(), now);
            Ok(json!({"blocked": blocked.as_ref().map(blocked_code)}))
        }
        What::Capture { capture } => captured(device.capture(capture, now)),
        What::Amend { op_id, capture } => captured(device.amend(op_id, capture, now)),
        What::Discard { op_id, reason } => captured(device.discard(op_id, reason, now)),
        What::Retry { op_id } => {
            device.retry(op_id, now).map(|()| Value::Null).map_err(capture_refusal)
        }
        What::Import { file, vehicle, timezone, currency } => {
            let timezone: chrono_tz::Tz =
                timezone.parse().map_err(|error| refusal("bad_command", error))?;
            let offset = fuelio::offsets_of(timezone);
            let zone = fuelio::Zone { name: timezone.name(), offset: &offset };
            let options = fuelio::Options { currency, ..fuelio::Options::new(vehicle, zone) };
            let bytes = std::fs::read(file).map_err(|error| refusal("storage", error))?;
            let import = fuelio::read(&bytes, &options).map_err(|e| refusal("not_readable", e))?;
            import_all(&mut device, import, now)
        }
        What::Pending => Ok(json!(device.pending(now).map_err(store)?)),
        What::Timeline { vehicle, hidden } => timeline(&device, vehicle, hidden),
        What::Vehicle { vehicle } => Ok(json!(device.vehicle(vehicle).map_err(store)?)),
        What::Status => status(&device, now),
        What::Export { everything } => export(&device, everything, now),
        What::Verify => {
            let broken = device.verify().map_err(store)?.err().map(|broken| format!("{broken:?}"));
            Ok(json!({ "broken": broken }))
        }
        What::Open { .. } | What::Close | What::Copy { .. } | What::Sync { .. } => Ok(Value::Null),
    }
}

fn open(directory: PathBuf, identity: Option<Identity>, now: Millis) -> Result<Device, Refusal> {
    let file = |name: &str| directory.join(name).display().to_string();
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    seed[16..].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    let options = OpenOptions {
        journal: file("journal.db"),
        mirror: file("mirror.db"),
        vfs: None,
        identity,
        key: None,
        seed,
        now,
    };
    Device::open(options).map_err(|error| {
        let code = match error {
            OpenError::AlreadyOpen => "already_open",
            OpenError::WrongIdentity(_) => "wrong_identity",
            OpenError::NoIdentity => "no_identity",
            OpenError::WrongKey => "wrong_key",
            OpenError::NewerSchema { .. } => "newer_schema",
            OpenError::JournalDamaged(_) => "journal_damaged",
            _ => "storage",
        };
        refusal(code, error)
    })
}

fn copy(from: &Path, to: &Path) -> std::io::Result<Value> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(Value::Null)
}

async fn sync(device: &Mutex<Device>, url: &str, now: Millis) -> Answer {
    let http = Http::new(url).map_err(|error| refusal("no_client", error))?;
    let end = http.sync_once(device, || now).await.map_err(store)?;
    Ok(match end {
        SyncEnd::CaughtUp => json!({"end": "caught_up"}),
        SyncEnd::Later(at) => json!({"end": "later", "wait_ms": at - now}),
        SyncEnd::Blocked(blocked) => json!({"end": "blocked", "blocked": blocked_code(&blocked)}),
    })
}

fn blocked_code(blocked: &Blocked) -> &'static str {
    match blocked {
        Blocked::NeedsToken => "needs_token",
        Blocked::WrongIdentity(_) => "wrong_identity",
        Blocked::Revoked => "device_revoked",
        Blocked::Forbidden(_) => "forbidden",
        Blocked::NeedsUpdate(_) => "needs_update",
    }
}

fn captured(result: Result<motomind_core::Captured, CaptureError>) -> Answer {
    result.map(|captured| json!(captured)).map_err(capture_refusal)
}

fn import_all(device: &mut Device, import: fuelio::Import, now: Millis) -> Answer {
    let drafts = import.drafts.into_iter();
    let captures = drafts.map(|draft| Capture::from(draft.event)).collect();
    let results = device.capture_all(captures, now).map_err(capture_refusal)?;
    let captured: Vec<bool> = results.iter().flatten().map(|done| done.duplicate).collect();
    let known = captured.iter().filter(|duplicate| **duplicate).count();
    let lines = |notes: &[fuelio::RowNote]| notes.iter().map(|note| note.line).collect::<Vec<_>>();
    Ok(json!({
        "new": captured.len() - known, "known": known, "failed": results.len() - captured.len(),
        "refused_lines": lines(&import.report.refused), "skipped_lines": lines(&import.report.skipped),
    }))
}

fn capture_refusal(error: CaptureError) -> Refusal {
    let message = error.to_string();
    let code = match error {
        CaptureError::Invalid(fields) => {
            return Refusal(json!({"code": "invalid", "message": message, "fields": fields}));
        }
        CaptureError::ConfirmJump { .. } => "confirm_jump",
        CaptureError::IdReused => "id_reused",
        CaptureError::UnknownOperation => "unknown_operation",
        CaptureError::UnknownRecord(_) => "unknown_record",
        CaptureError::AlreadyAccepted => "already_accepted",
        CaptureError::NotRefused => "not_refused",
        CaptureError::AlreadySuperseded => "already_superseded",
        CaptureError::Host(_) => "host",
        CaptureError::Photo(_) => "photo",
        CaptureError::NoRoom { .. } => "no_room",
        CaptureError::PieceTooLarge => "piece_too_large",
        CaptureError::NotBeingWritten => "not_being_written",
        CaptureError::UnknownPhoto => "unknown_photo",
        CaptureError::UnknownSession => "unknown_session",
        CaptureError::SessionOver(_) => "session_over",
        CaptureError::StepsMissing(_) => "steps_missing",
        CaptureError::Seal(_) => "too_large",
        CaptureError::Store(_) => "storage",
    };
    refusal(code, message)
}

fn timeline(device: &Device, vehicle: VehicleId, hidden: bool) -> Answer {
    let query = TimelineQuery {
        vehicle: Some(vehicle),
        include_hidden: hidden,
        limit: 500,
        ..TimelineQuery::default()
    };
    let page = device.timeline(&query).map_err(store)?;
    let mut entries = json!(page.entries);
    for entry in entries.as_array_mut().into_iter().flatten() {
        let record = entry["record_json"].as_str().and_then(|text| serde_json::from_str(text).ok());
        entry["record"] = record.unwrap_or_default();
    }
    Ok(entries)
}

fn status(device: &Device, now: Millis) -> Answer {
    let mut status = json!(device.status(now).map_err(store)?);
    status["blocked"] = json!(device.blocked().map(blocked_code));
    Ok(status)
}

fn export(device: &Device, everything: bool, now: Millis) -> Answer {
    let scope = if everything { ExportScope::Everything } else { ExportScope::Unsettled };
    let mut bytes = Vec::new();
    device.export(scope, &mut bytes, now).map_err(|error| refusal("export", error))?;
    Ok(json!({"text": String::from_utf8_lossy(&bytes)}))
}

fn refusal(code: &str, message: impl ToString) -> Refusal {
    Refusal(json!({"code": code, "message": message.to_string()}))
}

fn store(error: motomind_core::StoreError) -> Refusal {
    refusal("storage", error)
}
