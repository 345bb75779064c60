//! The model server's photo store and the uploads to it: tus as `docs/protocol.md` says under
//! "Photos", and photos on their way down.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use motomind_protocol::wire::{
    ChangeKind, DEVICE_HEADER, PhotoStored, UPLOAD_CAPABILITY_HEADER, problem,
};
use motomind_protocol::{Hash, Millis, PhotoMime, Role, UserId, limits};
use uuid::Uuid;

use super::server::{Answer, Call, Refused, Server, authenticate, trouble};

const EXPIRES_MS: Millis = 7 * 24 * 60 * 60_000;
const BYTES: &str = "application/offset+octet-stream";

/// A picture that is stored and verified.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Of its bytes.
    pub sha256: Hash,
    /// As it was said and fits its first bytes.
    pub mime: PhotoMime,
    /// The whole.
    pub bytes: Arc<Vec<u8>>,
}

/// What an upload is to become.
#[derive(Clone, Debug, PartialEq)]
struct Claim {
    sha256: Hash,
    mime: PhotoMime,
    /// For a preview, its photo.
    of: Option<Hash>,
    length: u64,
}

#[derive(Clone, Debug)]
struct Upload {
    whose: (UserId, String),
    claim: Claim,
    received: Vec<u8>,
    is_done: bool,
    was_cut: bool,
    capability: String,
    expires_at: Millis,
}

/// Photos, previews, and uploads under way.
#[derive(Clone, Debug, Default)]
pub struct Photos {
    originals: BTreeMap<Hash, Picture>,
    previews: BTreeMap<Hash, Picture>,
    uploads: BTreeMap<Uuid, Upload>,
}

impl Photos {
    /// A photo's original.
    #[must_use]
    pub fn original(&self, photo: Hash) -> Option<&Picture> {
        self.originals.get(&photo)
    }

    /// A photo's preview.
    #[must_use]
    pub fn preview(&self, photo: Hash) -> Option<&Picture> {
        self.previews.get(&photo)
    }

    /// The photos whose originals are here.
    pub fn all(&self) -> impl Iterator<Item = Hash> {
        self.originals.keys().copied()
    }

    fn there(&self, claim: &Claim) -> Option<&Picture> {
        claim.of.map_or(self.originals.get(&claim.sha256), |photo| self.previews.get(&photo))
    }
}

impl Upload {
    fn offset(&self) -> u64 {
        if self.is_done { self.claim.length } else { self.received.len() as u64 }
    }

    fn told(&self, status: u16) -> Answer {
        let at = chrono::DateTime::from_timestamp_millis(self.expires_at).unwrap_or_default();
        let expires = at.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let headers = vec![
            ("upload-offset".into(), self.offset().to_string()),
            ("upload-length".into(), self.claim.length.to_string()),
            ("upload-expires".into(), expires),
        ];
        Answer { status, headers, body: Vec::new() }
    }
}

impl Server {
    /// Answers a request below `/v1/uploads`.
    pub(super) fn tus(&mut self, call: &Call, path: &str, now: Millis) -> Answer {
        let said = match (call.method.as_str(), path.strip_prefix("/v1/uploads/")) {
            _ if call.header("tus-resumable") != Some("1.0.0") => {
                Err(trouble(412, problem::PROTOCOL))
            }
            ("POST", None) => self.create(call, now),
            ("HEAD", Some(id)) => self.admit(call, id, now).map(|(_, upload)| upload.told(200)),
            ("PATCH", Some(id)) => self.append(call, id, now),
            _ => Err(trouble(404, problem::NOT_FOUND)),
        };
        let mut answer = said.unwrap_or_else(|refused| refused);
        answer.headers.push(("tus-resumable".into(), "1.0.0".into()));
        if call.method == "HEAD" {
            answer.body.clear();
        }
        answer
    }

