//! Who is asking: bearer tokens (JWT), verified, and the extractor that hands the caller to a
//! handler.
//!
//! The algorithm is decided by the key, never by the token: the secret verifies HS256 only, and a
//! published key verifies the one algorithm of its kind.

use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use motomind_protocol::wire::DEVICE_HEADER;
use motomind_protocol::{AppMetadata, Claims, DeviceId, Identity, Role, TenantId, UserId};
use serde::Deserialize;

use crate::App;
use crate::error::Error;
use crate::jwks::Jwks;

/// Clocks of issuer and server may differ by this much, seconds.
const LEEWAY_S: u64 = 30;

/// Longest token that is looked at, bytes.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Verifies tokens.
#[derive(Debug)]
pub struct Verifier {
    secret: Option<DecodingKey>,
    jwks: Option<Jwks>,
    issuer: Option<String>,
    audience: String,
}

/// The claims that the server needs; others are ignored.
#[derive(Deserialize)]
struct Verified {
    sub: UserId,
    exp: i64,
    app_metadata: AppMetadata,
}

impl Verifier {
    /// Tokens must be signed with `secret` (HS256) or a key of `jwks`, for `audience`, and by
    /// `issuer` where one is given.
    #[must_use]
    pub fn new(
        secret: Option<&str>,
        jwks: Option<Jwks>,
        issuer: Option<String>,
        audience: String,
    ) -> Self {
        Self {
            secret: secret.map(|secret| DecodingKey::from_secret(secret.as_bytes())),
            jwks,
            issuer,
            audience,
        }
    }

    /// Verifies a token.
    ///
    /// # Errors
    /// [`Error::TokenExpired`], or [`Error::Unauthenticated`] with what is wrong.
    pub async fn verify(&self, token: &str) -> Result<Caller, Error> {
        let refuse = |text: &str| Error::Unauthenticated(text.to_string());
        if token.len() > TOKEN_BYTES_MAX {
            return Err(refuse("the token is too long"));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| {
            refuse("this is not a signed token of HS256, ES256, RS256 or EdDSA (JWT)")
        })?;
        let keys: Vec<DecodingKey> = match (header.alg, &self.secret, &self.jwks) {
            (Algorithm::HS256, Some(secret), _) => vec![secret.clone()],
            (Algorithm::ES256 | Algorithm::RS256 | Algorithm::EdDSA, _, Some(jwks)) => {
                jwks.keys(header.alg, header.kid.as_deref()).await
            }
            _ => return Err(refuse("this server does not accept the token's algorithm")),
        };
        let validation = self.validation(header.alg);
        let mut refusal = refuse("the token's key is not one that this server knows");
        for key in keys {
            match jsonwebtoken::decode::<Verified>(token, &key, &validation) {
                Ok(verified) => return Ok(verified.claims.into()),
                Err(error) => refusal = self.refusal(error.kind()),
            }
        }
        Err(refusal)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_S;
        validation.validate_nbf = true;
        validation.set_audience(&[&self.audience]);
        let mut required = vec!["exp", "sub", "aud"];
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        validation
    }

    fn refusal(&self, kind: &ErrorKind) -> Error {
        let text = match kind {
            ErrorKind::ExpiredSignature => return Error::TokenExpired,
            ErrorKind::InvalidSignature => "the token's signature is wrong".to_string(),
            ErrorKind::InvalidIssuer => "the token is from another issuer".to_string(),
            ErrorKind::InvalidAudience => {
                format!("the token is not for the audience {}", self.audience)
            }
            ErrorKind::ImmatureSignature => "the token is not valid yet".to_string(),
            ErrorKind::MissingRequiredClaim(claim) => format!("the token has no claim {claim}"),
            ErrorKind::Json(_) | ErrorKind::InvalidClaimFormat(_) => {
                "the token's claims need sub, exp and app_metadata.tenant_id in their form".into()
            }
            _ => "the token cannot be read".to_string(),
        };
        Error::Unauthenticated(text)
    }
}

/// Signs claims with an HS256 secret: for tests, demos and service tokens.
///
/// # Errors
/// When the claims cannot be written as JSON.
pub fn mint(secret: &str, claims: &Claims) -> Result<String, jsonwebtoken::errors::Error> {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key)
}

/// Who is asking, verified. As a handler's argument it is the door: no token, no handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Whose data.
    pub tenant_id: TenantId,
    /// Which person.
    pub user_id: UserId,
    /// What they may do.
    pub role: Role,
    /// When the token ends, seconds since 1970.
    pub expires_at_s: i64,
    /// The device that says it is asking.
    pub device_id: Option<DeviceId>,
}

impl Caller {
    /// Tenant and person.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity { tenant_id: self.tenant_id, user_id: self.user_id }
    }

    /// How long the token is still good at `now_ms` (UTC).
    #[must_use]
    pub fn remaining(&self, now_ms: i64) -> Duration {
        let left_ms = self.expires_at_s.saturating_mul(1000).saturating_sub(now_ms);
        Duration::from_millis(u64::try_from(left_ms).unwrap_or(0))
    }
}

impl From<Verified> for Caller {
    fn from(claims: Verified) -> Self {
        Self {
            tenant_id: claims.app_metadata.tenant_id,
            user_id: claims.sub,
            role: claims.app_metadata.role,
            expires_at_s: claims.exp,
            device_id: None,
        }
    }
}

/// What follows `Authorization: Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, Error> {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| Error::Unauthenticated("send Authorization: Bearer <token>".into()))
}

fn named_device(headers: &HeaderMap) -> Result<Option<DeviceId>, Error> {
    let Some(value) = headers.get(DEVICE_HEADER) else {
        return Ok(None);
    };
    let id = value.to_str().ok().and_then(|id| id.parse().ok());
    let refusal = || Error::Malformed(format!("{DEVICE_HEADER} must be a UUID"));
    id.map(Some).ok_or_else(refusal)
}

impl FromRequestParts<App> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let token = bearer(&parts.headers)?;
        let caller = app.verifier.verify(token).await?;
        app.rate_limit.count(token, Instant::now())?;
        let device_id = named_device(&parts.headers)?;
        Ok(Caller { device_id, ..caller })
    }
}
