//! Uploads of a photo, hashed and synced, as a ratio to a plain PUT of the same bytes over loopback
//! in the same run: a handler that writes the body to a file and syncs it, and does nothing else.
//!
//! ```text
//! cargo bench -p motomind-tests --bench upload
//! ```
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::put;
use futures::StreamExt;
use motomind_protocol::{Role, limits};
use motomind_server::{serve, settings::Settings};
use motomind_tests::postgres::{Durability, Postgres, role};
use motomind_tests::server::SECRET;
use motomind_tests::tus::{Phone, original, photo};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

const BYTES: usize = 60_000_000;
const ROUNDS: u64 = 5;

#[tokio::main]
async fn main() {
    let postgres = Postgres::private(Durability::Real);
    let database = postgres.database().await;
    let (tenant, _) = database.tenant_with_vehicle().await;
    let (store, plain) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut settings =
        Settings::new("127.0.0.1:0".parse().unwrap(), database.url(role::SERVER), SECRET.into());
    settings.rate_burst = 1_000_000;
    settings.photo_store = Some(store.path().to_str().unwrap().into());
    let server = serve::start(settings).await.unwrap();
    let phone = Phone::new(&server.url(), tenant, Role::Technician);
    let address = plain_server(&plain).await;
    let (mut whole, mut chunks, mut puts) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let picture = photo(2 * round, BYTES);
        let metadata = original(&picture);
        let started = Instant::now();
        let upload = phone.create(picture.len(), &metadata).await;
        phone.append(&upload, 0, &picture).await;
        whole.push(started.elapsed().as_secs_f64());

        let other = photo(2 * round + 1, BYTES);
        let metadata = original(&other);
        let started = Instant::now();
        phone.upload(&other, &metadata).await;
        chunks.push(started.elapsed().as_secs_f64());

        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let started = Instant::now();
        let reply = http.put(&address).body(picture.clone()).send().await.unwrap();
        assert!(reply.status().is_success());
        puts.push(started.elapsed().as_secs_f64());
    }
    server.stop().await;
    let rate = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        BYTES as f64 / 1e6 / times[times.len() / 2]
    };
    let (whole, chunks, put) = (rate(&mut whole), rate(&mut chunks), rate(&mut puts));
    println!("upload in one PATCH                   {whole:8.0} MB/s");
    println!(
        "upload in chunks of {:3} KiB           {chunks:8.0} MB/s",
        limits::UPLOAD_CHUNK_BYTES / 1024
    );
    println!("plain PUT of the same bytes           {put:8.0} MB/s");
    println!("one PATCH / plain                     {:8.2}", whole / put);
    println!("chunks / plain                        {:8.2}", chunks / put);
}

/// What a PUT costs that does nothing but keep the bytes.
async fn plain_server(folder: &TempDir) -> String {
    let file = folder.path().join("photo");
    let keep = async |State(file): State<std::path::PathBuf>, body: Body| {
        let mut file = tokio::fs::File::create(file).await.unwrap();
        let mut body = body.into_data_stream();
        while let Some(bytes) = body.next().await {
            file.write_all(&bytes.unwrap()).await.unwrap();
        }
        file.flush().await.unwrap();
        file.sync_all().await.unwrap();
    };
    let router = Router::new().route("/photo", put(keep)).layer(DefaultBodyLimit::disable());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router.with_state(file)).await });
    format!("http://{address}/photo")
}
