//! The simulation: devices on disks that lose power, a model server, a network that fails in
//! every way, and people. Everything from one seed, in virtual time, on one thread.
//!
//! The devices are the real ones. The server is a model of a few hundred lines that shares only
//! the protocol crate with the real one, so that each checks the other's reading of
//! `docs/protocol.md`; how an intent becomes a change is that crate's on both ([`intents`]). What
//! must never happen is in [`oracle`], [`record_oracle`] and [`photo_oracle`]; what happens, in
//! [`capture`], [`people`], [`photographing`], [`editing`], [`mending`], [`office`] and [`fate`].

pub mod adopting;
pub mod capture;
pub mod custody;
pub mod editing;
pub mod editors;
pub mod fate;
pub mod intents;
pub mod inventing;
pub mod ledger;
pub mod log;
pub mod mending;
pub mod mirrored;
pub mod network;
pub mod office;
pub mod oracle;
pub mod peace;
pub mod people;
pub mod phone;
pub mod photo_oracle;
pub mod photographing;
pub mod pictures;
pub mod record_oracle;
pub mod records;
pub mod run;
pub mod server;
pub mod statements;
pub mod tenant;
pub mod timeline;
pub mod trace;
pub mod uploads;
pub mod world;

/// What is broken on purpose, to see that the invariants notice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weakness {
    /// Nothing.
    #[default]
    None,
    /// Syncs of the journal are promised and not done, as with `synchronous` turned down.
    IgnoredSyncs,
    /// The device's own unsettled captures are not laid over its mirror.
    SkippedOverlay,
    /// The device's own unsettled edits do not reach the rows of its records.
    SkippedReplay,
    /// A lane's operations arrive in reverse.
    ReversedLanes,
    /// The server makes changes at the heads that it has, not at those that a person saw.
    ForgottenHeads,
}
