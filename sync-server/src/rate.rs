//! A rate limit for each token: a burst at once, then a steady rate (the generic cell rate
//! algorithm). Each instance counts for itself.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;

/// Tokens remembered before the idle ones are dropped.
const TOKENS_MAX: usize = 50_000;

/// Counts requests by token.
#[derive(Debug)]
pub(crate) struct RateLimit {
    interval: Duration,
    burst: u32,
    hasher: RandomState,
    /// For each token, when its bucket is empty again.
    empty_at: Mutex<HashMap<u64, Instant>>,
}

impl RateLimit {
    /// Lets `per_minute` requests through, `burst` of them at once.
    #[must_use]
    pub(crate) fn new(per_minute: u32, burst: u32) -> Self {
        Self {
            interval: Duration::from_secs(60) / per_minute.max(1),
            burst: burst.max(1),
            hasher: RandomState::new(),
            empty_at: Mutex::default(),
        }
    }

    /// Counts one request of `token`.
    ///
    /// # Errors
    /// [`Error::RateLimited`] when the token has used up its burst.
    pub(crate) fn count(&self, token: &str, now: Instant) -> Result<(), Error> {
        let key = self.hasher.hash_one(token);
        let mut buckets = self.empty_at.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= TOKENS_MAX {
            buckets.retain(|_, empty_at| *empty_at > now);
        }
        let empty_at = buckets.get(&key).copied().unwrap_or(now).max(now);
        let full = self.interval * self.burst;
        let over = (empty_at + self.interval).saturating_duration_since(now + full);
        if !over.is_zero() {
            let retry_after_s = over.as_secs() + 1;
            return Err(Error::RateLimited { retry_after_s });
        }
        buckets.insert(key, empty_at + self.interval);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_steady_rate() {
        let limit = RateLimit::new(60, 3);
        let start = Instant::now();
        for _ in 0..3 {
            assert!(limit.count("a", start).is_ok());
        }
        assert!(matches!(limit.count("a", start), Err(Error::RateLimited { retry_after_s: 2 })));
        assert!(limit.count("b", start).is_ok(), "tokens count apart");
        assert!(limit.count("a", start + Duration::from_secs(1)).is_ok());
        assert!(limit.count("a", start + Duration::from_secs(1)).is_err());
    }
}
