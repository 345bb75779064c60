//! The MotoMind core for browsers: hold, convert, call.
//!
//! A `Device` lives in a dedicated worker, the one place where a browser's private
//! file system (OPFS) has synchronous handles. Values cross the border as JSON texts, bytes as
//! `Uint8Array`s, failures as `Error`s with a `code`. Everything that decides anything is in `motomind-core`.
#![cfg(all(target_family = "wasm", target_os = "unknown"))]

pub mod device;
pub mod evidence;
pub mod exchange;
pub mod facts;
mod failure;
mod files;
pub mod photos;
pub mod picked;
pub mod records;
pub mod sessions;
pub mod transfer;
