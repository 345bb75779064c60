//! Which of an event and its corrections counts.
//!
//! A correction names the event it corrects; chains lead to one *root*. Of a root and everything
//! that corrects it, directly or through a chain, the one with the highest server sequence that
//! is not itself retracted counts. Retracting the root takes the whole family out.
//!
//! ```text
//!   effective(family) = none                                  if the root is retracted
//!                     = argmax seq { e ∈ family, not retracted }  otherwise
//! ```

use crate::EventId;

/// One member of a family: the root or one of its corrections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The event.
    pub event_id: EventId,
    /// The server's sequence; `u64::MAX` for one of this device's that has none yet.
    pub seq: u64,
    /// A retraction names it.
    pub retracted: bool,
}

/// The member that counts, if one does. `root` is the first event; it need not be in `family`
/// again. Ties (several without a sequence) go to the younger id.
#[must_use]
pub fn effective(root: Member, corrections: &[Member]) -> Option<EventId> {
    if root.retracted {
        return None;
    }
    corrections
        .iter()
        .filter(|member| !member.retracted)
        .max_by_key(|member| (member.seq, member.event_id))
        .map_or(Some(root.event_id), |member| Some(member.event_id))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn member(id: u128, seq: u64, retracted: bool) -> Member {
        Member { event_id: EventId(Uuid::from_u128(id)), seq, retracted }
    }

    proptest! {
        /// Law: the order in which corrections become known does not matter.
        #[test]
        fn order_of_arrival_is_irrelevant(
            root_retracted: bool,
            mut seqs in prop::collection::vec((1u64..9, any::<bool>()), 0..8),
            rotation in 0usize..8,
        ) {
            let family = |seqs: &[(u64, bool)]| -> Vec<Member> {
                seqs.iter().map(|&(seq, out)| member(u128::from(seq) + 10, seq, out)).collect()
            };
            let root = member(1, 0, root_retracted);
            let one = effective(root, &family(&seqs));
            if !seqs.is_empty() {
                let by = rotation % seqs.len();
                seqs.rotate_left(by);
            }
            prop_assert_eq!(one, effective(root, &family(&seqs)));
        }
    }

    #[test]
    fn the_latest_standing_correction_counts() {
        let root = member(1, 1, false);
        let family = [member(2, 5, false), member(3, 9, true), member(4, 7, false)];
        assert_eq!(effective(root, &family), Some(EventId(Uuid::from_u128(4))));
        assert_eq!(effective(root, &[]), Some(root.event_id));
        assert_eq!(effective(member(1, 1, true), &family), None);
    }
}
