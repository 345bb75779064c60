//! `Upload-Metadata`: what is about to come.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use motomind_protocol::{Hash, PhotoMime, limits};

use crate::error::Error;

/// What an upload says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// What the whole hashes to.
    pub(crate) sha256: Hash,
    pub(crate) mime: PhotoMime,
    /// The photo whose preview it is; `None` for an original.
    pub(crate) preview_of: Option<Hash>,
    /// As it was sent.
    pub(crate) text: String,
}

impl Metadata {
    /// Reads the header: `key base64(value)`, separated by commas. Keys that we do not know pass.
    pub(crate) fn read(text: &str) -> Result<Self, Error> {
        let bad = |what: String| Error::Malformed(format!("Upload-Metadata: {what}"));
        if text.len() > limits::UPLOAD_METADATA_BYTES_MAX {
            return Err(bad(format!("at most {} bytes", limits::UPLOAD_METADATA_BYTES_MAX)));
        }
        let mut pairs: Vec<(&str, String)> = Vec::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
            let value = STANDARD.decode(value.trim()).ok().and_then(|v| String::from_utf8(v).ok());
            let value = value.ok_or_else(|| bad(format!("{key} is not base64 of a text")))?;
            if pairs.iter().any(|(known, _)| *known == key) {
                return Err(bad(format!("{key} comes twice")));
            }
            pairs.push((key, value));
        }
        let find = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, v)| v.as_str());
        let hash = |name: &str| match find(name) {
            Some(text) => text.parse::<Hash>().map(Some).map_err(|e| bad(format!("{name}: {e}"))),
            None => Ok(None),
        };
        let mime = find("mime").or_else(|| find("filetype"));
        let mime = mime.ok_or_else(|| bad("mime is missing".into()))?;
        let mime = mime.parse().map_err(|error| Error::WrongMime(format!("{error}")))?;
        let preview_of = match (find("variant").unwrap_or("original"), hash("of")?) {
            ("original", None) => None,
            ("preview", Some(of)) => Some(of),
            ("preview", None) => return Err(bad("a preview names its photo with of".into())),
            ("original", Some(_)) => return Err(bad("an original is of no other photo".into())),
            _ => return Err(bad("variant is original or preview".into())),
        };
        let sha256 = hash("sha256")?.ok_or_else(|| bad("sha256 is missing".into()))?;
        Ok(Self { sha256, mime, preview_of, text: text.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Metadata, String> {
        let pairs: Vec<String> =
            pairs.iter().map(|(key, value)| format!("{key} {}", STANDARD.encode(value))).collect();
        Metadata::read(&pairs.join(",")).map_err(|error| error.to_string())
    }

    #[test]
    fn an_original_and_a_preview_are_read_and_anything_else_is_named() {
        let (one, two) = (Hash::of(b"one").to_string(), Hash::of(b"two").to_string());
        let base = [("sha256", one.as_str()), ("mime", "image/jpeg"), ("filename", "x.jpg")];
        let with = |more: &[(&'static str, &str)]| {
            let mut pairs: Vec<(&str, &str)> = base.to_vec();
            pairs.extend_from_slice(more);
            read(&pairs)
        };
        let original = with(&[]).unwrap();
        assert_eq!((original.sha256, original.preview_of), (Hash::of(b"one"), None));
        let preview = with(&[("variant", "preview"), ("of", &two)]).unwrap();
        assert_eq!(preview.preview_of, Some(Hash::of(b"two")));
        for (bad, word) in [
            (with(&[("variant", "preview")]), "names its photo"),
            (with(&[("of", &two)]), "of no other"),
            (with(&[("variant", "thumb")]), "original or preview"),
            (with(&[("variant", "preview"), ("of", "xyz")]), "of: a hash is"),
            (with(&[("mime", "image/png")]), "comes twice"),
            (read(&base[..1]), "mime is missing"),
            (read(&base[1..]), "sha256 is missing"),
            (read(&[("mime", "text/html"), ("sha256", &one)]), "a photo is image/jpeg"),
            (Metadata::read("sha256 ?!").map_err(|e| e.to_string()), "not base64"),
            (Metadata::read(&"a".repeat(5_000)).map_err(|e| e.to_string()), "at most"),
        ] {
            let error = bad.unwrap_err();
            assert!(error.contains(word), "{error} lacks {word}");
        }
    }
}
