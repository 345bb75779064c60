//! `Upload-Checksum` of one `PATCH`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// The algorithms, as tus names them.
pub(crate) const ALGORITHMS: &str = "sha256,sha1";

/// A checksum that is being compared while its bytes arrive.
pub(crate) struct Checksum {
    running: Algorithm,
    expected: Vec<u8>,
}

enum Algorithm {
    Sha256(Sha256),
    Sha1(Sha1),
}

impl Checksum {
    /// Reads `algorithm base64`.
    pub(crate) fn read(text: &str) -> Result<Self, Error> {
        let bad = || {
            Error::Malformed(format!("Upload-Checksum is one of {ALGORITHMS}, a space and base64"))
        };
        let (name, value) = text.trim().split_once(' ').ok_or_else(bad)?;
        let (running, length) = match name {
            "sha256" => (Algorithm::Sha256(Sha256::new()), 32),
            "sha1" => (Algorithm::Sha1(Sha1::new()), 20),
            _ => return Err(bad()),
        };
        let expected = STANDARD.decode(value.trim()).map_err(|_| bad())?;
        if expected.len() != length {
            return Err(bad());
        }
        Ok(Self { running, expected })
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.running {
            Algorithm::Sha256(hash) => hash.update(bytes),
            Algorithm::Sha1(hash) => hash.update(bytes),
        }
    }

    /// Whether all bytes together are what was said.
    pub(crate) fn fits(self) -> bool {
        match self.running {
            Algorithm::Sha256(hash) => hash.finalize().as_slice() == self.expected,
            Algorithm::Sha1(hash) => hash.finalize().as_slice() == self.expected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_algorithms_compare_and_others_are_refused() {
        for text in [
            "sha1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=",
            "sha256 ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
        ] {
            for (bytes, fits) in [("abc", true), ("abd", false)] {
                let mut checksum = Checksum::read(text).unwrap();
                let (first, rest) = bytes.split_at(1);
                checksum.update(first.as_bytes());
                checksum.update(rest.as_bytes());
                assert_eq!(checksum.fits(), fits, "{text} {bytes}");
            }
        }
        for bad in ["", "sha256", "md5 AAAA", "sha1 !!", "sha256 qZk+NkcGgWq6PiVxeFDCbJzQ2J0="] {
            assert!(Checksum::read(bad).is_err(), "{bad}");
        }
    }
}
