//! Exponential backoff with full jitter, from the device's own entropy.
//!
//! ```text
//!   wait = uniform(0, min(BACKOFF_MS_MAX, BACKOFF_MS_BASE · 2^failures))
//! ```
//! (Brooker, "Exponential Backoff And Jitter", 2015.)

use motomind_protocol::Millis;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

/// First ceiling, ms.
pub(crate) const BACKOFF_MS_BASE: i64 = 1_000;
/// Last ceiling, ms.
pub(crate) const BACKOFF_MS_MAX: i64 = 5 * 60 * 1000;

/// One activity's memory of failures.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    until: Option<Waiting>,
}

/// A wait, remembered with its start: a device clock set back must not prolong it for years.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    from: Millis,
    until: Millis,
}

impl Backoff {
    /// Forgets all failures.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// One more failure; waits at least `retry_after_s` if the server asked for it.
    pub(crate) fn fail(&mut self, now: Millis, retry_after_s: Option<u32>, rng: &mut ChaCha20Rng) {
        let wait = delay(self.failures, rng).max(i64::from(retry_after_s.unwrap_or(0)) * 1000);
        self.failures = self.failures.saturating_add(1);
        self.until = Some(Waiting { from: now, until: now.saturating_add(wait) });
    }

    /// The instant to wait for, if it has not come.
    pub(crate) fn waiting(&self, now: Millis) -> Option<Millis> {
        let Waiting { from, until } = self.until?;
        (now >= from && now < until).then_some(until)
    }
}

/// The wait after so many failures, ms.
pub(crate) fn delay(failures: u32, rng: &mut ChaCha20Rng) -> Millis {
    let ceiling = BACKOFF_MS_BASE.saturating_mul(1 << failures.min(20)).min(BACKOFF_MS_MAX);
    i64::try_from(rng.next_u64() % ceiling.unsigned_abs()).unwrap_or(ceiling)
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn waits_grow_to_the_ceiling_and_end_when_the_clock_is_set_back() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let mut backoff = Backoff::default();
        let mut longest = 0;
        for _ in 0..200 {
            backoff.fail(0, None, &mut rng);
            longest = longest.max(backoff.waiting(0).unwrap_or(0));
        }
        assert!(longest > BACKOFF_MS_MAX / 2 && longest <= BACKOFF_MS_MAX);
        assert_eq!(backoff.waiting(-1), None);
        backoff.fail(0, Some(600), &mut rng);
        assert!(backoff.waiting(599_999).is_some());
    }
}
