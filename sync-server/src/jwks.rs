//! Published keys (JWKS) from a file or an address, read again when a token names an unknown one.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

/// Shortest time between two readings that unknown keys cause.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);

/// Longest that fetching the keys may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// A set of public keys.
#[derive(Debug)]
pub struct Jwks {
    source: Source,
    keys: RwLock<Vec<Key>>,
    read_at: tokio::sync::Mutex<Instant>,
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
            read_at: tokio::sync::Mutex::new(Instant::now()),
        })
    }

    /// The keys that may have signed a token of this algorithm and key id.
    pub(crate) async fn keys(&self, algorithm: Algorithm, id: Option<&str>) -> Vec<DecodingKey> {
        let found = self.known(algorithm, id);
        if !found.is_empty() {
            return found;
        }
        let mut read_at = self.read_at.lock().await;
        if read_at.elapsed() >= REFRESH_INTERVAL {
            *read_at = Instant::now();
            match self.source.read().await {
                Ok(keys) => *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys,
                Err(error) => tracing::warn!(%error, "the signing keys cannot be read again"),
            }
        }
        self.known(algorithm, id)
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
            Self::Url(url) => fetch(url)
                .await
                .map_err(|error| crate::error::with_source(&error))?,
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
    Some(Key {
        id: jwk.common.key_id.clone(),
        algorithm,
        key: DecodingKey::from_jwk(&jwk).ok()?,
    })
}
