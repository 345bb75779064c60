//! Records on the server: documents, and the rows that are their projection.
//!
//! ```text
//!  device's intent ─▶ take ─▶ document ─▶ row, log entry        (push)
//!  SQL client ─▶ row ─▶ queue ─▶ absorb ─▶ document, log entry  (before it is served or merged)
//! ```
//!
//! Both happen under the row's lock and in one transaction, so that document and row agree
//! whenever nobody is writing. Nothing here knows a collection by name: tables and columns are
//! those of the declaration in [`motomind_protocol::records::schema`].

mod absorb;
mod claims;
mod fields;
mod shelf;
mod store;
mod table;

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use motomind_protocol::records::Collection;
use uuid::Uuid;

pub(crate) use absorb::absorb_before_serving;
pub(crate) use claims::ClaimKey;
pub(crate) use shelf::{Shelf, tell_unreadable};

/// The collection whose rows are also the locks of events, and so come first of all locks.
pub(crate) const VEHICLES: &str = "vehicles";

/// The collection whose records hold vehicles.
pub(crate) const GARAGES: &str = "garages";

/// The collection of that name among these.
pub(crate) fn find_in(
    collections: &'static [Collection],
    name: &str,
) -> Option<&'static Collection> {
    collections.iter().find(|collection| collection.name == name)
}

/// A record of the tenant. Ordered as locks are taken: vehicles first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Its collection.
    pub(crate) collection: &'static Collection,
    /// Its id.
    pub(crate) id: Uuid,
}

impl Key {
    fn order(&self) -> (bool, &'static str, Uuid) {
        (self.collection.name != VEHICLES, self.collection.name, self.id)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.order().hash(state);
    }
}
