//! Which pictures may go over which network.

use serde::{Deserialize, Serialize};

/// What may be transferred when. Operations always may: they are a few hundred bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(default)]
pub struct TransferPolicy {
    /// Previews on their way up.
    pub previews: When,
    /// Originals on their way up.
    pub originals: When,
    /// Previews of other people's photos on their way down.
    pub fetched_previews: When,
    /// How many bytes of pictures may go up over a metered network until the policy is set again;
    /// `None`: as many as there are.
    pub metered_budget: Option<u64>,
    /// The host moves originals by itself, as a phone's system does while the app is suspended:
    /// they become [`UploadPlan`](super::UploadPlan)s.
    pub originals_by_host: bool,
}

/// Over which network something may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Any.
    Always,
    /// One that is not metered.
    Unmetered,
    /// None until the policy changes.
    Paused,
}

impl Default for TransferPolicy {
    /// Everything over any network, by the device itself.
    fn default() -> Self {
        Self {
            previews: When::Always,
            originals: When::Always,
            fetched_previews: When::Always,
            metered_budget: None,
            originals_by_host: false,
        }
    }
}

impl When {
    pub(super) fn allows(self, metered: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Unmetered => !metered,
            Self::Paused => false,
        }
    }
}
