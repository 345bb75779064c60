//! Splices of a text: made from two texts, and moved to where some of what came before is missing.

use std::collections::HashMap;

use similar::DiffOp;
use similar::algorithms::{Capture, Compact, Replace, myers};

use super::{Over, Splice};
use crate::limits::{OVER_BYTES_MAX, OVER_MAX};

/// Splices that one difference has at most; where there would be more, neighbours become one.
const SPLICES_MAX: usize = 100;

/// Letters of one text times letters of the other up to which they are compared letter by letter.
const LETTERS_COMPARED: usize = 500 * 500;

/// The same for words. Beyond, the difference is one splice.
const WORDS_COMPARED: usize = 4_000 * 4_000;

/// The splices that make one text of another: few, and found in bounded time.
///
/// Texts that differ much are compared word by word, and letter by letter within short stretches.
#[must_use]
pub fn difference(before: &str, after: &str) -> Vec<Splice> {
    let old: Vec<char> = before.chars().collect();
    let new: Vec<char> = after.chars().collect();
    let alike = |pairs: &mut dyn Iterator<Item = (&char, &char)>| {
        pairs.take_while(|(one, other)| one == other).count()
    };
    let front = alike(&mut old.iter().zip(&new));
    let (old_rest, new_rest) = (&old[front..], &new[front..]);
    let back = alike(&mut old_rest.iter().rev().zip(new_rest.iter().rev()));
    let (old_rest, new_rest) =
        (&old_rest[..old_rest.len() - back], &new_rest[..new_rest.len() - back]);
    let mut changes = Vec::new();
    compared(old_rest, new_rest, front, front, &mut changes);
    few(changes)
        .into_iter()
        .map(|change| Splice {
            at: change.at,
            delete: change.delete,
            insert: new[change.from..change.from + change.put].iter().collect(),
        })
        .collect()
}

/// A splice, what it puts in given by its place in the text after it.
#[derive(Clone, Copy)]
struct Changed {
    at: usize,
    delete: usize,
    from: usize,
    put: usize,
}

/// Compares two stretches of text that begin at these places.
fn compared(old: &[char], new: &[char], at: usize, from: usize, out: &mut Vec<Changed>) {
    if old.is_empty() || new.is_empty() || old.len() * new.len() > LETTERS_COMPARED {
        return words_compared(old, new, at, from, out);
    }
    let codes = |letters: &[char]| letters.iter().map(|one| u32::from(*one)).collect::<Vec<_>>();
    for op in myers_ops(&codes(old), &codes(new)) {
        let (DiffOp::Delete { .. } | DiffOp::Insert { .. } | DiffOp::Replace { .. }) = op else {
            continue;
        };
        let (old, new) = (op.old_range(), op.new_range());
        let (at, from) = (at + old.start, from + new.start);
        out.push(Changed { at, delete: old.len(), from, put: new.len() });
    }
}

fn words_compared(old: &[char], new: &[char], at: usize, from: usize, out: &mut Vec<Changed>) {
    if old.is_empty() && new.is_empty() {
        return;
    }
    let (old_words, new_words) = (words(old), words(new));
    if old_words.len().min(new_words.len()) <= 1
        || old_words.len() * new_words.len() > WORDS_COMPARED
    {
        out.push(Changed { at, delete: old.len(), from, put: new.len() });
        return;
    }
    let (mut old_at, mut new_at) = (0, 0);
    let mut known = HashMap::new();
    let mut numbers = |words: &[&[char]]| -> Vec<u32> {
        let number = |word: &&[char]| {
            let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
            *known.entry(word.to_vec()).or_insert(next)
        };
        words.iter().map(number).collect()
    };
    let (old_numbers, new_numbers) = (numbers(&old_words), numbers(&new_words));
    for op in myers_ops(&old_numbers, &new_numbers) {
        let letters = |words: &[&[char]]| words.iter().map(|word| word.len()).sum::<usize>();
        let old_len = letters(&old_words[op.old_range()]);
        let new_len = letters(&new_words[op.new_range()]);
        let (old, new) = (&old[old_at..old_at + old_len], &new[new_at..new_at + new_len]);
        let (at, from) = (at + old_at, from + new_at);
        (old_at, new_at) = (old_at + old_len, new_at + new_len);
        match op {
            DiffOp::Equal { .. } => {}
            DiffOp::Replace { .. } if old_len * new_len <= LETTERS_COMPARED => {
                compared(old, new, at, from, out);
            }
            _ => out.push(Changed { at, delete: old_len, from, put: new_len }),
        }
    }
}

