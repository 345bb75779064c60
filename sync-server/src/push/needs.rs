//! Waiting for creations: an operation on a record that its device does not know accepted.

use std::collections::HashSet;

use deadpool_postgres::Transaction;
use motomind_protocol::limits::AMENDMENTS_FOLLOWED_MAX;
use motomind_protocol::records::unmet_need;
use motomind_protocol::wire::{Outcome, Rejection};
use motomind_protocol::{EventId, Identity, OpId, Operation, code};
use uuid::Uuid;

use super::judge::Verdict;
use super::known::{Known, KnownState};
use super::load;
use crate::error::Error;

/// Reads the operations that these ones need, and on along the chain of amendments.
pub(crate) async fn load<'a>(
    transaction: &Transaction<'_>,
    caller: Identity,
    operations: impl Iterator<Item = &'a Operation>,
    known: &mut Known,
) -> Result<(), Error> {
    let mut wanted: HashSet<OpId> =
        operations.flat_map(|operation| operation.needs.iter().copied()).collect();
    let mut asked: HashSet<OpId> = HashSet::new();
    for _ in 0..AMENDMENTS_FOLLOWED_MAX {
        let ids: Vec<Uuid> = wanted.iter().filter(|id| asked.insert(**id)).map(|id| id.0).collect();
        if ids.is_empty() {
            break;
        }
        load::operations(transaction, caller, &ids, known).await?;
        wanted = ids
            .iter()
            .filter_map(|id| match known.operations.get(&OpId(*id))?.state {
                KnownState::Closed { by } => Some(by),
                _ => None,
            })
            .collect();
    }
    Ok(())
}

/// The verdict on an operation that must wait for one that it needs.
pub(crate) fn unmet(operation: &Operation, known: &Known) -> Option<Verdict> {
    let parent = EventId::from(unmet_need(operation, |op_id| known.fate(op_id))?);
    Some(Verdict::Said(Outcome::Waiting { parent }))
}

/// What is not there because its creation was taken back was refused with it.
pub(crate) fn blame(verdict: Verdict, operation: &Operation, known: &Known) -> Verdict {
    const ABSENT: [&str; 3] =
        [code::UNKNOWN_VEHICLE, code::UNKNOWN_RECORD, code::UNKNOWN_REFERENCE];
    let taken_back = || {
        operation.needs.iter().any(|need| {
            let state = known.operations.get(need).map(|one| one.state);
            matches!(state, Some(KnownState::Closed { .. }))
        })
    };
    match verdict {
        Verdict::Rejected(refused) if ABSENT.contains(&refused.code.as_str()) && taken_back() => {
            let message = "what it is about was itself refused or taken back";
            let rejection = Rejection {
                field: refused.field,
                ..Rejection::new(code::PARENT_REJECTED, message)
            };
            Verdict::Rejected(rejection)
        }
        verdict => verdict,
    }
}
