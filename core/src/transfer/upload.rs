//! The uploading machine: one request at a time, from where the server says that the upload stands.
//!
//! ```text
//!   no location ──▶ POST (with the bytes, where they are few)
//!   location    ──▶ HEAD, unless the offset is known ──▶ PATCH … PATCH ──▶ stored
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use motomind_protocol::wire::{UPLOAD_CAPABILITY_HEADER, problem};
use motomind_protocol::{Millis, limits};

use super::UploadState;
use super::policy::TransferPolicy;
use super::rows::{self, Allowed, Begun, REST_MS_MAX, Upload, Variant};
use super::settings;
use crate::device::Device;
use crate::error::StoreError;
use crate::photos::blobs::{self, Blob};
use crate::sync::{
    Backoff, FailureKind, Next, Reply, Request, RequestId, Setback, TokenSerial, setback,
};

/// First rest of a picture that went wrong by itself, ms, doubled each time up to [`REST_MS_MAX`].
const REST_MS: Millis = 30 * 1000;
/// A chunk that was acknowledged faster may be followed by a larger one, ms.
const QUICK_MS: Millis = 1_000;
/// Largest chunk; also the largest value that crosses any border, bytes.
const CHUNK_BYTES_MAX: usize = limits::PUSH_BYTES_MAX;
/// Smallest chunk that is tried where something on the way takes no larger ones, bytes.
const CHUNK_BYTES_MIN: usize = 16 * 1024;

/// What is in flight and what has been learnt. Lives as long as the device is open.
#[derive(Debug)]
pub(crate) struct UploadFlow {
    flight: Option<Flight>,
    pub(crate) backoff: Backoff,
    pub(crate) policy: TransferPolicy,
    pub(crate) metered: bool,
    /// What may still go over a metered network, bytes.
    budget: u64,
    /// The upload whose offset the server has just told.
    known: Option<(i64, u64)>,
    /// Bytes in the next chunk.
    chunk: usize,
}

#[derive(Debug)]
struct Flight {
    id: RequestId,
    /// The row.
    n: i64,
    asked: Asked,
    sent_at: Millis,
    token: TokenSerial,
}

#[derive(Debug)]
enum Asked {
    /// `POST`: a new upload, or the one that this device had begun.
    Begin,
    /// `HEAD`: how far it is.
    Offset,
    /// `PATCH`: so many bytes.
    Append(usize),
}

impl Default for UploadFlow {
    fn default() -> Self {
        Self {
            flight: None,
            backoff: Backoff::default(),
            policy: TransferPolicy::default(),
            metered: false,
            budget: u64::MAX,
            known: None,
            chunk: limits::UPLOAD_CHUNK_BYTES,
        }
    }
}

impl UploadFlow {
    pub(crate) fn in_flight_is(&self, id: RequestId) -> bool {
        self.flight.as_ref().is_some_and(|flight| flight.id == id)
    }

    pub(crate) fn is_in_flight(&self) -> bool {
        self.flight.is_some()
    }

    /// Goes by this policy from now on, with so much left of its budget.
    pub(super) fn apply(&mut self, policy: TransferPolicy, left: Option<u64>) {
        self.budget = left.unwrap_or(u64::MAX);
        self.policy = policy;
    }

    /// Bytes in one request, as the way and the budget allow.
    fn affordable(&self) -> usize {
        let budget = if self.metered { self.budget } else { u64::MAX };
        self.chunk.min(usize::try_from(budget).unwrap_or(usize::MAX))
    }

    fn allowed(&self, has_token: bool) -> Allowed {
        Allowed::by(&self.policy, self.metered, self.budget, has_token)
    }
}

