//! How photos are asked for: the flows, their steps, and the session in which a person takes them.
//!
//! ```text
//! begin ──▶ Active ──▶ Completed(event)
//!              │
//!              └─────▶ Abandoned(step, reason) ──▶ its photos stay; `resume` takes them along
//! ```

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::limits::SESSION_IDLE_MS_MAX;
use crate::{EventId, Hash, Millis, VehicleId};

mod session;

pub use session::{Happening, NotPossible, Session};

/// A flow: what to photograph for one kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Its name on the wire.
    pub name: &'static str,
    /// The event type that it ends in.
    pub event_type: &'static str,
    /// Whether one shot is enough, without guidance.
    pub quick: bool,
    /// In the order in which they are asked for.
    pub steps: &'static [Step],
}

/// One thing to photograph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its name on the wire.
    pub id: &'static str,
    /// Whether it can be left out.
    pub need: Need,
    /// Whether each photo stands beside the earlier ones, instead of taking the last one's place.
    pub several: bool,
}

/// How much a [`Step`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A guided session cannot be completed without it.
    Required,
    /// Worth asking for.
    Recommended,
    /// May be left out.
    Optional,
}

const fn step(id: &'static str, need: Need) -> Step {
    Step { id, need, several: false }
}

const fn several(id: &'static str, need: Need) -> Step {
    Step { id, need, several: true }
}

use Need::{Optional, Recommended, Required};

/// Every flow of this build; a newer peer may know others.
pub const FLOWS: &[Flow] = &[
    Flow {
        name: "fuel",
        event_type: "fuel",
        quick: true,
        steps: &[
            step("receipt", Required),
            step("odometer", Recommended),
            step("gauge", Optional),
            several("additives", Optional),
        ],
    },
    Flow {
        name: "service",
        event_type: "maintenance",
        quick: true,
        steps: &[
            step("invoice", Required),
            step("odometer", Recommended),
            several("damage_before", Optional),
            several("damage_after", Optional),
            several("parts", Optional),
        ],
    },
    Flow {
        name: "tire",
        event_type: "tire",
        quick: false,
        steps: &[
            step("fl_tread", Required),
            step("fr_tread", Required),
            step("rl_tread", Required),
            step("rr_tread", Required),
            step("tire_label", Recommended),
        ],
    },
    Flow {
        name: "damage",
        event_type: "damage",
        quick: false,
        steps: &[
            several("overview", Required),
            several("closeup", Required),
            several("other_party", Optional),
            several("scene", Optional),
        ],
    },
    Flow {
        name: "dashboard_warning",
        event_type: "dashboard_warning",
        quick: true,
        steps: &[step("warning_lights", Required), step("odometer", Required)],
    },
    Flow {
        name: "document",
        event_type: "document",
        quick: true,
        steps: &[several("document", Required)],
    },
];

/// The flow of a name; `None` for one that only a newer peer knows.
#[must_use]
pub fn find(name: &str) -> Option<&'static Flow> {
    FLOWS.iter().find(|flow| flow.name == name)
}

impl Flow {
    /// The step of a name.
    #[must_use]
    pub fn step(&self, id: &str) -> Option<&'static Step> {
        self.steps.iter().find(|step| step.id == id)
    }
}

/// How a person goes through a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Path {
    /// One shot.
    Quick,
    /// Step by step.
    Guided,
    /// A path that a newer peer knows.
    #[serde(untagged)]
    Other(String),
}

/// Why a session was left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Left {
    /// The person went back.
    BackButton,
    /// The window was closed.
    ClosedTab,
    /// Nothing happened for more than 30 minutes.
    Timeout,
    /// The person went elsewhere in the app.
    Navigation,
    /// A reason that a newer peer knows.
    #[serde(untagged)]
    Other(String),
}

/// Where a session stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Standing {
    /// The person is at it.
    Active,
    /// It became an event.
    Completed {
        /// The event.
        event_id: EventId,
        /// When, UTC ms.
        completed_at: Millis,
    },
    /// It became none.
    Abandoned {
        /// The step at which it was left; absent before the first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        abandoned_at_step: Option<String>,
        /// Why.
        reason: Left,
        /// When, UTC ms; after a timeout, 30 minutes past the last activity.
        abandoned_at: Millis,
    },
}

/// A photo of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct SessionPhoto {
    /// SHA-256 of the original's bytes.
    pub photo: Hash,
    /// The step that it answers; absent on the quick path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_id: Option<String>,
    /// When it joined the session, UTC ms.
    pub added_at: Millis,
    /// Keys of a newer peer, kept.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
