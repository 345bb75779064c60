//! Where events happened: what people say instead of what was measured, and what is known of it.

use motomind_protocol::place::{
    CorrectionMethod, Extraction, LocationCorrection, Place, counting, measured, place,
};
use motomind_protocol::position::Decision;
use motomind_protocol::{DeviceId, Event, EventId, Millis, OpId, OpState, UserId};
use serde::{Deserialize, Serialize};

use crate::device::Device;
use crate::error::{CaptureError, StoreError};
use crate::fact::{Captured, Clock};
use crate::mirror::statements::Told;
use crate::{journal, mirror, overlay};

/// Where a person says that an event happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct LocationSaid {
    /// Degrees, −90..=90.
    pub latitude: f64,
    /// Degrees, −180..=180.
    pub longitude: f64,
    /// How they said it.
    pub method: CorrectionMethod,
    /// The place in words.
    #[serde(default)]
    pub address: Option<String>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// How the address came about.
    #[serde(default)]
    pub extraction: Option<Extraction>,
}

/// What is known of where an event happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct PlaceShown {
    /// As everyone shows it.
    pub place: Option<Place>,
    /// As it was measured.
    pub measured: Option<Place>,
    /// Which source was chosen at capture, by which rule, and whether the person should say.
    pub decision: Option<Decision>,
    /// What people said, the oldest first.
    pub corrections: Vec<CorrectionShown>,
}

/// What a person said of where an event happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct CorrectionShown {
    /// What they said.
    pub said: LocationCorrection,
    /// The operation; absent for another SQL client's.
    pub op_id: Option<OpId>,
    /// Where it stands. A refused one changes nothing but is shown.
    pub state: OpState,
    /// It is the one that counts.
    pub counts: bool,
    /// Who said it.
    pub user_id: Option<UserId>,
    /// On which device.
    pub device_id: Option<DeviceId>,
    /// When the server received it; for this device's own until then, when it was said. UTC ms.
    pub said_at: Millis,
}

impl Device {
    /// Says where an event happened. What was measured stays, and so does what others said.
    ///
    /// # Errors
    /// [`CaptureError::UnknownOperation`] for an event that this device does not know,
    /// [`CaptureError::Invalid`].
    pub fn correct_location(
        &mut self,
        event: EventId,
        said: LocationSaid,
        clock: impl Into<Clock>,
    ) -> Result<Captured, CaptureError> {
        let known = self.event_for_statements(event)?;
        let of_it = self.shown_and_root(known.id, known.id)?;
        let (shown, root) = of_it.unwrap_or((known.clone(), None));
        let source = match (measured(&shown), root) {
            (None, Some(root)) => root,
            _ => shown,
        };
        let at = (said.latitude, said.longitude);
        let correction = LocationCorrection {
            event_id: known.id,
            address: said.address,
            reason: said.reason,
            extraction: said.extraction,
            ..LocationCorrection::new(&source, at, said.method)
        };
        let op_id = self.state_place(correction, clock.into())?;
        Ok(Captured { op_id, duplicate: false, warnings: Vec::new() })
    }

    /// Takes back what was said of where an event happened: the measured place counts again.
    ///
    /// # Errors
    /// As [`Device::correct_location`]; [`CaptureError::UnknownOperation`] also where nobody has
    /// said anything that counts.
    pub fn withdraw_location(
        &mut self,
        event: EventId,
        reason: impl Into<String>,
        clock: impl Into<Clock>,
    ) -> Result<Captured, CaptureError> {
        let known = self.event_for_statements(event)?;
        let told = self.corrections_of(known.id)?;
        let said = counting(told.iter().filter_map(Told::counts)).filter(|said| !said.withdrawn);
        let withdrawal = LocationCorrection {
            event_id: known.id,
            withdrawn: true,
            reason: Some(reason.into()),
            ..said.ok_or(CaptureError::UnknownOperation)?.clone()
        };
        let op_id = self.state_place(withdrawal, clock.into())?;
        Ok(Captured { op_id, duplicate: false, warnings: Vec::new() })
    }

    /// What is known of where an event happened; `None` for one that this device does not know.
    ///
    /// # Errors
    /// [`StoreError`] when the files cannot be read.
    pub fn place(&self, event: EventId) -> Result<Option<PlaceShown>, StoreError> {
        overlay::catch_up(self)?;
        let asked = event;
        let event = journal::stands_for(&self.conn, event)?;
        let Some((shown, root)) = self.shown_and_root(asked, event)? else { return Ok(None) };
        let told = self.corrections_of(event)?;
        let counts = counting(told.iter().filter_map(Told::counts));
        let place_by = |corrections: &[Told<LocationCorrection>]| {
            place(&shown, root.as_ref(), corrections.iter().filter_map(Told::counts))
        };
        let decided = shown.position.clone().or_else(|| root.as_ref()?.position.clone());
        let corrections = told.iter().map(|one| CorrectionShown {
            counts: counts.is_some_and(|said| std::ptr::eq(said, &one.stated.said)),
            said: one.stated.said.clone(),
            op_id: one.stated.op_id,
            state: one.state,
            user_id: one.stated.user_id,
            device_id: one.stated.device_id,
            said_at: one.stated.received_at,
        });
        Ok(Some(PlaceShown {
            place: place_by(&told),
            measured: place_by(&[]),
            decision: decided,
            corrections: corrections.collect(),
        }))
    }

    /// Of an event's family the one that counts, and the first. Where none counts the one asked
    /// for, which everyone knows by that name, and not what took its place on this device: that may
    /// be a retraction, which says where it was made.
    fn shown_and_root(
        &self,
        asked: EventId,
        event: EventId,
    ) -> Result<Option<(Event, Option<Event>)>, StoreError> {
        let family = self.noting_damage(mirror::family_of(&self.conn, event))?;
        let Some(family) = family else { return Ok(None) };
        let read = |id: EventId| {
            let member = family.members.iter().find(|one| one.entry.event_id == id);
            member.map(|one| one.entry.record().map(|record| record.event)).transpose()
        };
        let root = read(family.root)?;
        let shown = match family.counts {
            Some(counts) => read(counts)?,
            None => match read(asked)? {
                None => root.clone().or(read(event)?),
                asked => asked,
            },
        };
        Ok(shown.map(|shown| (shown, root)))
    }
}