/// Plans the next request. An upload that has begun carries its own capability: it goes on while
/// there is no valid token.
pub(crate) fn next(device: &mut Device, now: Millis) -> Result<Next, StoreError> {
    if device.sync.upload.is_in_flight() {
        return Ok(Next::Nothing);
    }
    let allowed = device.sync.upload.allowed(device.sync.may_begin_uploads());
    while let Some(upload) = rows::due(&device.conn, allowed, now, server_time(device, now))? {
        if let Some(until) = device.sync.upload.backoff.waiting(now) {
            return Ok(Next::At(until));
        }
        let planned = match blobs::find(&device.conn, &upload.item.sha256)? {
            Some(blob) => plan(device, &upload, &blob, now),
            None => Err(StoreError::Damaged("its bytes are not here any more".into())),
        };
        let (request, asked) = match planned {
            Err(StoreError::Damaged(what)) => {
                // It alone is damaged: it rests with that, and the others go on.
                rows::refuse(&device.conn, upload.n, &what, None)?;
                continue;
            }
            planned => planned?,
        };
        let (n, token) = (upload.n, device.sync.token_serial);
        device.sync.upload.flight = Some(Flight { id: request.id, n, asked, sent_at: now, token });
        return Ok(Next::Send(request));
    }
    Ok(rows::next_due(&device.conn, now)?.map_or(Next::Nothing, Next::At))
}

/// The next request of an upload.
fn plan(
    device: &mut Device,
    upload: &Upload,
    blob: &Blob,
    now: Millis,
) -> Result<(Request, Asked), StoreError> {
    Ok(match (&upload.location, &upload.capability) {
        (Some(location), Some(capability)) if !has_expired(device, upload, now) => {
            let (location, capability) = (location.clone(), capability.clone());
            match device.sync.upload.known.filter(|(of, _)| *of == upload.n) {
                None => (ask(device, location, &capability), Asked::Offset),
                Some((_, offset)) => append(device, upload, blob, location, &capability, offset)?,
            }
        }
        _ => (begin(device, upload, blob)?, Asked::Begin),
    })
}

/// The server's clock, as far as it is known, UTC ms.
fn server_time(device: &Device, now: Millis) -> Millis {
    now.saturating_add(device.sync.clock_offset.map_or(0, |(offset, _)| offset))
}

fn has_expired(device: &Device, upload: &Upload, now: Millis) -> bool {
    upload.expires_at.is_some_and(|at| server_time(device, now) >= at)
}

/// `POST`: creates the upload. What is small goes along at once.
fn begin(device: &mut Device, upload: &Upload, blob: &Blob) -> Result<Request, StoreError> {
    let item = &upload.item;
    let mut metadata = format!(
        "sha256 {},mime {}",
        STANDARD.encode(item.sha256.to_string()),
        STANDARD.encode(blob.mime.as_str())
    );
    if item.variant == Variant::Preview {
        let of = STANDARD.encode(item.photo.to_string());
        metadata.push_str(&format!(",variant {},of {of}", STANDARD.encode("preview")));
    }
    let mut headers = tus();
    headers.push(("upload-length", item.bytes.to_string()));
    headers.push(("upload-metadata", metadata));
    let mut body = Vec::new();
    if item.bytes <= device.sync.upload.affordable() as u64 {
        headers.push(("content-type", BYTES.into()));
        body = blobs::read(&device.conn, blob, 0, device.sync.upload.affordable())?;
        spend(device, upload.n, body.len())?;
    }
    Ok(device.sync.request("POST", "/v1/uploads".into(), headers, body))
}

/// `HEAD`: asks how far it is.
fn ask(device: &mut Device, location: String, capability: &str) -> Request {
    device.sync.request_with(capability, "HEAD", location, tus(), Vec::new())
}

/// `PATCH`: the next chunk.
fn append(
    device: &mut Device,
    upload: &Upload,
    blob: &Blob,
    location: String,
    capability: &str,
    offset: u64,
) -> Result<(Request, Asked), StoreError> {
    let len = device.sync.upload.affordable();
    let body = blobs::read(&device.conn, blob, offset, len)?;
    let mut headers = tus();
    headers.push(("content-type", BYTES.into()));
    headers.push(("upload-offset", offset.to_string()));
    spend(device, upload.n, body.len())?;
    let sent = body.len();
    let request = device.sync.request_with(capability, "PATCH", location, headers, body);
    Ok((request, Asked::Append(sent)))
}

const BYTES: &str = "application/offset+octet-stream";

fn tus() -> Vec<(&'static str, String)> {
    vec![("tus-resumable", "1.0.0".into())]
}

