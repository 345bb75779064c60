//! Behaviour scenarios: what the product promises, as data that every platform can be held to.
//!
//! A scenario (`tests/scenarios/*.json`, see the README there) lists devices, users and steps with
//! what must be seen after each. A [`stage`] provides the world: the real server on a real
//! Postgres, and between each device and the server a [`gateway`] that can lose things. The
//! devices are [`agent`]s: processes that take one command per line, so that being killed means
//! SIGKILL, and so that an agent in another language takes part with nothing but these commands.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod agent;
pub mod gateway;
pub mod matching;
pub mod play;
pub mod script;
pub mod stage;
