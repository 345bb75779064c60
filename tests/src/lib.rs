//! What needs two rooms at once. The library holds what several test files share.

pub mod captures;
pub mod dice;
pub mod disk;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod records;
pub mod scenario;
pub mod server;
pub mod sim;
pub mod stage;
pub mod tus;
