//! Whether requests can be served: the database answers, it is migrated, and the role that serves
//! is bound by row-level security.

use crate::App;
use crate::error::with_source;

/// Checks; the error is one line for the operator.
pub(crate) async fn check(app: &App) -> Result<(), String> {
    let client = app.pool.get().await.map_err(|error| {
        format!(
            "the database at --database-url (DATABASE_URL) cannot be reached: {}",
            with_source(&error)
        )
    })?;
    let defect = crate::database::role_defect(&client)
        .await
        .map_err(|error| format!("the serving role cannot be examined: {error}"))?;
    if let Some(defect) = defect {
        return Err(defect);
    }
    match crate::migrate::is_current(&client).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err("the database is not migrated as far as this server needs: run migrate up".into())
        }
        Err(error) => Err(error.to_string()),
    }
}
