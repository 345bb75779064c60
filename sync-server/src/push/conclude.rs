//! The end of a sitting: verdicts become outcomes, and outcomes are kept.

use deadpool_postgres::Transaction;
use motomind_protocol::code;
use motomind_protocol::wire::{OpOutcome, Outcome, Rejection};
use uuid::Uuid;

use super::Sitting;
use super::judge::Verdict;
use super::read::{Content, Item};
use super::store::{self, Numbers, Settled};
use crate::error::Error;

impl Sitting<'_> {
    /// Turns verdicts into outcomes and keeps them.
    pub(super) async fn conclude(
        &self,
        transaction: &Transaction<'_>,
        numbers: &Numbers,
        head: u64,
    ) -> Result<Vec<OpOutcome>, Error> {
        let mut outcomes = Vec::with_capacity(self.batch.items.len());
        let mut settled = Vec::new();
        for (place, item) in self.batch.items.iter().enumerate() {
            let outcome = self.outcome(place, item, numbers, head)?;
            self.keep(transaction, place, item, &outcome, &mut settled).await?;
            outcomes.push(OpOutcome { op_id: item.op_id, outcome });
        }
        // An operation sent twice in one batch has one lasting outcome: the better one.
        settled.sort_by_key(|one| (one.sealed.op_id, one.seq.is_none()));
        settled.dedup_by_key(|one| one.sealed.op_id);
        store::settle(transaction, self.bench.caller.tenant_id, &settled).await?;
        Ok(outcomes)
    }

    fn outcome(
        &self,
        place: usize,
        item: &Item,
        numbers: &Numbers,
        head: u64,
    ) -> Result<Outcome, Error> {
        let numbered = |kind: &str, id: Uuid| {
            let seq = numbers.get(&(kind.to_string(), id)).copied();
            seq.ok_or_else(|| Error::Internal(format!("{kind} {id} got no sequence")))
        };
        match &item.content {
            Content::Refused(rejection) | Content::Quarantined(_, _, rejection) => {
                return Ok(Outcome::Rejected(rejection.clone()));
            }
            Content::Operation(_) => {}
        }
        let id = item.op_id.map_or_else(Uuid::nil, |op| op.0);
        match &self.verdicts[place] {
            Some(Verdict::Said(outcome)) => Ok(outcome.clone()),
            Some(Verdict::Rejected(rejection)) => Ok(Outcome::Rejected(rejection.clone())),
            Some(Verdict::Accepted { flags, .. }) => {
                Ok(Outcome::Accepted { seq: numbered("event", id)?, flags: flags.clone() })
            }
            Some(Verdict::Stated { kind }) => {
                Ok(Outcome::Accepted { seq: numbered(kind, id)?, flags: Vec::new() })
            }
            Some(Verdict::Recorded { is_logged, flags }) => {
                let seq = if *is_logged { numbered("record", id)? } else { head };
                Ok(Outcome::Accepted { seq, flags: flags.clone() })
            }
            Some(Verdict::NothingToRetract) => Ok(Outcome::Accepted {
                seq: self.closing_seq(place, numbers, head)?,
                flags: Vec::new(),
            }),
            Some(Verdict::Repeated) => {
                let accepted = (0..place).find(|earlier| {
                    let verdict = &self.verdicts[*earlier];
                    self.batch.items[*earlier].op_id == item.op_id
                        && matches!(
                            verdict,
                            Some(
                                Verdict::Accepted { .. }
                                    | Verdict::Stated { .. }
                                    | Verdict::NothingToRetract
                                    | Verdict::Recorded { .. }
                            )
                        )
                });
                let accepted = accepted
                    .ok_or_else(|| Error::Internal(format!("{id} was not accepted before")))?;
                let first = &self.batch.items[accepted];
                match self.outcome(accepted, first, numbers, head)? {
                    Outcome::Accepted { seq, .. } => Ok(Outcome::Duplicate { seq }),
                    other => Ok(other),
                }
            }
            None => Err(Error::Internal(format!("{id} was not judged"))),
        }
    }

    /// The sequence of what a discard has closed; the head, where there was nothing to close.
    fn closing_seq(&self, place: usize, numbers: &Numbers, head: u64) -> Result<u64, Error> {
        let Some(closed) = self.closed[place] else {
            return Ok(head);
        };
        let seq = numbers.get(&("closed".to_string(), closed.0)).copied();
        seq.ok_or_else(|| Error::Internal("a closing got no sequence".into()))
    }

    async fn keep<'b>(
        &self,
        transaction: &Transaction<'_>,
        place: usize,
        item: &'b Item,
        outcome: &Outcome,
        settled: &mut Vec<Settled<'b>>,
    ) -> Result<(), Error> {
        let device = self.batch.device_id;
        let (sealed, operation) = match &item.content {
            Content::Operation(received) => (&received.sealed, Some(&received.operation)),
            Content::Quarantined(sealed, operation, _) => (sealed, operation.as_deref()),
            Content::Refused(_) => return Ok(()),
        };
        if matches!(outcome, Outcome::Rejected(_) | Outcome::OpIdReused { .. }) {
            store::quarantine(transaction, self.bench, device, sealed, outcome).await?;
        }
        let came_late = |rejection: &Rejection| rejection.code == code::SUPERSEDED;
        let judged = match &self.verdicts[place] {
            Some(Verdict::Said(Outcome::Rejected(rejection))) => came_late(rejection),
            Some(Verdict::Said(_) | Verdict::Repeated) => false,
            _ => true,
        };
        let seq = match outcome {
            Outcome::Accepted { seq, .. } => Some(*seq),
            Outcome::Rejected(_) => None,
            _ => return Ok(()),
        };
        if let Some(operation) = operation.filter(|_| judged) {
            let has_event = matches!(self.verdicts[place], Some(Verdict::Accepted { .. }));
            settled.push(Settled { sealed, operation, seq, has_event });
        }
        Ok(())
    }
}
