//! A TCP proxy that misbehaves: it cuts connections after a seeded number of bytes, in either
//! direction, so that requests arrive whose replies are lost, and requests are lost halfway.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::dice::Dice;

/// Bytes moved at a time.
const CHUNK_BYTES: usize = 8 * 1024;

/// How often a connection is cut, of 1,000.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Cut on the way to the server.
    pub request_cut_permille: u64,
    /// Cut on the way back: the server has acted, the device does not know.
    pub reply_cut_permille: u64,
    /// Cuts fall within so many bytes.
    pub within_bytes: u64,
}

/// A running proxy. Ended when dropped.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    healed: Arc<AtomicBool>,
    cuts: Arc<AtomicU64>,
    passed: Arc<AtomicU64>,
    task: AbortHandle,
}

impl Proxy {
    /// A proxy before `upstream`. Call it within a runtime.
    pub async fn start(upstream: SocketAddr, faults: Faults, seed: u64) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let healed = Arc::new(AtomicBool::new(false));
        let cuts = Arc::new(AtomicU64::new(0));
        let dice = Arc::new(Mutex::new(Dice::new(seed)));
        let passed = Arc::new(AtomicU64::new(0));
        let (heal, count, sum) = (healed.clone(), cuts.clone(), passed.clone());
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let mut dice = dice.lock().unwrap_or_else(PoisonError::into_inner).fork();
                let mut limit = |permille| {
                    let cut = dice.permille(permille) && !heal.load(Ordering::Relaxed);
                    cut.then(|| dice.below(faults.within_bytes))
                };
                let limits = (limit(faults.request_cut_permille), limit(faults.reply_cut_permille));
                let counters = (count.clone(), sum.clone());
                connections.spawn(relay(client, upstream, limits, counters));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, healed, cuts, passed, task: task.abort_handle() })
    }

    /// `http://` and the address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on new connections are left alone.
    pub fn heal(&self) {
        self.healed.store(true, Ordering::Relaxed);
    }

    /// Connections cut so far.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Relaxed)
    }

    /// Bytes that reached the server so far, headers and all.
    #[must_use]
    pub fn passed_bytes(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(
    client: TcpStream,
    upstream: SocketAddr,
    limits: (Option<u64>, Option<u64>),
    (cuts, passed): (Arc<AtomicU64>, Arc<AtomicU64>),
) {
    let Ok(server) = TcpStream::connect(upstream).await else {
        return;
    };
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let back = AtomicU64::new(0); // nobody asks
    // Whichever direction ends or is cut first takes the connection with it.
    let cut = tokio::select! {
        cut = pump(client_in, server_out, limits.0, &passed) => cut,
        cut = pump(server_in, client_out, limits.1, &back) => cut,
    };
    cuts.fetch_add(u64::from(cut), Ordering::Relaxed);
}

/// Moves bytes until the end, or the cut. Returns whether it was cut.
async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    limit: Option<u64>,
    passed: &AtomicU64,
) -> bool {
    let mut left = limit.unwrap_or(u64::MAX);
    let mut chunk = [0; CHUNK_BYTES];
    loop {
        let Ok(read) = from.read(&mut chunk).await else {
            return false;
        };
        if read == 0 {
            return false;
        }
        let pass = usize::try_from(left).unwrap_or(usize::MAX).min(read);
        if to.write_all(&chunk[..pass]).await.is_err() {
            return false;
        }
        passed.fetch_add(pass as u64, Ordering::Relaxed);
        left -= pass as u64;
        if pass < read {
            return true;
        }
    }
}
