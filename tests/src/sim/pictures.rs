//! Pictures that people take: bytes that begin as a JPEG and are chance from there, and small PNGs
//! of one colour as their previews.

use std::io::Write as _;
use std::sync::Arc;

use flate2::{Compression, Crc, write::ZlibEncoder};
use motomind_protocol::Hash;

use super::world::World;
use crate::dice::Dice;

/// A picture and its small one.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Names it.
    pub photo: Hash,
    /// The original.
    pub bytes: Arc<Vec<u8>>,
    /// The host's preview, where it makes one.
    pub preview: Option<Vec<u8>>,
}

impl World {
    /// Someone takes a picture; now and then it is one that was taken before.
    pub fn take_picture(&mut self) -> Taken {
        let all: Vec<Hash> = self.pictures.keys().copied().collect();
        let again = self.dice.pick(&all).copied().filter(|_| self.captures.is_multiple_of(9));
        let bytes = match again.and_then(|photo| self.pictures.get(&photo)) {
            Some(bytes) => bytes.clone(),
            None => Arc::new(invent(&mut self.dice)),
        };
        let photo = Hash::of(&bytes);
        self.pictures.insert(photo, bytes.clone());
        let colours = [[200, 40, 40], [40, 200, 40], [40, 40, 200]];
        let preview = self.dice.pick(&colours).copied().filter(|_| !photo.0[0].is_multiple_of(4));
        Taken { photo, bytes, preview: preview.map(png) }
    }
}

fn invent(dice: &mut Dice) -> Vec<u8> {
    let length = match dice.below(25) {
        0 => dice.between(260_000, 600_000),
        1..=3 => dice.between(4_000, 40_000),
        _ => dice.between(100, 2_000),
    };
    let length = usize::try_from(length).unwrap_or(100);
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xe0];
    while bytes.len() < length {
        bytes.extend(dice.bytes::<2048>());
    }
    bytes.truncate(length);
    bytes
}

/// A PNG of two by two pixels.
fn png([red, green, blue]: [u8; 3]) -> Vec<u8> {
    let row = [0, red, green, blue, red, green, blue];
    let mut pixels = ZlibEncoder::new(Vec::new(), Compression::fast());
    let packed = pixels.write_all(&[row, row].concat()).and_then(|()| pixels.finish());
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let header = [0, 0, 0, 2, 0, 0, 0, 2, 8, 2, 0, 0, 0];
    let parts =
        [(b"IHDR", header.to_vec()), (b"IDAT", packed.unwrap_or_default()), (b"IEND", vec![])];
    for (name, data) in parts {
        let mut sum = Crc::new();
        sum.update(name);
        sum.update(&data);
        bytes.extend(u32::try_from(data.len()).unwrap_or(0).to_be_bytes());
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&data);
        bytes.extend(sum.sum().to_be_bytes());
    }
    bytes
}
