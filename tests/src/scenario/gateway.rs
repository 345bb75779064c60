//! The network between one device and the server, which can be as bad as it likes.

use std::io::Read as _;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use motomind_protocol::limits;
use serde::Deserialize;
use serde_json::json;

/// What lies between a device and the server.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Network {
    /// Everything passes.
    #[default]
    Online,
    /// Nothing passes: connections break.
    Offline,
    /// Requests reach the server, replies are lost.
    LosesReplies,
    /// A captive portal answers everything itself: 200 and a page.
    Portal,
    /// Something on the way answers everything itself.
    Answers {
        /// The status.
        status: u16,
        /// `Retry-After`.
        retry_after_s: Option<u32>,
    },
    /// The server fails (500) on every push with this text in it, and on no other.
    FailsOn {
        /// The text.
        text: String,
    },
}

/// A listening gateway. Ends when dropped.
pub struct Gateway {
    shared: Arc<Shared>,
    address: std::net::SocketAddr,
    serving: tokio::task::JoinHandle<()>,
}

struct Shared {
    network: Mutex<Network>,
    upstream: Mutex<String>,
    client: reqwest::Client,
}

impl Gateway {
    /// Opens a gateway that passes everything.
    pub async fn open(upstream: &str) -> Self {
        let shared = Arc::new(Shared {
            network: Mutex::default(),
            upstream: Mutex::new(upstream.to_string()),
            client: reqwest::Client::builder().no_gzip().no_proxy().build().unwrap(),
        });
        let router = Router::new().fallback(pass).with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { shared, address, serving }
    }

    /// What the device takes for the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes the network.
    pub fn set(&self, network: Network) {
        *self.shared.network.lock().unwrap() = network;
    }

    /// The server has moved.
    pub fn lead_to(&self, upstream: &str) {
        *self.shared.upstream.lock().unwrap() = upstream.to_string();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let network = shared.network.lock().unwrap().clone();
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, 2 * limits::PUSH_BYTES_MAX).await else {
        return broken();
    };
    match &network {
        Network::Offline => return broken(),
        Network::Portal => {
            let page = "<html><title>Airport Wi-Fi</title>Please accept our terms</html>";
            return ([(header::CONTENT_TYPE, "text/html")], page).into_response();
        }
        Network::Answers { status, retry_after_s } => return answer(*status, *retry_after_s),
        Network::FailsOn { text } if contains(&parts.headers, &body, text) => return fault(),
        Network::Online | Network::LosesReplies | Network::FailsOn { .. } => {}
    }
    let upstream = shared.upstream.lock().unwrap().clone();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = shared.client.request(parts.method.clone(), format!("{upstream}{path}"));
    for (name, value) in &parts.headers {
        if name != header::HOST && name != header::CONTENT_LENGTH {
            request = request.header(name, value);
        }
    }
    let sent = request.body(body).send().await;
    let reply = match sent {
        Ok(reply) => reply,
        Err(_) => return broken(),
    };
    let mut response = Response::builder().status(reply.status());
    for (name, value) in reply.headers() {
        if name != header::TRANSFER_ENCODING && name != header::CONNECTION {
            response = response.header(name, value);
        }
    }
    match reply.bytes().await {
        Ok(body) if network != Network::LosesReplies => response.body(Body::from(body)).unwrap(),
        _ => broken(),
    }
}

/// A connection that breaks before the body.
fn broken() -> Response {
    let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    Body::from_stream(stream::once(async { Err::<Bytes, _>(lost) })).into_response()
}

fn answer(status: u16, retry_after_s: Option<u32>) -> Response {
    let mut response = StatusCode::from_u16(status).unwrap().into_response();
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    readable_by_pages(response)
}

fn fault() -> Response {
    let problem = json!({
        "type": "https://motomind.dev/problems/internal", "title": "Internal Server Error",
        "status": 500, "code": "internal", "detail": "the server failed on this request",
    });
    let headers = [(header::CONTENT_TYPE, "application/problem+json")];
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    readable_by_pages((status, headers, problem.to_string()).into_response())
}

/// A page sees what we answer ourselves as it would the server's.
fn readable_by_pages(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
    response
}

/// Whether a body says something, packed or not.
fn contains(headers: &HeaderMap, body: &Bytes, text: &str) -> bool {
    let mut plain = Vec::new();
    if headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip") {
        flate2::read::GzDecoder::new(body.as_ref()).read_to_end(&mut plain).unwrap();
    } else {
        plain.extend_from_slice(body);
    }
    String::from_utf8_lossy(&plain).contains(text)
}
