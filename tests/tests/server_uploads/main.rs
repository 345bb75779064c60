//! Photos up and down: every verb of tus, every way to say it wrongly, and who may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bad;
mod files;
mod left_behind;
mod stage;
mod up_and_down;
mod who_may;
