//! Time, entropy and the threads that work is done on: what the core wants to be given.

use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use motomind_core::Clock;
use motomind_core::protocol::Millis;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use crate::failure::MotoMindError;
use crate::hooks::{DeviceClock, note};

/// Threads that move requests and replies.
const NETWORK_THREADS: usize = 2;
/// Threads that wait for SQLite, files and the host's hooks, at most; made when they are needed.
const WORK_THREADS_MAX: usize = 32;

/// The threads of this library, made when first needed and kept.
///
/// # Errors
/// [`MotoMindError::Storage`] where the system gives no threads.
pub(crate) fn threads() -> Result<&'static Runtime, MotoMindError> {
    static THREADS: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    let made = THREADS.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(NETWORK_THREADS)
            .max_blocking_threads(WORK_THREADS_MAX)
            .thread_name("motomind")
            .enable_all()
            .build()
    });
    made.as_ref().map_err(|error| MotoMindError::Storage { what: error.to_string() })
}

/// 32 fresh bytes from the system.
pub(crate) fn seed() -> Result<[u8; 32], MotoMindError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| MotoMindError::Host { what: error.to_string() })?;
    Ok(seed)
}

/// The host's clocks, or the system's.
pub(crate) struct Clocks {
    host: Option<Arc<dyn DeviceClock>>,
}

impl Clocks {
    pub(crate) fn new(host: Option<Arc<dyn DeviceClock>>) -> Self {
        Self { host }
    }

    pub(crate) fn read(&self) -> Clock {
        match self.host.as_ref().map(|host| host.read()) {
            None => system(),
            Some(Ok(reading)) => Clock {
                wall_ms: reading.wall_ms,
                monotonic_ms: reading.monotonic_ms,
                boot_id: reading.boot_id,
            },
            Some(Err(error)) => {
                note("the clock", &error);
                system()
            }
        }
    }

    pub(crate) fn now(&self) -> Millis {
        self.read().wall_ms
    }
}

/// The system's clocks.
fn system() -> Clock {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (boot_id, before_ms) = steady();
    let running = Instant::now().saturating_duration_since(*STARTED.get_or_init(Instant::now));
    Clock {
        wall_ms: millis(since.as_millis()),
        monotonic_ms: Some(before_ms.saturating_add(millis(running.as_millis()))),
        boot_id: Some(boot_id),
    }
}

static STARTED: OnceLock<Instant> = OnceLock::new();

fn millis(millis: u128) -> Millis {
    Millis::try_from(millis).unwrap_or(Millis::MAX)
}

/// What the steady clock counts from, and how long that was before this process first asked, ms:
/// the boot, where the system tells of it, else that moment, under a name of its own.
fn steady() -> (Uuid, i64) {
    static STEADY: OnceLock<(Uuid, i64)> = OnceLock::new();
    *STEADY.get_or_init(|| {
        STARTED.get_or_init(Instant::now);
        boot().unwrap_or_else(|| {
            let mut life = [0; 16];
            // Where the system gives no entropy, nothing is ever opened.
            let _ = getrandom::fill(&mut life);
            (uuid::Builder::from_random_bytes(life).into_uuid(), 0)
        })
    })
}

fn boot() -> Option<(Uuid, i64)> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let id = read("/proc/sys/kernel/random/boot_id")?.trim().parse().ok()?;
    let uptime = read("/proc/uptime")?;
    let seconds: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    Some((id, (seconds * 1_000.0) as i64))
}

/// An id that nobody else has made.
///
/// # Errors
/// [`MotoMindError::Host`] where the system has no entropy.
pub(crate) fn fresh_id() -> Result<Uuid, MotoMindError> {
    let seed = seed()?;
    let mut entropy = [0; 10];
    entropy.copy_from_slice(&seed[..10]);
    Ok(motomind_core::protocol::uuid_v7(system().wall_ms, entropy))
}
