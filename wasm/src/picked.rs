//! Files that a person picked, read as they are needed: a worker may wait for a `Blob`'s bytes.

use std::io::{self, Read};

use js_sys::Uint8Array;
use motomind_core::{HostPreview, NewPhoto};
use serde_json::from_str;
use wasm_bindgen::prelude::*;

use crate::failure::malformed;

#[wasm_bindgen]
extern "C" {
    /// A photo as the host gives it: `{ file: Blob, meta: text, preview?: Uint8Array }`.
    pub type GivenPhoto;
    #[wasm_bindgen(method, getter, structural)]
    fn file(this: &GivenPhoto) -> Blob;
    #[wasm_bindgen(method, getter, structural)]
    fn meta(this: &GivenPhoto) -> String;
    #[wasm_bindgen(method, getter, structural)]
    fn preview(this: &GivenPhoto) -> Option<Vec<u8>>;

    type Blob;
    #[wasm_bindgen(method)]
    fn slice(this: &Blob, from: f64, to: f64) -> Blob;

    type FileReaderSync;
    #[wasm_bindgen(constructor)]
    fn new() -> FileReaderSync;
    #[wasm_bindgen(method, catch, js_name = readAsArrayBuffer)]
    fn read_as_array_buffer(this: &FileReaderSync, blob: &Blob) -> Result<JsValue, JsValue>;
}

/// A `Blob`, read from its beginning.
pub(crate) struct Picked {
    blob: Blob,
    reader: FileReaderSync,
    at: f64,
}

impl GivenPhoto {
    pub(crate) fn picked(self) -> Result<NewPhoto<Picked>, JsValue> {
        let bytes = Picked { blob: self.file(), reader: FileReaderSync::new(), at: 0.0 };
        let meta = from_str(&self.meta()).map_err(malformed)?;
        let preview = self.preview().map_or(HostPreview::Later, HostPreview::Bytes);
        Ok(NewPhoto { bytes, meta, preview })
    }
}

impl Read for Picked {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let piece = self.blob.slice(self.at, self.at + into.len() as f64);
        let read = self.reader.read_as_array_buffer(&piece);
        let read = read.map_err(|error| io::Error::other(format!("{error:?}")))?;
        let read = Uint8Array::new(&read);
        let count = into.len().min(read.length() as usize);
        read.subarray(0, count as u32).copy_to(&mut into[..count]);
        self.at += count as f64;
        Ok(count)
    }
}