    fn create(&mut self, call: &Call, now: Millis) -> Refused<Answer> {
        let (identity, role) = authenticate(call, now)?;
        if role < Role::Technician {
            return Err(trouble(403, problem::FORBIDDEN));
        }
        let malformed = || trouble(400, problem::MALFORMED);
        let device = call.header(DEVICE_HEADER).ok_or_else(malformed)?.to_owned();
        let claim = read_claim(call).ok_or_else(malformed)?;
        if let Some(of) = claim.of {
            // Everyone will see it: it comes from whoever put the photo on an event.
            let (is_on, by_caller) = self.tenant.put_on_events(of, identity.user_id);
            let is_a_photo = self.tenant.put_on_events(claim.sha256, identity.user_id).0;
            if (is_on && !by_caller) || (is_a_photo && claim.sha256 != of) {
                return Err(trouble(403, problem::FORBIDDEN));
            }
        }
        let photos = &self.tenant.photos;
        let length = photos.there(&claim).map(|there| there.bytes.len() as u64);
        if claim.of.is_none() && length.is_some_and(|length| length != claim.length) {
            return Err(trouble(422, problem::HASH_MISMATCH));
        }
        let is_done = length.is_some();
        let whose = (identity.user_id, device);
        let begun = photos.uploads.iter().find(|(_, upload)| {
            let goes_on = !is_done && !upload.is_done && upload.expires_at > now;
            goes_on && upload.whose == whose && upload.claim == claim
        });
        let id =
            begun.map_or(uuid::Builder::from_random_bytes(self.dice.bytes()).into_uuid(), |b| *b.0);
        let capability = format!("capability-{:x}", self.dice.number());
        let expires_at = now + EXPIRES_MS;
        let (received, was_cut) = (Vec::new(), false);
        let new = Upload {
            whose,
            claim,
            received,
            is_done,
            was_cut,
            capability: capability.clone(),
            expires_at,
        };
        let upload = self.tenant.photos.uploads.entry(id).or_insert(new);
        upload.capability = capability.clone();
        upload.expires_at = expires_at;
        if upload.offset() == 0 && call.header("content-type") == Some(BYTES) {
            self.take(id, &call.body)?;
        }
        let upload = self.tenant.photos.uploads.get(&id).ok_or_else(malformed)?;
        let mut answer = upload.told(201);
        answer.headers.push(("location".into(), format!("/v1/uploads/{id}")));
        answer.headers.push((UPLOAD_CAPABILITY_HEADER.into(), capability));
        Ok(answer)
    }

    /// The upload that a bearer of its capability, or its own person, may go on with.
    fn admit(&mut self, call: &Call, id: &str, now: Millis) -> Refused<(Uuid, &mut Upload)> {
        let gone = || trouble(404, problem::NOT_FOUND);
        let id = id.parse::<Uuid>().map_err(|_| gone())?;
        let bearer = call.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let person = authenticate(call, now).map(|(identity, _)| identity.user_id);
        let uploads = &mut self.tenant.photos.uploads;
        if uploads.get(&id).is_some_and(|upload| upload.expires_at <= now) {
            uploads.remove(&id);
            return Err(trouble(410, problem::UPLOAD_EXPIRED));
        }
        let upload = uploads.get_mut(&id).ok_or_else(gone)?;
        if bearer != Some(&*upload.capability) && person != Ok(upload.whose.0) {
            return Err(trouble(401, problem::UNAUTHENTICATED));
        }
        Ok((id, upload))
    }

    fn append(&mut self, call: &Call, id: &str, now: Millis) -> Refused<Answer> {
        let (id, upload) = self.admit(call, id, now)?;
        if call.header("content-type") != Some(BYTES) {
            return Err(trouble(415, problem::MALFORMED));
        }
        let offset = upload.offset();
        if call.header("upload-offset") != Some(&offset.to_string()) {
            let mut conflict = trouble(409, problem::OFFSET_CONFLICT);
            conflict.headers.push(("upload-offset".into(), offset.to_string()));
            return Err(conflict);
        }
        if std::mem::take(&mut upload.was_cut) && offset > 0 {
            self.tenant.records.remarks.push("upload resumed after a cut");
        }
        self.take(id, &call.body)?;
        let upload = self.tenant.photos.uploads.get(&id);
        upload.map(|upload| upload.told(204)).ok_or_else(|| trouble(404, problem::NOT_FOUND))
    }

    /// Takes bytes; with the last one the picture is verified and published.
    fn take(&mut self, id: Uuid, bytes: &[u8]) -> Refused<()> {
        let uploads = &mut self.tenant.photos.uploads;
        let Some(upload) = uploads.get_mut(&id).filter(|upload| !upload.is_done) else {
            return Ok(());
        };
        if (upload.received.len() + bytes.len()) as u64 > upload.claim.length {
            return Err(trouble(413, problem::TOO_LARGE));
        }
        upload.received.extend_from_slice(bytes);
        upload.was_cut = self.cuts;
        if upload.offset() < upload.claim.length {
            return Ok(());
        }
        let (received, claim) = (std::mem::take(&mut upload.received), upload.claim.clone());
        upload.is_done = true;
        let wrong = match (Hash::of(&received) == claim.sha256, PhotoMime::sniff(&received)) {
            (false, _) => Some(problem::HASH_MISMATCH),
            (true, mime) => (mime != Some(claim.mime)).then_some(problem::WRONG_MIME),
        };
        if let Some(wrong) = wrong {
            uploads.remove(&id);
            return Err(trouble(422, wrong));
        }
        self.publish(&claim, received);
        Ok(())
    }

