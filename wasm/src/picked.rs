//! Files that a person picked, read as they are needed.

use std::io::{self, Read};

use js_sys::Uint8Array;
use motomind_core::{HostPreview, NewPhoto};
use serde_json::from_str;
use wasm_bindgen::prelude::*;

use crate::failure::malformed;

#[wasm_bindgen]
extern "C" {
    /// A photo as the host gives it:
    /// `{ read: (from, to) => Uint8Array, meta: text, preview?: Uint8Array }`.
    pub type GivenPhoto;
    #[wasm_bindgen(method, catch)]
    fn read(this: &GivenPhoto, from: f64, to: f64) -> Result<Uint8Array, JsValue>;
    #[wasm_bindgen(method, getter, structural)]
    fn meta(this: &GivenPhoto) -> String;
    #[wasm_bindgen(method, getter, structural)]
    fn preview(this: &GivenPhoto) -> Option<Vec<u8>>;
}

/// A file, read from its beginning.
pub(crate) struct Picked {
    given: GivenPhoto,
    at: f64,
}

impl GivenPhoto {
    pub(crate) fn picked(self) -> Result<NewPhoto<Picked>, JsValue> {
        let meta = from_str(&self.meta()).map_err(malformed)?;
        let preview = self.preview().map_or(HostPreview::Later, HostPreview::Bytes);
        Ok(NewPhoto { bytes: Picked { given: self, at: 0.0 }, meta, preview })
    }
}

impl Read for Picked {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.given.read(self.at, self.at + into.len() as f64);
        let read = read.map_err(|error| io::Error::other(format!("{error:?}")))?;
        let count = into.len().min(read.length() as usize);
        read.subarray(0, count as u32).copy_to(&mut into[..count]);
        self.at += count as f64;
        Ok(count)
    }
}
