//! The downloading machine: pictures by ranges, each verified by its hash before it is shown; and
//! asking the server whether it really has what is to be freed here.

use motomind_protocol::wire::problem;
use motomind_protocol::{Hash, Millis, limits};

use super::cache::{self, Entry};
use super::{Variant, again, rows, space};
use crate::device::Device;
use crate::error::{CaptureError, StoreError};
use crate::photos::blobs;
use crate::sync::{Backoff, FailureKind, Next, Reply, RequestId, Setback, TokenSerial, setback};

/// First rest of a picture that did not come, ms, doubled each time.
const REST_MS: Millis = 30 * 1000;

/// What is in flight. Lives as long as the device is open.
#[derive(Debug)]
pub(crate) struct DownloadFlow {
    flight: Option<Flight>,
    pub(crate) backoff: Backoff,
    /// Of asking whether something may be freed, so that it holds up nobody's pictures.
    verifying: Backoff,
    /// Room for pictures that the server has: the cache, and own originals that it has, bytes.
    pub(super) limit: u64,
    /// What is to be freed beyond the limit, bytes.
    pub(super) to_free: u64,
}

/// Room for pictures that the server has, unless the host says otherwise, bytes.
const LIMIT: u64 = 512 * 1024 * 1024;

impl Default for DownloadFlow {
    fn default() -> Self {
        let (backoff, verifying) = (Backoff::default(), Backoff::default());
        Self { flight: None, backoff, verifying, limit: LIMIT, to_free: 0 }
    }
}

#[derive(Debug)]
struct Flight {
    id: RequestId,
    asked: Asked,
    token: TokenSerial,
}

#[derive(Debug)]
enum Asked {
    /// A range of a picture.
    Piece(Entry),
    /// Whether the server has an original that may be freed here.
    IsThere(Hash),
}

impl DownloadFlow {
    pub(crate) fn in_flight_is(&self, id: RequestId) -> bool {
        self.flight.as_ref().is_some_and(|flight| flight.id == id)
    }

    pub(crate) fn is_in_flight(&self) -> bool {
        self.flight.is_some()
    }

    /// Stops waiting for a reply: the mirror that it belongs in is gone.
    pub(crate) fn forget_flight(&mut self) {
        self.flight = None;
    }
}

impl Device {
    /// Fetches a picture at the next opportunity, whatever the policy says: somebody wants to see
    /// it. Nothing happens where it is here already.
    ///
    /// # Errors
    /// [`CaptureError::Store`] when the mirror cannot be written.
    pub fn fetch_photo(
        &mut self,
        photo: Hash,
        variant: Variant,
        now: Millis,
    ) -> Result<(), CaptureError> {
        let is_here = cache::find(&self.conn, photo, variant)?.is_some_and(|one| one.is_whole())
            || variant == Variant::Original && blobs::find(&self.conn, &photo)?.is_some();
        if !is_here {
            cache::want(&self.conn, photo, variant, true, now)?;
            self.sync.download.backoff.reset();
        }
        Ok(())
    }
}

pub(crate) fn next(device: &mut Device, now: Millis) -> Result<Next, StoreError> {
    if device.sync.download.is_in_flight() {
        return Ok(Next::Nothing);
    }
    let rests = device.sync.download.verifying.waiting(now).is_some();
    if let Some(photo) = space::to_verify(device)?.filter(|_| !rests) {
        let path = format!("/v1/photos/{photo}");
        let request = device.sync.request("HEAD", path, Vec::new(), Vec::new());
        return Ok(send(device, request, Asked::IsThere(photo)));
    }
    let uploads = &device.sync.upload;
    let full = cache::bytes(&device.conn)? >= device.sync.download.limit;
    let previews = uploads.policy.fetched_previews.allows(uploads.metered) && !full;
    let Some(entry) = cache::due(&device.conn, previews, now)? else {
        return Ok(cache::next_due(&device.conn, now)?.map_or(Next::Nothing, Next::At));
    };
    if let Some(until) = device.sync.download.backoff.waiting(now) {
        return Ok(Next::At(until));
    }
    let mut path = format!("/v1/photos/{}", entry.photo);
    if entry.variant == Variant::Preview {
        path.push_str("?variant=preview");
    }
    let last = entry.have + limits::PIECE_BYTES_MAX as u64 - 1;
    let mut headers = vec![("range", format!("bytes={}-{last}", entry.have))];
    if let Some(sha256) = entry.sha256.filter(|_| entry.have > 0) {
        headers.push(("if-range", format!("\"{sha256}\"")));
    }
    let request = device.sync.request("GET", path, headers, Vec::new());
    Ok(send(device, request, Asked::Piece(entry)))
}

