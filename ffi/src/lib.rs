//! The MotoMind core for Kotlin, Swift and Python: hold, convert, call.
//!
//! A [`MotoMind`] is one user's device. Its functions are `suspend` in Kotlin and `async` in Swift
//! and Python: what waits for a disk or a network waits on threads of this library, never on the
//! caller's. Whoever stops waiting for a capture has not undone it: what began is finished, and
//! what was acknowledged is durable. Everything that decides anything is in `motomind-core`.

mod clock;
mod device;
mod failure;
mod files;
mod hooks;
mod types;

pub use device::{
    Break, GivenPhoto, MotoMind, Options, Subscription, new_operation_id, record_of, salvage,
};
pub use failure::{MotoMindError, Obstacle, Thing};
pub use files::{Sink, Source};
pub use hooks::*;
pub use types::*;

uniffi::setup_scaffolding!("motomind");
