//! A server with a store of pictures, as a device meets it. Whoever restores it loses some.
#![allow(clippy::unwrap_used, clippy::panic, dead_code)]

use std::collections::{BTreeMap, BTreeSet};

use super::field::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use motomind_core::protocol::{Hash, Operation};
use motomind_core::*;
use serde_json::{Value, json};

/// An office with a store of pictures.
#[derive(Default)]
pub(crate) struct Server {
    pub(crate) office: Office,
    /// Of each photo, whether its preview, its original is there.
    pub(crate) pictures: BTreeSet<(Hash, bool)>,
    /// Pictures that came, in their order.
    pub(crate) came: Vec<(Hash, bool)>,
    pub(crate) takes_originals: bool,
    pub(crate) operations: Vec<Operation>,
    /// What colleagues' photos are.
    pub(crate) theirs: BTreeMap<(Hash, bool), Vec<u8>>,
}

impl Server {
    pub(crate) fn upload(&mut self, request: &Request) -> Reply {
        let header = |name: &str| {
            let found = request.headers.iter().find(|(given, _)| *given == name);
            found.map(|(_, value)| value.clone()).unwrap()
        };
        let metadata = header("upload-metadata");
        let said: BTreeMap<&str, String> = metadata
            .split(',')
            .map(|pair| pair.split_once(' ').unwrap())
            .map(|(key, value)| (key, String::from_utf8(STANDARD.decode(value).unwrap()).unwrap()))
            .collect();
        let is_preview = said.contains_key("of");
        if !is_preview && !self.takes_originals {
            return reply(503, Vec::new(), &json!({"code": "unavailable"}));
        }
        let sha256: Hash = said["sha256"].parse().unwrap();
        let photo = said.get("of").map_or(sha256, |of| of.parse().unwrap());
        if self.pictures.insert((photo, is_preview)) {
            self.came.push((photo, is_preview));
            self.log_stored(photo, is_preview.then_some(sha256));
        }
        let length = header("upload-length");
        let headers = vec![
            ("tus-resumable".to_string(), "1.0.0".to_string()),
            ("location".into(), "/v1/uploads/1".into()),
            ("upload-offset".into(), length.clone()),
            ("upload-length".into(), length),
            ("motomind-upload-capability".into(), "capability".into()),
        ];
        reply(201, headers, &json!({}))
    }

    /// Tells of a picture, or sends it: one that it has, or a colleague's.
    fn download(&self, request: &Request) -> Reply {
        let rest = request.path.trim_start_matches("/v1/photos/");
        let (photo, is_preview) = match rest.split_once('?') {
            Some((photo, _)) => (photo.parse::<Hash>().unwrap(), true),
            None => (rest.parse().unwrap(), false),
        };
        let theirs = self.theirs.get(&(photo, is_preview));
        let tag = match theirs {
            Some(bytes) => Hash::of(bytes),
            None if self.pictures.contains(&(photo, is_preview)) => photo,
            None => return reply(404, Vec::new(), &json!({"code": "not_found"})),
        };
        let mut headers = vec![("etag".to_string(), format!("\"{tag}\""))];
        let Some(bytes) = theirs.filter(|_| request.method == "GET") else {
            return reply(200, headers, &json!({}));
        };
        let range = request.headers.iter().find(|(name, _)| *name == "range").unwrap();
        let from: usize = range.1[6..].split_once('-').unwrap().0.parse().unwrap();
        // A slow way: half of it, then the rest.
        let to = bytes.len().min(from + bytes.len() / 2 + 1);
        headers.push(("content-range".into(), format!("bytes {from}-{}/{}", to - 1, bytes.len())));
        Reply { body: bytes[from..to].to_vec(), ..reply(206, headers, &json!({})) }
    }

    pub(crate) fn log_stored(&mut self, photo: Hash, preview: Option<Hash>) {
        let seq = self.office.log.len() + 1;
        let mut data = json!({"photo": photo, "bytes": 5, "mime": "image/jpeg"});
        if let Some(preview) = preview {
            data["preview"] = json!(preview);
        }
        self.office.log.push(json!({"seq": seq, "kind": "photo_stored", "data": data}));
    }

    /// It is restored to before these pictures came; everything else is there.
    pub(crate) fn loses(&mut self, lost: &[(Hash, bool)]) {
        self.pictures.retain(|picture| !lost.contains(picture));
        let is_lost = |entry: &Value| {
            let data = &entry["data"];
            let is_preview = data.get("preview").is_some();
            entry["kind"] == "photo_stored"
                && lost.iter().any(|(photo, of)| data["photo"] == json!(photo) && *of == is_preview)
        };
        self.office.log.retain(|entry| !is_lost(entry));
        for (place, entry) in self.office.log.iter_mut().enumerate() {
            entry["seq"] = json!(place + 1);
        }
    }

    pub(crate) fn custody(&self) -> Value {
        let one = &self.operations[0];
        let high = self.operations.iter().map(|operation| operation.device_seq).max().unwrap();
        let named = self.operations.iter().filter_map(|operation| match &operation.body {
            protocol::Body::Photo(said) => Some(said.photo),
            _ => None,
        });
        let missing: BTreeSet<Hash> =
            named.filter(|photo| !self.pictures.contains(&(*photo, false))).collect();
        json!({"protocol": 1, "server_time_ms": NOW, "lives": [
                {"incarnation": one.incarnation, "high_water": high, "count": high, "bytes": 1,
                 "held": [[1, high]]}],
            "missing_photos": {"count": missing.len(), "bytes": 1, "photos": missing}})
    }
}

pub(crate) fn reply(status: u16, headers: Vec<(String, String)>, body: &Value) -> Reply {
    Reply { status, retry_after_s: None, headers, body: body.to_string().into_bytes() }
}

/// Everything that the device wants to do, it does.
pub(crate) fn sync(field: &mut Field, server: &mut Server) {
    for _ in 0..12 {
        field.now += 10 * 60 * 1_000;
        field.device.on_poke(field.now);
        let Step::Send(requests) = field.device.next_step(field.now).unwrap() else { continue };
        for request in requests {
            let reply = answer(server, &request, field.now);
            field.device.on_reply(request.id, &reply, field.now).unwrap();
        }
    }
}

pub(crate) fn answer(server: &mut Server, request: &Request, now: i64) -> Reply {
    match request.path.as_str() {
        "/v1/uploads" => server.upload(request),
        "/v1/devices/me/custody" => reply(200, Vec::new(), &server.custody()),
        "/v1/sync/push" => {
            let sent = &mut server.operations;
            let no_verdict = &|_: &Operation| None;
            let body = push_reply(&mut server.office, request, no_verdict, now, sent);
            Reply { body, ..reply(200, Vec::new(), &json!({})) }
        }
        path if path.starts_with("/v1/photos/") => server.download(request),
        path if path.contains("/pull") => {
            let body = pull_reply(&server.office, request, now);
            Reply { body, ..reply(200, Vec::new(), &json!({})) }
        }
        other => panic!("{other}"),
    }
}
