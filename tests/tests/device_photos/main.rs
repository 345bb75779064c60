//! Photos from one phone's shutter to another one's screen, with the real server between them:
//! kept, sent, fetched, freed, and the same bytes at every stage.
//!
//! Counts by environment: `DEVICE_PHOTOS` (60), `KILLS` (10).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod cut;
mod fetched;
mod shown;
mod site;
mod the_hosts;
