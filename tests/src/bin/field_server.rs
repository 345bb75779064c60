//! A server process to be killed: `field_server LISTEN DATABASE_URL SECRET [PHOTO_STORE]`; prints
//! its address when it serves.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::Write as _;

use motomind_server::serve;
use motomind_server::settings::Settings;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (listen, database_url, secret, photo_store) = match arguments.as_slice() {
        [listen, database_url, secret] => (listen, database_url, secret, None),
        [listen, database_url, secret, store] => {
            (listen, database_url, secret, Some(store.clone()))
        }
        _ => return Err("field_server LISTEN DATABASE_URL SECRET [PHOTO_STORE]".into()),
    };
    let mut settings = Settings::new(listen.parse()?, database_url.clone(), secret.clone());
    settings.rate_per_minute = 6_000_000;
    settings.rate_burst = 1_000_000;
    settings.photo_store = photo_store;
    let running = serve::start(settings).await?;
    println!("{}", running.address);
    std::io::stdout().flush()?;
    running.until(serve::signalled()).await;
    Ok(())
}
