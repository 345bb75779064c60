//! Cursors: where in which log a device stands. Opaque to it, and authenticated with a secret of
//! its tenant, so that a foreign or forged cursor can never look like a restored database.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use motomind_protocol::{TenantId, limits};
use sha2::{Digest, Sha256};
use uuid::Uuid;

const VERSION: u8 = 1;
const BODY_BYTES: usize = 1 + 16 + 8 + 8;
const MAC_BYTES: usize = 16;

/// A place in a tenant's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Which life of the log.
    pub(crate) epoch: Uuid,
    /// The last change that the device has.
    pub(crate) seq: i64,
    /// The random tag of that change's transaction; 0 before the first.
    pub(crate) tag: i64,
}

impl Cursor {
    /// The cursor as the device carries it.
    pub(crate) fn encode(&self, tenant: TenantId, secret: &[u8]) -> String {
        let mut bytes = Vec::with_capacity(BODY_BYTES + MAC_BYTES);
        bytes.push(VERSION);
        bytes.extend(self.epoch.as_bytes());
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend(self.tag.to_be_bytes());
        let mac = keyed(tenant, secret, &bytes).finalize().into_bytes();
        bytes.extend(&mac[..MAC_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor; `None` unless it was made with this tenant's secret.
    pub(crate) fn decode(text: &str, tenant: TenantId, secret: &[u8]) -> Option<Self> {
        if text.len() > limits::CURSOR_CHARS_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        if bytes.len() != BODY_BYTES + MAC_BYTES || bytes[0] != VERSION {
            return None;
        }
        let (body, mac) = bytes.split_at(BODY_BYTES);
        keyed(tenant, secret, body).verify_truncated_left(mac).ok()?;
        Some(Self {
            epoch: Uuid::from_slice(&body[1..17]).ok()?,
            seq: i64::from_be_bytes(body[17..25].try_into().ok()?),
            tag: i64::from_be_bytes(body[25..33].try_into().ok()?),
        })
    }
}

fn keyed(tenant: TenantId, secret: &[u8], body: &[u8]) -> Hmac<Sha256> {
    let mut key = [0; 64];
    key[..32].copy_from_slice(&Sha256::digest(secret));
    let mut mac = Hmac::<Sha256>::new(&key.into());
    mac.update(b"motomind cursor");
    mac.update(tenant.as_bytes());
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tenants_own_secret_reads_a_cursor() {
        let tenant = TenantId(Uuid::from_u128(1));
        let cursor = Cursor { epoch: Uuid::from_u128(3), seq: 77, tag: -9 };
        let text = cursor.encode(tenant, b"secret");
        assert_eq!(Cursor::decode(&text, tenant, b"secret"), Some(cursor));
        assert_eq!(Cursor::decode(&text, tenant, b"other"), None);
        let stranger = TenantId(Uuid::from_u128(2));
        assert_eq!(Cursor::decode(&text, stranger, b"secret"), None);
        let mut forged = URL_SAFE_NO_PAD.decode(&text).unwrap();
        forged[24] ^= 1;
        let forged = URL_SAFE_NO_PAD.encode(forged);
        assert_eq!(Cursor::decode(&forged, tenant, b"secret"), None);
        for text in ["", "x", "AAAA", &"A".repeat(5000), "💥"] {
            assert_eq!(Cursor::decode(text, tenant, b"secret"), None);
        }
    }
}
