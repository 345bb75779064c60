//! Other programs' files.

use std::io::Read as _;
use std::sync::Arc;

use chrono::{FixedOffset, MappedLocalTime, NaiveDateTime};
use motomind_core::Capture;
use motomind_core::import::fuelio;
use motomind_core::protocol::VehicleId;

use super::{MotoMind, ended};
use crate::clock::threads;
use crate::failure::MotoMindError;
use crate::files::Source;
use crate::hooks::{ZoneRules, note};
use crate::types::Imported;

#[uniffi::export]
impl MotoMind {
    /// Captures what a Fuelio export holds. `timezone` is the IANA name of the zone that the file's
    /// times are in, `rules` how far it is from UTC.
    ///
    /// # Errors
    /// `Host` where the file cannot be read, `Malformed` where it is none of Fuelio's.
    pub async fn import_fuelio(
        &self,
        source: Source,
        vehicle: VehicleId,
        timezone: String,
        rules: Arc<dyn ZoneRules>,
        currency: Option<String>,
    ) -> Result<Imported, MotoMindError> {
        let (mut file, shared) = (source.open()?, self.shared.clone());
        let importing = threads()?.spawn_blocking(move || {
            let mut bytes = Vec::new();
            // One byte more than is read tells that there is too much.
            let most = fuelio::FILE_BYTES_MAX as u64 + 1;
            file.by_ref().take(most).read_to_end(&mut bytes)?;
            let offset = |local: &NaiveDateTime| offsets(&*rules, local);
            let zone = fuelio::Zone { name: &timezone, offset: &offset };
            let options = fuelio::Options { currency, ..fuelio::Options::new(vehicle, zone) };
            let import = fuelio::read(&bytes, &options)?;
            let captures = import.drafts.into_iter().map(|draft| Capture::from(draft.event));
            let captures: Vec<Capture> = captures.collect();
            let results =
                shared.with_device(|device, clock| Ok(device.capture_all(captures, clock)?))?;
            let taken = results.iter().flatten();
            let (known, new): (Vec<_>, Vec<_>) = taken.partition(|captured| captured.duplicate);
            let lines = |notes: &[fuelio::RowNote]| notes.iter().map(|note| note.line).collect();
            Ok(Imported {
                new: new.len() as u64,
                known: known.len() as u64,
                failed: (results.len() - new.len() - known.len()) as u64,
                refused_lines: lines(&import.report.refused),
                skipped_lines: lines(&import.report.skipped),
            })
        });
        ended(importing.await)
    }
}

fn offsets(rules: &dyn ZoneRules, local: &NaiveDateTime) -> MappedLocalTime<FixedOffset> {
    let told = rules.offsets_minutes(local.format("%Y-%m-%dT%H:%M:%S").to_string());
    let told = told.unwrap_or_else(|error| {
        note("the zone's rules", &error);
        Vec::new()
    });
    let zone = |minutes: &i32| FixedOffset::east_opt(minutes.saturating_mul(60));
    let mut zones = told.iter().filter_map(zone);
    match (zones.next(), zones.next()) {
        (Some(first), Some(second)) => MappedLocalTime::Ambiguous(first, second),
        (Some(only), None) => MappedLocalTime::Single(only),
        (None, _) => MappedLocalTime::None,
    }
}