    fn publish(&mut self, claim: &Claim, bytes: Vec<u8>) {
        let photos = &mut self.tenant.photos;
        if photos.there(claim).is_some() {
            return;
        }
        let length = bytes.len() as u64;
        let Claim { sha256, mime, of, .. } = *claim;
        let picture = Picture { sha256, mime, bytes: Arc::new(bytes) };
        match of {
            Some(photo) => drop(photos.previews.insert(photo, picture)),
            None => drop(photos.originals.insert(sha256, picture)),
        }
        let remarks = &mut self.tenant.records.remarks;
        remarks.push(if of.is_some() { "preview uploaded" } else { "photo uploaded" });
        if of.is_none() && self.lost_photos.contains(&sha256) {
            remarks.push("photo lost in a restore sent again");
        }
        let photo = of.unwrap_or(sha256);
        let stored = PhotoStored { photo, preview: of.map(|_| sha256), bytes: length, mime };
        self.tenant.log.append(ChangeKind::PhotoStored(stored), &mut self.dice);
    }

    /// Answers a request for a photo or its preview.
    pub(super) fn photo(
        &mut self,
        call: &Call,
        photo: &str,
        query: &str,
        now: Millis,
    ) -> Refused<Answer> {
        authenticate(call, now)?;
        let gone = || trouble(404, problem::NOT_FOUND);
        let photo: Hash = photo.parse().map_err(|_| gone())?;
        let photos = &self.tenant.photos;
        let found = match query {
            "variant=preview" => photos.previews.get(&photo),
            _ => photos.originals.get(&photo),
        };
        let picture = found.ok_or_else(gone)?;
        let etag = format!("\"{}\"", picture.sha256);
        let whole = picture.bytes.len();
        let is_same = call.header("if-range").is_none_or(|tag| tag == etag);
        let mut headers = vec![("etag".to_string(), etag)];
        let range = call.header("range").filter(|_| is_same);
        let Some((from, to)) = range.and_then(|range| read_range(range, whole)) else {
            return Ok(Answer { status: 200, headers, body: picture.bytes.to_vec() });
        };
        if from >= whole {
            return Err(trouble(416, problem::BAD_RANGE));
        }
        headers.push(("content-range".into(), format!("bytes {from}-{}/{whole}", to - 1)));
        let body = picture.bytes[from..to].to_vec();
        Ok(Answer { status: 206, headers, body })
    }

    /// Notes what a restore has taken from the store, which was this one before.
    pub fn note_lost(&mut self, before: &Photos) {
        let after = &self.tenant.photos;
        let lost = |photo: &&Hash| !after.originals.contains_key(photo);
        self.lost_photos.extend(before.originals.keys().filter(lost));
        let lost = |photo: &&Hash| !after.previews.contains_key(photo);
        self.lost_previews.extend(before.previews.keys().filter(lost));
    }

    /// Whether some restore has taken pictures from the store.
    #[must_use]
    pub fn has_lost_pictures(&self) -> bool {
        !self.lost_photos.is_empty() || !self.lost_previews.is_empty()
    }
}

/// `bytes=0-1023`: from where to where, the end not included.
fn read_range(header: &str, whole: usize) -> Option<(usize, usize)> {
    let (from, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let (from, last) = (from.parse().ok()?, last.parse::<usize>().ok()?);
    Some((from, whole.min(last.saturating_add(1)).max(from)))
}

fn read_claim(call: &Call) -> Option<Claim> {
    let metadata = call.header("upload-metadata")?;
    let pairs = metadata.split(',').filter_map(|pair| pair.trim().split_once(' '));
    let mut said = BTreeMap::new();
    for (key, value) in pairs {
        let value = STANDARD.decode(value).ok()?;
        said.insert(key, String::from_utf8(value).ok()?);
    }
    let length = call.header("upload-length")?.parse().ok()?;
    let is_preview = said.get("variant").is_some_and(|variant| variant == "preview");
    let of = if is_preview { Some(said.get("of")?.parse().ok()?) } else { None };
    let mime = serde_json::from_value(said.get("mime")?.as_str().into()).ok()?;
    let claim = Claim { sha256: said.get("sha256")?.parse().ok()?, mime, of, length };
    (1..=limits::PHOTO_BYTES_MAX).contains(&length).then_some(claim)
}
