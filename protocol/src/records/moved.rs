//! Where the splices of an edit are done.

use serde_json::Value;

use super::document::Document;
use super::intent::{Splice, TextEdit};
use super::merge::Circumstances;
use super::text;
use crate::Hash;

/// The splices of an edit as they count in the text at the heads that the person saw and this
/// device's last change, which is where they are done.
///
/// Mostly that is the text they saw without what of `over` was refused. It is not where a later
/// edit of this device has overtaken this one, which had rested or waited: what that put in was
/// never seen, and is passed over. Nor is it where several of `over` were folded into one, of which
/// some were refused.
pub(super) fn moved(
    document: &Document,
    name: &str,
    heads: &[Hash],
    edit: &TextEdit,
    around: &Circumstances<'_>,
) -> Option<Vec<Splice>> {
    let own = document.last_by(around.signature.actor);
    // A document that has begun again may have what this device did under another one's name.
    let accepted = edit.over.iter().any(|over| around.accepted.contains(&over.op_id));
    let known = heads.iter().all(|head| document.knows(head));
    let at_heads = (known && (own.is_some() || accepted)).then(|| text_at(document, name, heads));
    let mut traced = text::Traced::default();
    // What should be there, if each of `over` that was accepted is there and the others are not.
    let mut expected = at_heads.clone();
    for over in &edit.over {
        let accepted = around.accepted.contains(&over.op_id);
        if accepted && let Some(words) = &expected {
            expected = text::spliced(words, &traced.moved(&over.splices)?);
        }
        traced.follow(&over.splices, accepted)?;
    }
    let splices = traced.moved(&edit.splices)?;
    let Some(at_heads) = at_heads else { return Some(splices) };
    let own = own.map(|own| Hash(own.0));
    let at_own: Vec<Hash> = heads.iter().copied().chain(own).collect();
    let there = text_at(document, name, &at_own);
    if expected.as_ref() == Some(&there) {
        return Some(splices);
    }
    let mut over = edit.over.iter();
    let seen = over.try_fold(at_heads, |words, over| text::spliced(&words, &over.splices));
    let Some(seen) = seen else { return Some(splices) };
    let between = text::difference(&there, &seen);
    text::rebase([(between.as_slice(), false)], &edit.splices)
}

fn text_at(document: &Document, name: &str, heads: &[Hash]) -> String {
    let fields = document.fields_at(heads);
    fields.get(name).and_then(Value::as_str).unwrap_or_default().to_string()
}