fn spend(device: &mut Device, n: i64, bytes: usize) -> Result<(), StoreError> {
    let flow = &mut device.sync.upload;
    if !flow.metered || flow.policy.metered_budget.is_none() {
        return rows::sends(&device.conn, n, bytes);
    }
    flow.budget = flow.budget.saturating_sub(bytes as u64);
    let tx = device.conn.unchecked_transaction()?;
    settings::keep_metered_left(&tx, flow.budget)?;
    rows::sends(&tx, n, bytes)?;
    tx.commit()?;
    Ok(())
}

/// Takes a reply.
pub(crate) fn on_reply(device: &mut Device, reply: &Reply, now: Millis) -> Result<(), StoreError> {
    let Some(flight) = device.sync.upload.flight.take() else {
        return Ok(());
    };
    device.sync.upload.known = None;
    device.changes.tables.insert("photos");
    let Some(upload) = rows::find(&device.conn, flight.n)? else {
        return Ok(());
    };
    let length = upload.item.bytes;
    let offset = reply.number("upload-offset").filter(|offset| *offset <= length);
    let speaks_tus = reply.header("tus-resumable").is_some();
    match (&flight.asked, reply.status, offset) {
        (Asked::Begin, 201, Some(offset)) if speaks_tus => {
            has_begun(device, &upload, reply, offset, now)
        }
        (Asked::Offset, 200, Some(offset)) | (Asked::Append(_), 204, Some(offset))
            if speaks_tus =>
        {
            if let Asked::Append(sent) = flight.asked {
                grow(device, sent, now.saturating_sub(flight.sent_at));
            }
            moves_on(device, &upload, offset, now)
        }
        // Another request was at the same upload: where it stands now, the server says.
        (Asked::Append(_), 409, Some(offset)) if speaks_tus => {
            moves_on(device, &upload, offset, now)
        }
        _ => went_wrong(device, &flight, &upload, reply, now),
    }
}

/// The server has created the upload, found the one that this device had begun, or has the photo.
fn has_begun(
    device: &mut Device,
    upload: &Upload,
    reply: &Reply,
    offset: u64,
    now: Millis,
) -> Result<(), StoreError> {
    let location = reply.header("location").filter(|path| path.starts_with("/v1/uploads/"));
    let capability = reply.header(UPLOAD_CAPABILITY_HEADER);
    let (Some(location), Some(capability)) = (location, capability) else {
        later(device, "a reply to an upload without its address".into(), None, now);
        return Ok(());
    };
    let expires = reply.header("upload-expires");
    let expires = expires.and_then(|date| chrono::DateTime::parse_from_rfc2822(date).ok());
    let by_host = is_for_the_host(device, upload);
    let begun = Begun {
        location,
        capability,
        expires_at: expires.map(|at| at.timestamp_millis()),
        offset,
        by_host,
    };
    rows::begun(&device.conn, upload.n, &begun)?;
    moves_on(device, upload, offset, now)
}

/// Whether the host moves a picture's bytes.
fn is_for_the_host(device: &Device, upload: &Upload) -> bool {
    device.sync.upload.policy.originals_by_host && upload.item.variant == Variant::Original
}

/// The upload stands at an offset; at its length, the photo is stored and verified.
fn moves_on(
    device: &mut Device,
    upload: &Upload,
    offset: u64,
    now: Millis,
) -> Result<(), StoreError> {
    device.sync.upload.backoff.reset();
    device.sync.last_problem = None;
    if offset == upload.item.bytes {
        return rows::stored(&device.conn, upload.n, server_time(device, now));
    }
    if is_for_the_host(device, upload) {
        return rows::planned(&device.conn, upload.n, offset);
    }
    device.sync.upload.known = Some((upload.n, offset));
    rows::stands_at(&device.conn, upload.n, offset)
}

/// Chunks grow where they are taken quickly, so that a fast network is not waited for.
fn grow(device: &mut Device, sent: usize, took_ms: Millis) {
    let flow = &mut device.sync.upload;
    if (0..QUICK_MS).contains(&took_ms) && sent >= flow.chunk {
        flow.chunk = (flow.chunk * 2).min(CHUNK_BYTES_MAX);
    }
}

fn shrink(device: &mut Device) {
    let flow = &mut device.sync.upload;
    flow.chunk = (flow.chunk / 2).max(CHUNK_BYTES_MIN);
}

