//! Photos on their way: up by tus, down by ranges, whoever moves the bytes.
//!
//! Operations go first, then previews, then originals. Each picture that goes up is a row of
//! `uploads` and fails by itself; what the server has acknowledged is asked for, never guessed.
//!
//! ```text
//!   queued ──▶ sending ──────────────▶ stored ──▶ its bytes here may be freed
//!      │          │  ▲ resumed where the server says that it stands
//!      │          ▼  │
//!      │        refused (reason) ──▶ a person, or time, offers it again
//!      └──▶ planned: the host moves the bytes by itself and tells how that went
//! ```

mod again;
mod cache;
pub(crate) mod download;
mod plan;
mod policy;
mod rows;
mod settings;
mod space;
pub(crate) mod upload;

pub use plan::UploadPlan;
pub use policy::{TransferPolicy, When};
pub use rows::{UploadItem, UploadState, Variant};
pub use space::SpaceReport;

pub(crate) use again::{Offered, offer_again, offer_all_again, offer_untold};
pub(crate) use cache::{read as read_cached, size as cached_size};
pub(crate) use download::DownloadFlow;
pub(crate) use rows::unsent;
pub(crate) use settings::restore as restore_settings;
pub(crate) use upload::UploadFlow;
