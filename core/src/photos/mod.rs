//! Photos on this device: their bytes, the sessions in which they are taken, the events that they
//! are on, and what is shown of them.
//!
//! Every photo that was finished is in a session or on an event, in the transaction that finished
//! it: a crash leaves no orphan and no dangling link.

mod add;
mod album;
mod attach;
pub(crate) mod blobs;
mod complete;
pub(crate) mod session;
mod small;
pub(crate) mod uploads;
mod view;

pub(crate) use add::HalfWritten;
pub use add::{AddedPhoto, PhotoHandle, PhotoMeta, PhotoTarget, Room};
pub use attach::PhotoEdit;
pub use complete::NewPhoto;
pub use small::HostPreview;
pub use view::{FlagsShown, PhotoPiece, PhotoShown, Whereabouts};
