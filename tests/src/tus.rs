//! A tus client by hand: every header is said, so that every one can be said wrongly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use motomind_protocol::{Hash, Role, limits};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use uuid::Uuid;

use crate::dice::Dice;
use crate::server::token;

/// The type of a body of bytes.
pub const BYTES: &str = "application/offset+octet-stream";

/// So many bytes that begin as a JPEG does and are chance from there.
#[must_use]
pub fn photo(seed: u64, bytes: usize) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut photo = vec![0xff, 0xd8, 0xff, 0xe0];
    while photo.len() < bytes {
        photo.extend(dice.bytes::<4096>());
    }
    photo.truncate(bytes);
    photo
}

/// An `Upload-Metadata` of these pairs.
#[must_use]
pub fn metadata(pairs: &[(&str, &str)]) -> String {
    let pair = |(key, value): &(&str, &str)| format!("{key} {}", STANDARD.encode(value));
    pairs.iter().map(pair).collect::<Vec<_>>().join(",")
}

/// The `Upload-Metadata` of an original JPEG.
#[must_use]
pub fn original(photo: &[u8]) -> String {
    metadata(&[("sha256", &Hash::of(photo).to_string()), ("mime", "image/jpeg")])
}

/// The `Upload-Metadata` of a JPEG preview.
#[must_use]
pub fn preview(bytes: &[u8], of: &[u8]) -> String {
    let (own, of) = (Hash::of(bytes).to_string(), Hash::of(of).to_string());
    metadata(&[("sha256", &own), ("mime", "image/jpeg"), ("variant", "preview"), ("of", &of)])
}

/// Someone who uploads.
#[derive(Clone, Debug)]
pub struct Phone {
    /// Where the server, or a proxy before it, is.
    pub url: String,
    /// Its person's token.
    pub token: String,
    /// Its tenant.
    pub tenant: Uuid,
    /// Itself.
    pub device: Uuid,
    http: reqwest::Client,
}

/// A created upload, as its creator knows it.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Its path.
    pub path: String,
    /// Its capability.
    pub capability: String,
    /// What the server has.
    pub offset: u64,
}

impl Phone {
    /// A phone of a new person.
    #[must_use]
    pub fn new(url: &str, tenant: Uuid, role: Role) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let (token, device) = (token(tenant, Uuid::new_v4(), role), Uuid::new_v4());
        Self { url: url.into(), token, tenant, device, http }
    }

    /// The same phone in the hands of whoever has this token.
    #[must_use]
    pub fn of_person(&self, token: &str) -> Self {
        Self { token: token.into(), ..self.clone() }
    }

    /// The same phone, whose every request is a connection of its own.
    #[must_use]
    pub fn with_fresh_connections(&self) -> Self {
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0);
        Self { http: http.build().unwrap(), ..self.clone() }
    }

    /// The same phone on another way to the server.
    #[must_use]
    pub fn by_way_of(&self, url: &str) -> Self {
        Self { url: url.into(), ..self.clone() }
    }

    /// A request with the token, the device and the version of tus.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.as_holder(method, path, &self.token).header("motomind-device", self.device.to_string())
    }

    /// A request with a bearer alone.
    pub fn as_holder(&self, method: Method, path: &str, bearer: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.url);
        self.http.request(method, url).bearer_auth(bearer).header("tus-resumable", "1.0.0")
    }

    /// Asks for an upload.
    pub async fn create_reply(&self, length: usize, metadata: &str) -> Response {
        self.request(Method::POST, "/v1/uploads")
            .header("upload-length", length)
            .header("upload-metadata", metadata)
            .send()
            .await
            .unwrap()
    }

    /// Creates an upload.
    pub async fn create(&self, length: usize, metadata: &str) -> Begun {
        begun(self.create_reply(length, metadata).await).await
    }

    /// Sends bytes at an offset, by the capability.
    pub async fn append_reply(&self, to: &Begun, offset: u64, bytes: &[u8]) -> Response {
        self.appending(to, offset, bytes).send().await.unwrap()
    }

    /// The request that sends bytes at an offset.
    pub fn appending(&self, to: &Begun, offset: u64, bytes: &[u8]) -> RequestBuilder {
        self.as_holder(Method::PATCH, &to.path, &to.capability)
            .header("content-type", BYTES)
            .header("upload-offset", offset)
            .body(bytes.to_vec())
    }

    /// Sends bytes at an offset; where the upload stands then.
    pub async fn append(&self, to: &Begun, offset: u64, bytes: &[u8]) -> u64 {
        let reply = self.append_reply(to, offset, bytes).await;
        assert_eq!(reply.status(), StatusCode::NO_CONTENT, "{:?}", reply.text().await);
        offset_of(&reply)
    }

    /// Asks where an upload stands.
    pub async fn state(&self, of: &Begun) -> Response {
        self.as_holder(Method::HEAD, &of.path, &of.capability).send().await.unwrap()
    }

    /// Where an upload stands.
    pub async fn offset(&self, of: &Begun) -> u64 {
        let reply = self.state(of).await;
        assert_eq!(reply.status(), StatusCode::OK);
        offset_of(&reply)
    }

    /// Uploads a photo as a device does, chunk by chunk.
    pub async fn upload(&self, photo: &[u8], metadata: &str) -> Begun {
        let begun = self.create(photo.len(), metadata).await;
        let mut offset = begun.offset;
        while offset < photo.len() as u64 {
            let rest = &photo[usize::try_from(offset).unwrap()..];
            let chunk = &rest[..rest.len().min(limits::UPLOAD_CHUNK_BYTES)];
            offset = self.append(&begun, offset, chunk).await;
        }
        begun
    }

    /// Asks for a photo.
    pub async fn photo(&self, sha256: Hash, query: &str) -> Response {
        let path = format!("/v1/photos/{sha256}{query}");
        self.request(Method::GET, &path).send().await.unwrap()
    }

    /// Downloads a photo that must be there.
    pub async fn download(&self, sha256: Hash) -> Vec<u8> {
        let reply = self.photo(sha256, "").await;
        assert_eq!(reply.status(), StatusCode::OK);
        reply.bytes().await.unwrap().to_vec()
    }
}

/// Reads the reply to a creation that must be a success.
pub async fn begun(reply: Response) -> Begun {
    let status = reply.status();
    let headers = reply.headers().clone();
    assert_eq!(status, StatusCode::CREATED, "{:?}", reply.text().await);
    let text = |name: &str| headers[name].to_str().unwrap().to_string();
    let offset = headers.get("upload-offset").map_or("0", |value| value.to_str().unwrap());
    Begun {
        path: text("location"),
        capability: text("motomind-upload-capability"),
        offset: offset.parse().unwrap(),
    }
}

/// The `Upload-Offset` of a reply.
#[must_use]
pub fn offset_of(reply: &Response) -> u64 {
    reply.headers()["upload-offset"].to_str().unwrap().parse().unwrap()
}
