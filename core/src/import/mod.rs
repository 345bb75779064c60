//! Reading what other programs wrote: files in, events out. Pure functions; nothing is stored
//! here, the caller captures what comes back.

pub mod fuelio;
