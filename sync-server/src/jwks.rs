//! Published keys (JWKS) from a file or an address, read again when a token names an unknown one,
//! and from time to time, so that a withdrawn one is no longer trusted.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use tokio::sync::MutexGuard;

/// Longest that keys are trusted without looking whether they are still published.
const AGE_MAX: Duration = Duration::from_secs(600);

/// Shortest time between two attempts at reading them again.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);

/// Longest that fetching the keys may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// A set of public keys.
#[derive(Debug)]
pub struct Jwks {
    source: Source,
    keys: RwLock<Vec<Key>>,
    readings: tokio::sync::Mutex<Readings>,
}

/// When the keys were read, and when reading them was tried last.
#[derive(Debug)]
struct Readings {
    read_at: Instant,
    tried_at: Instant,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Url(String),
}

#[derive(Clone, Debug)]
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

impl Jwks {
    /// Reads the keys at `place`, a path or an `http(s)://` address.
    ///
    /// # Errors
    /// A sentence, when there is nothing readable or no usable key.
    pub async fn open(place: &str) -> Result<Self, String> {
        let source = if place.starts_with("http://") || place.starts_with("https://") {
            Source::Url(place.to_string())
        } else {
            Source::File(PathBuf::from(place))
        };
        let keys = source.read().await?;
        Ok(Self {
            source,
            keys: RwLock::new(keys),
            readings: tokio::sync::Mutex::new(Readings {
                read_at: Instant::now(),
                tried_at: Instant::now(),
            }),
        })
    }

    /// The keys that may have signed a token of this algorithm and key id.
    pub(crate) async fn keys(&self, algorithm: Algorithm, id: Option<&str>) -> Vec<DecodingKey> {
        self.keys_at(Instant::now(), algorithm, id).await
    }

    async fn keys_at(
        &self,
        now: Instant,
        algorithm: Algorithm,
        id: Option<&str>,
    ) -> Vec<DecodingKey> {
        let found = self.known(algorithm, id);
        if found.is_empty() {
            self.read_again(now, self.readings.lock().await).await;
        } else {
            // One request looks whether the keys still hold; the others go on with them.
            match self.readings.try_lock() {
                Ok(readings) if now.saturating_duration_since(readings.read_at) >= AGE_MAX => {
                    self.read_again(now, readings).await;
                }
                _ => return found,
            }
        }
        self.known(algorithm, id)
    }

    /// Reads the keys again, unless that was tried a moment ago. Where they cannot be read, the
    /// known ones go on: an issuer that is down must not shut everyone out.
    async fn read_again(&self, now: Instant, mut readings: MutexGuard<'_, Readings>) {
        if now.saturating_duration_since(readings.tried_at) < REFRESH_INTERVAL {
            return;
        }
        readings.tried_at = now;
        match self.source.read().await {
            Ok(keys) => {
                readings.read_at = now;
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
            }
            Err(error) => tracing::warn!(%error, "the signing keys cannot be read again"),
        }
    }

    fn known(&self, algorithm: Algorithm, id: Option<&str>) -> Vec<DecodingKey> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter()
            .filter(|key| key.algorithm == algorithm)
            .filter(|key| id.is_none() || key.id.is_none() || key.id.as_deref() == id)
            .map(|key| key.key.clone())
            .collect()
    }
}

impl Source {
    async fn read(&self) -> Result<Vec<Key>, String> {
        let text = match self {
            Self::File(path) => tokio::fs::read(path)
                .await
                .map_err(|error| format!("{}: {error}", path.display()))?,
            Self::Url(url) => {
                fetch(url).await.map_err(|error| crate::error::with_source(&error))?
            }
        };
        parse(&text)
    }
}

async fn fetch(url: &str) -> Result<Vec<u8>, reqwest::Error> {
    let client = reqwest::Client::builder().timeout(FETCH_TIMEOUT).build()?;
    let reply = client.get(url).send().await?.error_for_status()?;
    Ok(reply.bytes().await?.to_vec())
}

/// Keys of kinds that we do not verify with are passed over: a set may hold others.
fn parse(text: &[u8]) -> Result<Vec<Key>, String> {
    let document: Document = serde_json::from_slice(text)
        .map_err(|error| format!("this is not a key set (JWKS): {error}"))?;
    let keys: Vec<Key> = document.keys.into_iter().filter_map(key).collect();
    if keys.is_empty() {
        return Err("the key set (JWKS) holds no ES256, RS256 or EdDSA key".into());
    }
    Ok(keys)
}

fn key(value: serde_json::Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDSA
        }
        _ => return None,
    };
    Some(Key { id: jwk.common.key_id.clone(), algorithm, key: DecodingKey::from_jwk(&jwk).ok()? })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A key set with one Ed25519 key; the key itself does not matter here.
    fn publish(file: &std::path::Path, id: &str) {
        let x = "A".repeat(43);
        let key = serde_json::json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": x});
        let set = serde_json::json!({"keys": [key]}).to_string();
        fs::write(file, set).unwrap();
    }

    #[tokio::test]
    async fn a_withdrawn_key_is_trusted_for_ten_minutes_at_most() {
        let file = tempfile::NamedTempFile::new().unwrap();
        publish(file.path(), "old");
        let jwks = Jwks::open(file.path().to_str().unwrap()).await.unwrap();
        let opened = jwks.readings.lock().await.read_at;
        let known = async |after: Duration, id: &str| {
            let keys = jwks.keys_at(opened + after, Algorithm::EdDSA, Some(id));
            keys.await.len()
        };

        publish(file.path(), "new");
        let moment = Duration::from_secs(1);
        assert_eq!(known(AGE_MAX - moment, "old").await, 1);
        assert_eq!(known(AGE_MAX, "old").await, 0, "withdrawn");
        assert_eq!(known(AGE_MAX, "new").await, 1);

        // An issuer that is down for a while.
        fs::write(file.path(), "no keys").unwrap();
        assert_eq!(known(2 * AGE_MAX, "new").await, 1);
        publish(file.path(), "newest");
        let soon = 2 * AGE_MAX + REFRESH_INTERVAL;
        assert_eq!(known(soon - moment, "new").await, 1, "tried a moment ago");
        assert_eq!(known(soon, "new").await, 0, "tried again before long");
        assert_eq!(known(soon, "newest").await, 1);
    }
}
