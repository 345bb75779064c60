//! Devices, a model server, a bad network and bad luck, from seeds.
//!
//! `SIM_SEEDS` says how many (2,000 when absent) from `SIM_FIRST` on (0 when absent), `SIM_SEED`
//! which one `one_seed` replays, with its whole account when `SIM_TRACE` is set.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use motomind_tests::sim::Weakness;
use motomind_tests::sim::run::{Report, simulate};

const SEEDS_DEFAULT: u64 = 2_000;
const THREADS: u64 = 2;

/// What must have happened somewhere in this many seeds, or the simulation has gone soft.
const SEEDS_FOR_EVERYTHING: u64 = 500;
const HAPPENS: &[&str] = &[
    "a place corrected by two offline",
    "absorbed",
    "accepted",
    "brought back",
    "captured with photos",
    "clock jumped",
    "compacted",
    "compacted again",
    "conflict seen",
    "custody told",
    "duplicate",
    "edit amended",
    "edit discarded",
    "edit retried",
    "edited",
    "forbidden",
    "forked",
    "freed photo fetched",
    "heads_unknown",
    "in doubt, was kept",
    "in doubt, was lost",
    "internal",
    "mirror rolled back",
    "odometer_out_of_order",
    "one-way partition",
    "op_id_reused",
    "original freed",
    "parent_rejected",
    "phone cloned",
    "phone restored",
    "photo lost in a restore sent again",
    "photo uploaded",
    "power lost",
    "preview uploaded",
    "pruned",
    "rate_limited",
    "record deleted",
    "record restored",
    "reminder_taken",
    "request duplicated",
    "resnapshot",
    "server restored",
    "session resumed after a crash",
    "set aside",
    "settled as the same",
    "superseded",
    "token_expired",
    "unavailable",
    "unknown outcome",
    "unknown_record",
    "unknown_reference",
    "unknown_vehicle",
    "upload resumed after a cut",
    "vehicle created on a phone",
    "vin_taken",
    "waiting",
    "wrong identity",
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// The command that replays a seed.
fn replay(seed: u64) -> String {
    format!(
        "SIM_SEED={seed} SIM_TRACE=1 cargo test -p motomind-tests --test simulation -- \
         --nocapture one_seed"
    )
}

/// Runs a seed twice: no invariant broken, and the same account both times.
fn check(seed: u64) -> Result<Report, String> {
    let once = simulate(seed, Weakness::None, false);
    let again = simulate(seed, Weakness::None, false);
    if let Some(violation) = once.violation {
        return Err(format!("{violation}\n  {}", replay(seed)));
    }
    if once.trace != again.trace {
        let how = "the same seed went another way the second time";
        return Err(format!("{how}\n  {}", replay(seed)));
    }
    Ok(once)
}

#[test]
fn every_seed_keeps_every_promise() {
    let seeds = number("SIM_SEEDS").unwrap_or(SEEDS_DEFAULT);
    let first = number("SIM_FIRST").unwrap_or(0);
    let next = AtomicU64::new(first);
    let tally = Mutex::new(BTreeMap::<String, u64>::new());
    let work = || {
        let mut broken = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds || broken.len() >= 10 {
                return broken;
            }
            match check(seed) {
                Ok(report) => {
                    let mut tally = tally.lock().unwrap();
                    for (what, times) in report.tally {
                        *tally.entry(what).or_default() += times;
                    }
                }
                Err(violation) => broken.push(format!("seed {seed}: {violation}")),
            }
        }
    };
    let broken: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let broken = threads.into_iter().flat_map(|thread| thread.join().unwrap());
        broken.collect()
    });
    let tally = tally.into_inner().unwrap();
    println!("{seeds} seeds: {tally:?}");
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
    let missing: Vec<_> = HAPPENS.iter().filter(|what| !tally.contains_key(**what)).collect();
    let few = seeds < SEEDS_FOR_EVERYTHING;
    assert!(few || missing.is_empty(), "never happened: {missing:?}");
}

/// Replays one seed: `SIM_SEED=… cargo test … one_seed`.
#[test]
fn one_seed() {
    let seed = number("SIM_SEED").unwrap_or(1);
    let keep_trace = std::env::var_os("SIM_TRACE").is_some();
    let report = simulate(seed, Weakness::None, keep_trace);
    if keep_trace {
        println!("{}", report.text);
    }
    assert_eq!(report.violation, None, "seed {seed}");
    assert_eq!(check(seed).map(|report| report.trace), Ok(report.trace));
}

/// The first seed that notices a weakness.
fn noticed(weakness: Weakness) -> Option<(u64, String)> {
    (0..SEEDS_TO_NOTICE).find_map(|seed| {
        let violation = simulate(seed, weakness, false).violation?;
        Some((seed, violation))
    })
}

/// How many seeds a weakness may hide from.
const SEEDS_TO_NOTICE: u64 = 60;

#[test]
fn a_journal_that_is_not_synced_is_noticed() {
    let (_, violation) = noticed(Weakness::IgnoredSyncs).expect("nobody noticed");
    assert!(
        ["lost", "does not open", "cannot be read", "breaks"]
            .iter()
            .any(|word| violation.contains(word)),
        "{violation}"
    );
}

#[test]
fn a_skipped_overlay_is_noticed() {
    let (_, violation) = noticed(Weakness::SkippedOverlay).expect("nobody noticed");
    assert!(violation.contains("does not show its own"), "{violation}");
}

#[test]
fn edits_that_do_not_reach_their_rows_are_noticed() {
    let (_, violation) = noticed(Weakness::SkippedReplay).expect("nobody noticed");
    assert!(violation.contains(" lists "), "{violation}");
}

#[test]
fn a_reordered_lane_is_noticed() {
    let (_, violation) = noticed(Weakness::ReversedLanes).expect("nobody noticed");
    // An older edit that comes last would win over the newer one.
    let words = ["overtook", "nobody who saw it chose otherwise"];
    assert!(words.iter().any(|word| violation.contains(word)), "{violation}");
}

#[test]
fn a_server_that_forgets_what_was_seen_is_noticed() {
    let (_, violation) = noticed(Weakness::ForgottenHeads).expect("nobody noticed");
    assert!(violation.contains("nobody who saw it chose otherwise"), "{violation}");
}