/// Sorts a reply that is not the expected one. What is wrong with one picture holds up no other.
fn went_wrong(
    device: &mut Device,
    flight: &Flight,
    upload: &Upload,
    reply: &Reply,
    now: Millis,
) -> Result<(), StoreError> {
    let n = upload.n;
    let rest = |attempts: u32| {
        let rest = REST_MS.saturating_mul(1 << attempts.min(12)).min(REST_MS_MAX);
        Some(now.saturating_add(rest))
    };
    let told = setback(reply);
    let code = match &told {
        Setback::Content(Some(problem)) => Some(problem.code.clone()),
        _ => None,
    };
    let detail = match &told {
        Setback::Content(Some(problem)) => problem.detail.clone(),
        _ => format!("HTTP {}", reply.status),
    };
    match (code.as_deref(), reply.status) {
        (Some(problem::HASH_MISMATCH), _) | (None, 422) => {
            if blobs::is_intact(&device.conn, &upload.item.sha256)? {
                // Damaged on its way, or by another's claim: once more from the beginning.
                return rows::lost(&device.conn, n, rest(upload.attempts));
            }
            rows::refuse(&device.conn, n, "its bytes on this device are damaged", None)
        }
        (Some(problem::QUOTA_EXCEEDED), _) => {
            rows::refuse(&device.conn, n, &detail, Some(now.saturating_add(REST_MS_MAX)))
        }
        (Some(problem::WRONG_MIME | problem::MALFORMED), _) => {
            rows::refuse(&device.conn, n, &detail, None)
        }
        (Some(problem::CHECKSUM_MISMATCH), _) => {
            rows::refuse(&device.conn, n, &detail, rest(upload.attempts))
        }
        (Some(problem::TOO_LARGE), 413) if upload.item.bytes > limits::PHOTO_BYTES_MAX => {
            rows::refuse(&device.conn, n, &detail, None)
        }
        // Something on the way takes no request of this size.
        (_, 413) if device.sync.upload.chunk > CHUNK_BYTES_MIN => {
            shrink(device);
            Ok(())
        }
        // The capability or the upload is gone; HEAD replies have no body that could say more.
        (Some(problem::UPLOAD_EXPIRED), _) | (_, 404 | 410)
            if !matches!(flight.asked, Asked::Begin) && reply.header("tus-resumable").is_some() =>
        {
            rows::lost(&device.conn, n, rest(upload.attempts).filter(|_| upload.attempts > 2))
        }
        (_, 401) if !matches!(flight.asked, Asked::Begin) => {
            rows::lost(&device.conn, n, rest(upload.attempts).filter(|_| upload.attempts > 2))
        }
        (_, 403) if reply.header("tus-resumable").is_some() => match told {
            // Whoever may not upload may still capture and read.
            Setback::Blocked(crate::sync::Blocked::Forbidden(what)) => {
                rows::refuse(&device.conn, n, &what, Some(now.saturating_add(REST_MS_MAX)))
            }
            Setback::Blocked(blocked) => {
                device.sync.block(blocked, flight.token);
                Ok(())
            }
            _ => rows::lost(&device.conn, n, rest(upload.attempts)),
        },
        _ => match told {
            Setback::Blocked(blocked) => {
                device.sync.block(blocked, flight.token);
                Ok(())
            }
            Setback::Later { retry_after_s, what } => {
                later(device, what, retry_after_s, now);
                Ok(())
            }
            Setback::Content(_) => rows::refuse(&device.conn, n, &detail, rest(upload.attempts)),
        },
    }
}

fn later(device: &mut Device, what: String, retry_after_s: Option<u32>, now: Millis) {
    device.sync.last_problem = Some(what);
    device.sync.upload.backoff.fail(now, retry_after_s, &mut device.rng);
}

/// Takes a failure: what of the request arrived, is asked for before anything else is sent.
pub(crate) fn on_failure(device: &mut Device, kind: FailureKind, now: Millis) {
    device.sync.upload.flight = None;
    device.sync.upload.known = None;
    device.sync.upload.chunk = limits::UPLOAD_CHUNK_BYTES.min(device.sync.upload.chunk);
    if kind == FailureKind::Timeout {
        shrink(device);
    }
    device.sync.upload.backoff.fail(now, None, &mut device.rng);
}

/// Whether a row is one that the host moves.
pub(super) fn is_planned(upload: &Upload) -> bool {
    upload.item.state == UploadState::Planned
}
