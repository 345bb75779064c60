//! Waiting for creations: an operation on a record that its device does not know accepted.

use std::collections::HashSet;

use deadpool_postgres::Transaction;
use motomind_protocol::wire::{Outcome, Rejection};
use motomind_protocol::{EventId, Identity, OpId, Operation, code};
use uuid::Uuid;

use super::judge::{CHAIN_LENGTH_MAX, Verdict};
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
    for _ in 0..CHAIN_LENGTH_MAX {
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

/// The verdict on an operation that must wait: one that it needs, or what took that one's place,
/// has not arrived or was refused.
pub(crate) fn unmet(operation: &Operation, known: &Known) -> Option<Verdict> {
    operation.needs.iter().find_map(|need| {
        let mut at = *need;
        for _ in 0..CHAIN_LENGTH_MAX {
            match known.operations.get(&at).map(|one| one.state) {
                Some(KnownState::Accepted { .. }) => return None,
                Some(KnownState::Closed { by }) if by != operation.op_id => at = by,
                Some(KnownState::Closed { .. }) => return None,
                Some(KnownState::Rejected) | None => {
                    let parent = EventId::from(at);
                    return Some(Verdict::Said(Outcome::Waiting { parent }));
                }
            }
        }
        None
    })
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
