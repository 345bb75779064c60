//! Uploads in the hands of the host.

use std::sync::Mutex;

use motomind_core::http::{Http, SyncEnd};
use motomind_core::protocol::Hash;
use motomind_core::{TransferPolicy, UploadState, Variant};
use motomind_tests::tus::photo;
use reqwest::StatusCode;

use crate::site::{now, open, phone, pictures, scratch, site, sync};

#[tokio::test(flavor = "multi_thread")]
async fn what_has_begun_to_go_up_goes_on_without_a_token_and_in_the_hosts_hands() {
    let site = site().await;
    let http = Http::new(&site.server.url()).unwrap();
    let (device, dir, token) = phone(&site);
    let all = [photo(1, 900_000)];
    let sha256 = Hash::of(&all[0]);
    {
        let mut device = device.lock().unwrap();
        device
            .set_transfer_policy(TransferPolicy { originals_by_host: true, ..Default::default() })
            .unwrap();
        device.capture_with_photos(scratch(site.vehicle), pictures(&all), now()).unwrap();
    }
    sync(&http, &device).await;
    let plan = device.lock().unwrap().upload_plans().unwrap().remove(0);
    assert_eq!((plan.sha256, plan.offset, plan.bytes), (sha256, 0, 900_000));
    // The system sends a part of the file while the app is not there, and is interrupted.
    let file = dir.path().join("to-send");
    device
        .lock()
        .unwrap()
        .write_blob(sha256, 0, &mut std::fs::File::create(&file).unwrap())
        .unwrap();
    drop(device);
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(Hash::of(&bytes), sha256);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.patch(format!("{}{}", site.server.url(), plan.path));
    for (name, value) in &plan.headers {
        request = request.header(*name, value);
    }
    let reply = request.body(bytes[..300_000].to_vec()).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::NO_CONTENT);
    // The app comes back without a token, hears that it failed, and is told to go on by itself:
    // what the host had set still holds.
    let mut back = open(dir.path(), &token);
    back.set_token(None, now());
    assert!(back.transfer_policy().originals_by_host);
    back.set_transfer_policy(TransferPolicy::default()).unwrap();
    back.upload_failed(sha256, Variant::Original, "the system gave up", now()).unwrap();
    let back = Mutex::new(back);
    let end = http.sync_once(&back, now).await.unwrap();
    assert!(matches!(end, SyncEnd::Blocked(_)), "{end:?}");
    let upload = back.lock().unwrap().uploads().unwrap().remove(0);
    assert_eq!(upload.state, UploadState::Stored);
    assert_eq!(upload.sent, 600_000, "what the system had sent is not sent again");
    site.server.stop().await;
}
