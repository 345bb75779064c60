//! Identifiers. Each kind is its own type, so that an event never travels where a vehicle should.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        #[cfg_attr(feature = "types", derive(ts_rs::TS), ts(type = "string"))]
        pub struct $name(pub Uuid);

        impl $name {
            /// The 16 bytes in network order, as stored in SQLite.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id! {
    /// A customer of the product; the wall that nothing crosses.
    TenantId
}
id! {
    /// A person within a tenant: the `sub` of their token.
    UserId
}
id! {
    /// One installation of the app for one user.
    DeviceId
}
id! {
    /// One unbroken life of a device's journal. A restored or cloned phone opens a new one.
    Incarnation
}
id! {
    /// A vehicle.
    VehicleId
}
id! {
    /// A garage: where vehicles live.
    GarageId
}
id! {
    /// An event, and equally the operation that captured it: one identity from the shutter to the
    /// server, so that capturing twice with one id is one capture.
    EventId
}
id! {
    /// An operation: the unit of sync.
    OpId
}

impl From<OpId> for EventId {
    fn from(op: OpId) -> Self {
        Self(op.0)
    }
}

impl From<EventId> for OpId {
    fn from(event: EventId) -> Self {
        Self(event.0)
    }
}

/// A UUIDv7 from a time and ten bytes of entropy, both given by the caller.
#[must_use]
pub fn uuid_v7(now: crate::Millis, entropy: [u8; 10]) -> Uuid {
    let millis = u64::try_from(now).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &entropy).into_uuid()
}
