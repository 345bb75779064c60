//! Records: vehicles, garages, reminders and their like, edited with no signal.
//!
//! An edit is sealed into the journal like a capture, as the fields that a person changed and the
//! heads of the agreed document that they saw; the server makes a change of it. Until the log has
//! brought that, the device does the same over a copy of the document and shows the result, in the
//! same call. What the server refuses is not shown and stays in [`crate::Device::pending`] with
//! the field to mend, except a refused creation: it stays on the screen, marked, until it is
//! amended, discarded, or said to be the [same as](crate::Device::same_as) an existing record.

mod amend;
mod edit;
pub(crate) mod overlay;
mod read;
pub(crate) mod replay;
mod same_as;
mod whose;

pub use edit::Edited;
pub(crate) use edit::unsettled_creation;
pub use read::{RecordConflict, RecordView};
pub use same_as::{Moved, Typed};
