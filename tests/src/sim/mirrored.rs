//! Whether a phone's mirror is what the server's log says of events; of records: `record_oracle`.

use motomind_core::TimelineEntry;
use motomind_protocol::EventId;

use super::phone::Phone;
use super::tenant::Tenant;
use super::timeline::{effective_events, root_of};
use super::world::Checked;

/// Compares a mirror that has caught up with the server it mirrors: the events, which of them
/// count.
///
/// # Errors
/// How they differ.
pub fn mirrored(phone: &Phone, tenant: &Tenant) -> Checked {
    let entries = phone.timeline()?;
    let counting = effective_events(&tenant.events, None);
    if entries.len() != tenant.events.len() {
        let missing = |id: &&EventId| entries.iter().all(|entry| entry.event_id != **id);
        let missing: Vec<_> = tenant.events.keys().filter(missing).collect();
        let extra = |id: &EventId| !tenant.events.contains_key(id);
        let extra: Vec<_> = entries.iter().map(|e| e.event_id).filter(extra).collect();
        return Err(format!("lacks {missing:?} and has {extra:?} more"));
    }
    for entry in &entries {
        let id = entry.event_id;
        let record = entry.record().map_err(|error| error.to_string())?;
        if tenant.events.get(&id) != Some(&(entry.seq.unwrap_or(0), record)) {
            return Err(format!("has another {id} than the server"));
        }
        if entry.hidden == counting.contains(&id) {
            let hidden = entry.hidden;
            let why = family(&entries, tenant, id);
            return Err(format!("has {id} hidden: {hidden}, the server otherwise{why}"));
        }
    }
    Ok(())
}

/// A family on both sides, for whoever reads about the difference.
fn family(entries: &[TimelineEntry], tenant: &Tenant, id: EventId) -> String {
    let root = |id: &EventId| {
        let event = tenant.events.get(id);
        event.map(|(_, record)| root_of(&tenant.events, record))
    };
    let mut text = String::new();
    for entry in entries.iter().filter(|e| root(&e.event_id) == root(&id)) {
        let there = tenant.events.get(&entry.event_id);
        text += &format!(
            "\n  {} {} seq {:?} {:?} hidden {} corrects {:?}; on the server {:?}",
            entry.event_id,
            entry.kind,
            entry.seq,
            entry.state,
            entry.hidden,
            entry.corrects,
            there.map(|(seq, record)| (seq, record.corrects))
        );
    }
    text
}
