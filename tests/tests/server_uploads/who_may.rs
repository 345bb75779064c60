//! Who may move an upload, and how much room there is.

use motomind_protocol::{Hash, Role};
use motomind_tests::server::claims;
use motomind_tests::tus::{Begun, Phone, original, photo};
use reqwest::{Method, StatusCode};
use uuid::Uuid;

use crate::stage::{Stage, refused};

#[tokio::test]
async fn a_capability_moves_one_upload_and_nothing_else() {
    let stage = Stage::set().await;
    let phone = &stage.phone;
    let (one, two) = (photo(1, 5_000), photo(2, 5_000));
    let first = phone.create(5_000, &original(&one)).await;
    let second = phone.create(5_000, &original(&two)).await;
    let crossed = Begun { capability: second.capability.clone(), ..first.clone() };
    refused(phone.append_reply(&crossed, 0, &one).await, "unauthenticated", 401).await;
    let ask = |method, path: &str| phone.as_holder(method, path, &first.capability).send();
    for (method, path) in [
        (Method::POST, "/v1/uploads"),
        (Method::GET, "/v1/sync/pull"),
        (Method::POST, "/v1/sync/push"),
        (Method::GET, "/v1/sync/snapshot"),
        (Method::GET, &format!("/v1/photos/{}", Hash::of(&one))),
    ] {
        refused(ask(method, path).await.unwrap(), "unauthenticated", 401).await;
    }
    for forged in ["mmu_", "mmu_AAAA", &format!("{}A", first.capability)] {
        let forged = Begun { capability: forged.into(), ..first.clone() };
        refused(phone.append_reply(&forged, 0, &one).await, "unauthenticated", 401).await;
    }

    // The token ends in the middle; the capability goes on.
    let mut ending = claims(phone.tenant, Uuid::new_v4(), Role::Technician);
    ending.exp = chrono::Utc::now().timestamp() - 3_600;
    let ended = motomind_server::auth::mint(motomind_tests::server::SECRET, &ending).unwrap();
    let late = Begun { capability: ended, ..first.clone() };
    refused(phone.append_reply(&late, 0, &one[..100]).await, "token_expired", 401).await;
    assert_eq!(phone.append(&first, 0, &one[..2_000]).await, 2_000);

    // The person's own token does as well, another's does not, a manager's does.
    let owned = Begun { capability: phone.token.clone(), ..first.clone() };
    assert_eq!(phone.offset(&owned).await, 2_000);
    let (tenant, _) = stage.database.tenant_with_vehicle().await;
    for (tenant, role, found) in [
        (phone.tenant, Role::Technician, false),
        (phone.tenant, Role::Viewer, false),
        (phone.tenant, Role::Manager, true),
        (tenant, Role::Manager, false),
    ] {
        let other = Phone::new(&stage.server.url(), tenant, role);
        let theirs = Begun { capability: other.token.clone(), ..first.clone() };
        assert_eq!(other.state(&theirs).await.status().is_success(), found, "{role:?}");
    }
    for path in ["/v1/uploads/nothing", &format!("/v1/uploads/{}", Uuid::new_v4())] {
        refused(phone.request(Method::DELETE, path).send().await.unwrap(), "not_found", 404).await;
    }

    // A manager revokes the device: its capabilities end with it.
    stage
        .execute(&format!(
            "INSERT INTO devices (tenant_id, id, user_id, revoked_at)
             VALUES ('{}', '{}', gen_random_uuid(), now())",
            phone.tenant, phone.device
        ))
        .await;
    refused(phone.append_reply(&first, 2_000, &one[2_000..]).await, "device_revoked", 403).await;
    refused(phone.create_reply(5_000, &original(&one)).await, "device_revoked", 403).await;
    refused(phone.photo(Hash::of(&one), "").await, "device_revoked", 403).await;
    stage.execute("UPDATE devices SET revoked_at = NULL").await;
    stage
        .execute(&format!("UPDATE tenants SET is_active = false WHERE id = '{}'", phone.tenant))
        .await;
    refused(phone.append_reply(&first, 2_000, &one[2_000..]).await, "forbidden", 403).await;
    stage.server.stop().await;
}

#[tokio::test]
async fn room_is_promised_once_and_given_back() {
    let stage = Stage::with(|settings| settings.photo_bytes_max = 10_000).await;
    let phone = &stage.phone;
    let (one, two, three) = (photo(1, 6_000), photo(2, 4_000), photo(3, 1_000));
    phone.upload(&one, &original(&one)).await;
    let running = phone.create(4_000, &original(&two)).await;
    let full = phone.create_reply(1_000, &original(&three)).await;
    let full = refused(full, "quota_exceeded", 413).await;
    for word in ["10000", "1000 more", "ask the operator"] {
        assert!(full.detail.contains(word), "{full:?}");
    }
    // Nothing is asked for what is there, or promised already.
    assert_eq!(phone.create(6_000, &original(&one)).await.offset, 6_000);
    assert_eq!(phone.create(4_000, &original(&two)).await.path, running.path);
    let gone = phone.request(Method::DELETE, &running.path).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    let gone = phone.request(Method::DELETE, &running.path).send().await.unwrap();
    refused(gone, "not_found", 404).await;
    phone.upload(&three, &original(&three)).await;
    // A tenant may have a limit of its own.
    refused(phone.create_reply(4_000, &original(&two)).await, "quota_exceeded", 413).await;
    stage.execute("UPDATE tenants SET photo_bytes_max = 11000").await;
    phone.upload(&two, &original(&two)).await;
    assert_eq!(stage.count("SELECT stored_bytes FROM photo_usage").await, 11_000);
    assert_eq!(stage.count("SELECT running_bytes FROM photo_usage").await, 0);

    // Twenty at once ask for the last room: one gets it.
    stage.execute("UPDATE tenants SET photo_bytes_max = 12000").await;
    let pictures: Vec<Vec<u8>> = (100..120).map(|seed| photo(seed, 1_000)).collect();
    let asked = pictures.iter().map(async |picture| {
        let reply = phone.create_reply(1_000, &original(picture)).await;
        reply.status() == StatusCode::CREATED
    });
    let given = futures::future::join_all(asked).await.into_iter().filter(|given| *given).count();
    assert_eq!(given, 1);
    stage.server.stop().await;
}