fn send(device: &mut Device, request: crate::sync::Request, asked: Asked) -> Next {
    let token = device.sync.token_serial;
    device.sync.download.flight = Some(Flight { id: request.id, asked, token });
    Next::Send(request)
}

pub(crate) fn on_reply(device: &mut Device, reply: &Reply, now: Millis) -> Result<(), StoreError> {
    let Some(flight) = device.sync.download.flight.take() else {
        return Ok(());
    };
    let named = reply.header("etag").and_then(|tag| tag.trim_matches('"').parse::<Hash>().ok());
    match (&flight.asked, reply.status, named) {
        (Asked::IsThere(photo), 200, Some(sha256)) if sha256 == *photo => {
            device.sync.download.verifying.reset();
            space::free(device, *photo, now)
        }
        // It said so before: it was restored, or lost its store. It gets the photo again.
        (Asked::IsThere(photo), 404, _) => {
            device.sync.download.verifying.fail(now, None, &mut device.rng);
            again::offer_again(&device.conn, *photo).map(drop)
        }
        (Asked::Piece(entry), 200 | 206, Some(sha256)) => take(device, entry, sha256, reply, now),
        (Asked::Piece(entry), ..) => went_wrong(device, &flight, Some(entry.clone()), reply, now),
        (Asked::IsThere(_), ..) => went_wrong(device, &flight, None, reply, now),
    }
}

/// A piece came: where it belongs, or not at all.
fn take(
    device: &mut Device,
    entry: &Entry,
    sha256: Hash,
    reply: &Reply,
    now: Millis,
) -> Result<(), StoreError> {
    let piece = &reply.body;
    let range = match reply.status {
        206 => reply.header("content-range").and_then(range),
        _ => Some((0, piece.len() as u64)),
    };
    let fits = range.filter(|(from, whole)| {
        *from == entry.have
            && !piece.is_empty()
            && from + piece.len() as u64 <= *whole
            && *whole <= limits::PHOTO_BYTES_MAX
            && entry.sha256.is_none_or(|begun| begun == sha256)
            && (entry.variant == Variant::Preview || sha256 == entry.photo)
    });
    let Some((_, whole)) = fits else {
        return again(device, entry, "the server sent something else", now);
    };
    device.sync.download.backoff.reset();
    let entry = cache::add(&device.conn, entry, sha256, whole, piece)?;
    if !entry.is_whole() {
        return Ok(());
    }
    if !cache::is_intact(&device.conn, &entry)? {
        return again(device, &entry, "what came is not what it is named", now);
    }
    cache::arrived(&device.conn, &entry)?;
    cache::shrink(&device.conn, device.sync.download.limit)?;
    device.changes.tables.insert("photos");
    Ok(())
}

/// `bytes 0-1023/4096`: where it begins, and how long the whole is.
fn range(header: &str) -> Option<(u64, u64)> {
    let (span, whole) = header.strip_prefix("bytes ")?.split_once('/')?;
    let (from, _) = span.split_once('-')?;
    Some((from.trim().parse().ok()?, whole.trim().parse().ok()?))
}

fn again(device: &mut Device, entry: &Entry, what: &str, now: Millis) -> Result<(), StoreError> {
    let rest = REST_MS.saturating_mul(1 << entry.attempts.min(12)).min(rows::REST_MS_MAX);
    cache::begin_again(&device.conn, entry, what, now.saturating_add(rest))
}

fn went_wrong(
    device: &mut Device,
    flight: &Flight,
    entry: Option<Entry>,
    reply: &Reply,
    now: Millis,
) -> Result<(), StoreError> {
    match (setback(reply), entry) {
        (Setback::Blocked(blocked), _) => {
            device.sync.block(blocked, flight.token);
            Ok(())
        }
        (Setback::Content(Some(said)), Some(entry)) => {
            let gone = said.code == problem::NOT_FOUND;
            let what = if gone { "the server does not have it yet" } else { said.detail.as_str() };
            again(device, &entry, what, now)
        }
        (Setback::Later { retry_after_s, what }, Some(_)) => {
            device.sync.last_problem = Some(what);
            device.sync.download.backoff.fail(now, retry_after_s, &mut device.rng);
            Ok(())
        }
        (Setback::Later { .. } | Setback::Content(_), _) => {
            device.sync.download.verifying.fail(now, reply.retry_after_s, &mut device.rng);
            Ok(())
        }
    }
}

pub(crate) fn on_failure(device: &mut Device, _kind: FailureKind, now: Millis) {
    let flight = device.sync.download.flight.take();
    let download = &mut device.sync.download;
    let verifies = flight.is_some_and(|flight| matches!(flight.asked, Asked::IsThere(_)));
    let backoff = if verifies { &mut download.verifying } else { &mut download.backoff };
    backoff.fail(now, None, &mut device.rng);
}
