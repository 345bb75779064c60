//! Changes of records: what becomes of each, over a real socket and a real Postgres.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

const VIN: &str = "1HGCM82633A004352";

macro_rules! stage {
    ($database:ident, $server:ident, $tenant:ident) => {
        let $database = Postgres::shared().database().await;
        let ($tenant, _) = $database.tenant_with_vehicle().await;
        let $server = serve(&$database).await;
    };
}

mod damage;
mod garages;
mod merging;
mod people;
mod refusals;
mod texts;
mod tools;
mod waiting;
