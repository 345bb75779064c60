//! Who someone is: the claims of their token and what their role allows.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{TenantId, UserId};

/// Whose data a device directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Identity {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The person.
    pub user_id: UserId,
}

/// The claims of a token (Supabase-compatible).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The person.
    pub sub: UserId,
    /// Expiry, seconds since 1970.
    pub exp: i64,
    /// Issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Audience, usually `authenticated`; a text or a list of texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<Value>,
    /// The database role that Supabase names; not the tenant role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What only the server side can set.
    pub app_metadata: AppMetadata,
}

/// The part of the claims that only the server side can set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppMetadata {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The role within the tenant; absent, or a role of a newer peer, means [`Role::Viewer`].
    #[serde(default, deserialize_with = "known_role")]
    pub role: Role,
}

/// A role within a tenant. Each includes what those before it may do.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    #[default]
    Viewer,
    /// Captures, corrects, edits records.
    Technician,
    /// Also retracts what others captured, deletes, restores, exports, lists and revokes devices.
    Manager,
    /// Programs of the operator.
    Service,
}

fn known_role<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Role, D::Error> {
    let role = Value::deserialize(deserializer)?;
    Ok(Role::deserialize(role).unwrap_or_default())
}

/// A text that is not a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token with the claims sub, exp and app_metadata.tenant_id: {0}")]
pub struct BadToken(String);

impl Claims {
    /// Reads the claims of a token **without verifying it**: enough for a device to see whose it
    /// is and when it ends. The server verifies.
    ///
    /// # Errors
    /// [`BadToken`] when the text is not a JWT with these claims.
    pub fn peek(token: &str) -> Result<Self, BadToken> {
        let mut parts = token.split('.');
        let (Some(_), Some(claims), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadToken("it does not have three parts".into()));
        };
        let bytes = URL_SAFE_NO_PAD.decode(claims).map_err(|error| BadToken(error.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|error| BadToken(error.to_string()))
    }

    /// Whose token it is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity { tenant_id: self.app_metadata.tenant_id, user_id: self.sub }
    }
}
