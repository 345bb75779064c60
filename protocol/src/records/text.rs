//! Splices of a text: made from two texts, and moved to where some of what came before is missing.

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::Splice;

/// The splices that make one text of another.
#[must_use]
pub fn difference(before: &str, after: &str) -> Vec<Splice> {
    let old: Vec<char> = before.chars().collect();
    let new: Vec<char> = after.chars().collect();
    let put_in = |from: usize, len: usize| new[from..from + len].iter().collect::<String>();
    capture_diff_slices(Algorithm::Myers, &old, &new)
        .into_iter()
        .filter_map(|op| match op {
            DiffOp::Equal { .. } => None,
            DiffOp::Delete { old_index, old_len, .. } => {
                Some(Splice { at: old_index, delete: old_len, insert: String::new() })
            }
            DiffOp::Insert { old_index, new_index, new_len } => {
                Some(Splice { at: old_index, delete: 0, insert: put_in(new_index, new_len) })
            }
            DiffOp::Replace { old_index, old_len, new_index, new_len } => {
                let insert = put_in(new_index, new_len);
                Some(Splice { at: old_index, delete: old_len, insert })
            }
        })
        .collect()
}

/// The text with splices done; `None` where they are out of range, overlap or do not ascend.
#[must_use]
pub fn spliced(text: &str, splices: &[Splice]) -> Option<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for splice in splices {
        let end = splice.at.checked_add(splice.delete)?;
        out.extend(chars.get(at..splice.at)?);
        out.push_str(&splice.insert);
        at = end;
    }
    out.extend(chars.get(at..)?);
    Some(out)
}

/// A stretch of the text as it is followed through earlier splices.
#[derive(Clone, Copy)]
struct Stretch {
    len: usize,
    /// The person saw it.
    seen: bool,
    /// It is in the text that the splices are moved to.
    there: bool,
}

/// Moves splices from a text that a person saw to the text as it is, of which some of their
/// earlier splices never became part.
///
/// `over` lists those earlier splices, oldest first, with whether they are there. What a missing
/// one put in is passed over; what it took out is there still, and stays.
///
/// Returns `None` where splices do not ascend or reach beyond what an earlier one left.
#[must_use]
pub fn rebase<'a>(
    over: impl IntoIterator<Item = (&'a [Splice], bool)>,
    splices: &[Splice],
) -> Option<Vec<Splice>> {
    // The length of the first text is not known here; whoever applies the result knows it.
    let mut stretches = vec![Stretch { len: usize::MAX / 4, seen: true, there: true }];
    for (earlier, there) in over {
        stretches = follow(&stretches, earlier, there)?;
    }
    let mut moved = Vec::with_capacity(splices.len());
    let mut cursor = Cursor { stretches: &stretches, index: 0, within: 0, there: 0, seen: 0 };
    for splice in splices {
        cursor.pass(splice.at.checked_sub(cursor.seen)?, |_, _| {})?;
        let mut pieces =
            vec![Splice { at: cursor.there, delete: 0, insert: splice.insert.clone() }];
        cursor.pass(splice.delete, |at, count| {
            // What a missing splice took out lies between and stays: one piece on each side.
            match pieces.last_mut() {
                Some(last) if last.at + last.delete == at => last.delete += count,
                _ => pieces.push(Splice { at, delete: count, insert: String::new() }),
            }
        })?;
        moved.extend(pieces);
    }
    Some(moved)
}

fn follow(stretches: &[Stretch], splices: &[Splice], there: bool) -> Option<Vec<Stretch>> {
    let mut out = Vec::with_capacity(stretches.len() + 2 * splices.len());
    let mut rest = stretches.iter().copied().collect::<std::collections::VecDeque<_>>();
    let mut at = 0; // in the text as it was seen before these splices
    let pass = |count: usize,
                rest: &mut std::collections::VecDeque<Stretch>,
                out: &mut Vec<Stretch>,
                deleting: bool| {
        let mut left = count;
        while left > 0 {
            let mut stretch = rest.pop_front()?;
            if !stretch.seen {
                out.push(stretch);
                continue;
            }
            if stretch.len > left {
                rest.push_front(Stretch { len: stretch.len - left, ..stretch });
                stretch.len = left;
            }
            left -= stretch.len;
            if deleting {
                stretch.seen = false;
                stretch.there &= !there;
            }
            if stretch.seen || stretch.there {
                out.push(stretch);
            }
        }
        Some(())
    };
    for splice in splices {
        pass(splice.at.checked_sub(at)?, &mut rest, &mut out, false)?;
        let len = splice.insert.chars().count();
        if len > 0 {
            out.push(Stretch { len, seen: true, there });
        }
        pass(splice.delete, &mut rest, &mut out, true)?;
        at = splice.at.checked_add(splice.delete)?;
    }
    out.extend(rest);
    Some(out)
}

/// A place in both texts at once.
struct Cursor<'a> {
    stretches: &'a [Stretch],
    index: usize,
    within: usize,
    there: usize,
    seen: usize,
}

impl Cursor<'_> {
    /// Passes so many seen characters, and tells where those of them are that are there.
    fn pass(&mut self, count: usize, mut there: impl FnMut(usize, usize)) -> Option<()> {
        let mut left = count;
        while left > 0 {
            let stretch = self.stretches.get(self.index)?;
            let rest = stretch.len - self.within;
            let step = if stretch.seen { rest.min(left) } else { rest };
            if stretch.seen && stretch.there {
                there(self.there, step);
            }
            if stretch.there {
                self.there += step;
            }
            if stretch.seen {
                self.seen += step;
                left -= step;
            }
            self.within += step;
            if self.within == stretch.len {
                self.index += 1;
                self.within = 0;
            }
        }
        Some(())
    }
}
