//! The upload capability: a bearer token for one upload and nothing else, so that a transfer that
//! the phone runs hours later needs no fresh token. It names its tenant and its upload; of its
//! secret only the hash is stored.

use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use motomind_protocol::{Hash, TenantId};
use uuid::Uuid;

use crate::App;
use crate::auth::{Caller, bearer};
use crate::error::Error;

/// What tells a capability from a JWT.
const PREFIX: &str = "mmu_";

/// What a capability says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capability {
    pub(crate) tenant: TenantId,
    pub(crate) upload: Uuid,
    secret: [u8; 32],
}

impl Capability {
    /// A new one, with a secret of 244 random bits.
    pub(crate) fn new(tenant: TenantId, upload: Uuid) -> Self {
        let mut secret = [0; 32];
        secret[..16].copy_from_slice(Uuid::new_v4().as_bytes());
        secret[16..].copy_from_slice(Uuid::new_v4().as_bytes());
        Self { tenant, upload, secret }
    }

    /// What is stored of it. Comparing hashes needs no constant time.
    pub(crate) fn hash(&self) -> Hash {
        Hash::of(&self.secret)
    }

    pub(crate) fn encode(&self) -> String {
        let bytes = [&self.tenant.as_bytes()[..], self.upload.as_bytes(), &self.secret].concat();
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (tenant, rest) = bytes.split_first_chunk()?;
        let (upload, secret) = rest.split_first_chunk()?;
        Some(Self {
            tenant: TenantId(Uuid::from_bytes(*tenant)),
            upload: Uuid::from_bytes(*upload),
            secret: secret.try_into().ok()?,
        })
    }
}

/// Who moves an upload: a person's device, or whoever holds its capability.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Uploader {
    Caller(Caller),
    Holder(Capability),
}

impl Uploader {
    /// Whose data.
    pub(crate) fn tenant(&self) -> TenantId {
        match self {
            Self::Caller(caller) => caller.tenant_id,
            Self::Holder(capability) => capability.tenant,
        }
    }
}

impl FromRequestParts<App> for Uploader {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let token = bearer(&parts.headers)?;
        if !token.starts_with(PREFIX) {
            return Caller::from_request_parts(parts, app).await.map(Self::Caller);
        }
        let refusal = || Error::Unauthenticated("this is no upload capability".into());
        let capability = Capability::decode(token).ok_or_else(refusal)?;
        app.rate_limit.count(token, Instant::now())?;
        Ok(Self::Holder(capability))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_reads_as_it_was_written() {
        let one = Capability::new(TenantId(Uuid::from_u128(1)), Uuid::from_u128(2));
        let text = one.encode();
        assert_eq!(Capability::decode(&text), Some(one));
        assert_ne!(Capability::new(one.tenant, one.upload).hash(), one.hash());
        for bad in ["", "mmu_", "mmu_!!", &text[4..], &text[..text.len() - 2], &format!("{text}AA")]
        {
            assert_eq!(Capability::decode(bad), None, "{bad}");
        }
    }
}