/// What turns one row of numbers into another. Letters and words both come as numbers, so that a
/// browser loads this once.
fn myers_ops(old: &[u32], new: &[u32]) -> Vec<DiffOp> {
    let mut ops = Compact::new(Replace::new(Capture::new()), old, new);
    match myers::diff(&mut ops, old, 0..old.len(), new, 0..new.len()) {
        Ok(()) => ops.into_inner().into_inner().into_ops(),
        Err(never) => match never {},
    }
}

/// Words, and what is between them.
fn words(text: &[char]) -> Vec<&[char]> {
    text.chunk_by(|one, other| one.is_alphanumeric() && other.is_alphanumeric()).collect()
}

/// Makes one of changes that are near each other, until there are few: the letters between them
/// are taken out and put in again.
fn few(mut changes: Vec<Changed>) -> Vec<Changed> {
    let mut near = 1;
    while changes.len() > SPLICES_MAX {
        near *= 2;
        changes = changes.into_iter().fold(Vec::new(), |mut joined: Vec<Changed>, next| {
            match joined.last_mut() {
                Some(last) if next.at - (last.at + last.delete) <= near => {
                    last.delete = next.at + next.delete - last.at;
                    last.put = next.from + next.put - last.from;
                }
                _ => joined.push(next),
            }
            joined
        });
    }
    changes
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
    let mut traced = Traced::default();
    for (earlier, there) in over {
        traced.follow(earlier, there)?;
    }
    traced.moved(splices)
}

/// A text as a person saw it after some splices, and what of it is there.
#[derive(Clone)]
pub(super) struct Traced {
    stretches: Vec<Stretch>,
}

impl Default for Traced {
    /// The first text, as it is. Its length is not known here; whoever applies splices knows it.
    fn default() -> Self {
        Self { stretches: vec![Stretch { len: usize::MAX / 4, seen: true, there: true }] }
    }
}

impl Traced {
    /// Follows the person through splices of theirs, which are there or not.
    pub(super) fn follow(&mut self, splices: &[Splice], there: bool) -> Option<()> {
        self.stretches = follow(&self.stretches, splices, there)?;
        Some(())
    }

    /// Splices of the text as it was seen, in the text as it is.
    pub(super) fn moved(&self, splices: &[Splice]) -> Option<Vec<Splice>> {
        let mut moved = Vec::with_capacity(splices.len());
        let stretches = &self.stretches;
        let mut cursor = Cursor { stretches, index: 0, within: 0, there: 0, seen: 0 };
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
}

/// Makes a list of earlier changes of one text shorter: the oldest ones become one, in the name of
/// the newest of them, until there are at most [`OVER_MAX`], which put in at most
/// [`OVER_BYTES_MAX`] or are one alone.
///
/// What became of the others of that one is then not told apart any more. The server finds out from
/// the text itself: see [`super::take`].
///
/// `base` is the text that the first of them counts in.
#[must_use]
pub fn folded(base: &str, mut over: Vec<Over>) -> Vec<Over> {
    let mut bytes: usize = over.iter().map(bytes_in).sum();
    let mut fold = 0;
    while over.len() - fold > OVER_MAX || (bytes > OVER_BYTES_MAX && over.len() - fold > 1) {
        bytes -= over.get(fold).map_or(0, bytes_in);
        fold += 1;
    }
    if fold == 0 {
        return over;
    }
    let old: Vec<Over> = over.drain(..=fold).collect();
    let after = old.iter().try_fold(base.to_string(), |words, over| spliced(&words, &over.splices));
    if let (Some(after), Some(newest)) = (after, old.last()) {
        over.insert(0, Over { op_id: newest.op_id, splices: difference(base, &after) });
    }
    over
}

fn bytes_in(over: &Over) -> usize {
    over.splices.iter().map(|splice| splice.insert.len()).sum()
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
                join(out, stretch);
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
                join(out, stretch);
            }
        }
        Some(())
    };
    for splice in splices {
        pass(splice.at.checked_sub(at)?, &mut rest, &mut out, false)?;
        let len = splice.insert.chars().count();
        if len > 0 {
            join(&mut out, Stretch { len, seen: true, there });
        }
        pass(splice.delete, &mut rest, &mut out, true)?;
        at = splice.at.checked_add(splice.delete)?;
    }
    rest.into_iter().for_each(|stretch| join(&mut out, stretch));
    Some(out)
}

/// Adds a stretch behind others, as part of the last one where nothing tells them apart.
fn join(stretches: &mut Vec<Stretch>, next: Stretch) {
    match stretches.last_mut() {
        Some(last) if (last.seen, last.there) == (next.seen, next.there) => {
            last.len = last.len.saturating_add(next.len);
        }
        _ => stretches.push(next),
    }
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
