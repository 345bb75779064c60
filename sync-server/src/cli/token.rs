//! `token`: signs a token with the HS256 secret, for tests, demos and service programs.

use clap::Args;
use motomind_protocol::{AppMetadata, Claims, Role, TenantId, UserId};
use uuid::Uuid;

/// Whose token, and for how long.
#[derive(Args, Debug)]
pub(crate) struct Token {
    /// The tenant.
    #[arg(long, env = "MOTOMIND_TENANT")]
    tenant: Uuid,
    /// The person.
    #[arg(long, env = "MOTOMIND_USER")]
    user: Uuid,
    /// viewer, technician, manager or service.
    #[arg(long, env = "MOTOMIND_ROLE", default_value = "technician", value_parser = role)]
    role: Role,
    /// How long it is good, seconds.
    #[arg(
        long,
        env = "MOTOMIND_TOKEN_SECONDS",
        default_value_t = 3_600,
        allow_negative_numbers = true
    )]
    seconds: i64,
    /// Secret to sign with.
    #[arg(long, env = "MOTOMIND_JWT_SECRET", hide_env_values = true)]
    jwt_secret: Option<String>,
    /// Issuer to name.
    #[arg(long, env = "MOTOMIND_JWT_ISSUER")]
    jwt_issuer: Option<String>,
    /// Audience to name.
    #[arg(long, env = "MOTOMIND_JWT_AUDIENCE", default_value = "authenticated")]
    jwt_audience: String,
}

/// Reads a role by its name.
pub(crate) fn role(name: &str) -> Result<Role, String> {
    serde_json::from_value(serde_json::Value::String(name.into()))
        .map_err(|_| "viewer, technician, manager or service".to_string())
}

impl Token {
    pub(crate) fn run(self) -> Result<(), String> {
        let secret = self
            .jwt_secret
            .as_deref()
            .ok_or("--jwt-secret (MOTOMIND_JWT_SECRET) is missing: tokens are signed with it")?;
        let claims = Claims {
            sub: UserId(self.user),
            exp: chrono::Utc::now().timestamp().saturating_add(self.seconds),
            iss: self.jwt_issuer,
            aud: Some(self.jwt_audience.into()),
            role: Some("authenticated".into()),
            app_metadata: AppMetadata { tenant_id: TenantId(self.tenant), role: self.role },
        };
        let token = motomind_server::auth::mint(secret, &claims).map_err(|e| e.to_string())?;
        println!("{token}");
        Ok(())
    }
}
