//! Pictures on their way, space, and what the server holds.

use super::*;

/// A picture on its way up, as a person sees it.
#[uniffi::remote(Record)]
pub struct UploadItem {
    /// SHA-256 of the photo's original.
    pub photo: Hash,
    /// Which picture of it.
    pub variant: Variant,
    /// SHA-256 of what goes up.
    pub sha256: Hash,
    /// Its size, bytes.
    pub bytes: u64,
    /// What the server has acknowledged of it, bytes.
    pub acked: u64,
    /// What was sent for it, again and again, bytes.
    pub sent: u64,
    /// Where it stands.
    pub state: UploadState,
    /// What the server said last, where it refused.
    pub problem: Option<String>,
    /// When it is offered again by itself, UTC ms.
    pub retry_at: Option<Millis>,
}

/// Where a picture stands on its way up.
#[uniffi::remote(Enum)]
pub enum UploadState {
    /// Waits for its turn, or for a network that it may use.
    Queued,
    /// Under way.
    Sending,
    /// Under way in the host's hands.
    Planned,
    /// The server has it, verified by its hash.
    Stored,
    /// The server would not take it; the reason is with it.
    Refused,
}

/// Which picture of a photo.
#[uniffi::remote(Enum)]
pub enum Variant {
    /// The small one.
    Preview,
    /// The photo itself.
    Original,
}

/// What may be transferred when. Operations always may: they are a few hundred bytes.
#[uniffi::remote(Record)]
pub struct TransferPolicy {
    /// Previews on their way up.
    pub previews: When,
    /// Originals on their way up.
    pub originals: When,
    /// Previews of other people's photos on their way down.
    pub fetched_previews: When,
    /// How many bytes of pictures may go up over a metered network until the policy is set again;
    /// `None`: as many as there are.
    #[uniffi(default)]
    pub metered_budget: Option<u64>,
    /// The host moves originals by itself, as a phone's system does while the app is suspended:
    /// they become `UploadPlan`s.
    #[uniffi(default)]
    pub originals_by_host: bool,
}

/// Over which network something may go.
#[uniffi::remote(Enum)]
pub enum When {
    /// Any.
    Always,
    /// One that is not metered.
    Unmetered,
    /// None until the policy changes.
    Paused,
}

/// What takes space, bytes.
#[uniffi::remote(Record)]
pub struct SpaceReport {
    /// The journal's file.
    pub journal: u64,
    /// The mirror's file.
    pub mirror: u64,
    /// Of both, what is empty and will be used again.
    pub empty: u64,
    /// Originals and previews that the server does not have. They stay.
    pub photos_unsent: u64,
    /// Originals that the server has: they may be freed, and can be fetched again.
    pub photos_stored: u64,
    /// Photos of sessions that were left; the person decides.
    pub photos_of_sessions: u64,
    /// Pictures that came from the server: they may be freed, and can be fetched again.
    pub cached: u64,
}

/// What the last comparison found.
#[uniffi::remote(Record)]
pub struct CustodyReport {
    /// When, UTC ms of the device clock.
    pub compared_at: Millis,
    /// How many operations of this journal the server holds.
    pub held: u64,
    /// Operations that the server had accepted and does not hold any more; they go again.
    pub offered_again: Vec<OpId>,
    /// Photos of which the server lacks the original or the preview and this device has it; they go
    /// again.
    pub photos_again: Vec<Hash>,
    /// Photos of which neither has the original.
    pub photos_lost: Vec<Hash>,
    /// The server's chain has another operation at its highest contiguous place than this journal:
    /// a cloned phone, or damage on one side.
    pub chains_differ: bool,
}
