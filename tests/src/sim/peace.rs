//! After the trouble: everything heals, people see to what was refused, and there must be quiet.

use motomind_core::UploadState;
use motomind_protocol::{Millis, OpState};

use super::network::{Partition, Weather};
use super::server::Ailments;
use super::world::{Checked, World};

const MINUTE_MS: Millis = 60_000;
const HOUR_MS: Millis = 60 * MINUTE_MS;

impl World {
    /// Everything works, and every phone is on.
    ///
    /// # Errors
    /// A violated invariant.
    pub(super) fn calm(&mut self) -> Checked {
        self.network.weather = Weather::default();
        for index in 0..self.phones.len() {
            self.phones[index].partition = Partition::None;
            self.phones[index].disk.crash_at(None);
            if self.phones[index].disk.power_is_out() {
                self.lose_power(index);
            }
            while self.phones[index].device.is_none() {
                self.switch_on(index)?;
            }
            self.sign_in(index, 400 * 24 * HOUR_MS)?;
        }
        Ok(())
    }

    /// Everything heals; people see to what was refused; then there must be quiet, soon.
    ///
    /// # Errors
    /// A violated invariant, or what is not quiet.
    pub(super) fn find_peace(&mut self) -> Checked {
        let reverses_pushes = self.server.ailments.reverses_pushes;
        self.server.ailments = Ailments { reverses_pushes, ..Ailments::default() };
        self.bring_vehicles_back();
        self.calm()?;
        self.note(|| "peace".into());
        for minute in 0..5 * 60 {
            for index in 0..self.phones.len() {
                if self.phones[index].device.is_none() {
                    self.switch_on(index)?;
                }
                self.poll(index)?;
                self.see_to_refused(index, minute > 60)?;
                self.see_to_refused_pictures(index)?;
            }
            self.advance(self.now + MINUTE_MS)?;
            if self.is_quiet()? {
                self.note(|| "quiet".into());
                if self.compare_custody()? {
                    return Ok(());
                }
            }
        }
        Err(format!("no quiet within five hours: {}", self.unrest()?))
    }

    /// Every phone asks what the server holds of its journal: it holds everything, but for pictures
    /// that a restore took. Whether those are there, too.
    fn compare_custody(&mut self) -> Checked<bool> {
        let before = self.now;
        for index in 0..self.phones.len() {
            if let Some(device) = self.phones[index].device.as_mut() {
                device.compare_custody();
            }
            self.ask(index)?;
        }
        self.advance(self.now + MINUTE_MS)?;
        let mut has_photos = true;
        for (index, phone) in self.phones.iter().enumerate() {
            let report = phone.device.as_ref().and_then(|device| device.custody());
            let report = report.filter(|report| report.compared_at >= phone.clock(before));
            let Some(report) = report else {
                return Err(format!("phone {index} was not told what the server holds of it"));
            };
            let split = self.editors.split.contains(&phone.identity.user_id);
            if !report.offered_again.is_empty() || (report.chains_differ && !split) {
                return Err(format!("phone {index} misses its own on the server: {report:?}"));
            }
            if !report.photos_again.is_empty() && !self.server.has_lost_pictures() {
                return Err(format!("phone {index} was told of a photo that is lost: {report:?}"));
            }
            // A phone that came back from an older backup, or has a twin, may have told of photos
            // whose bytes went with what was lost.
            if !report.photos_lost.is_empty() && !split {
                return Err(format!("photos of phone {index} are nowhere: {report:?}"));
            }
            has_photos &= report.photos_again.is_empty();
        }
        Ok(has_photos)
    }

    fn see_to_refused(&mut self, index: usize, only_discard: bool) -> Checked {
        // What waits for an event that a restore of the server lost waits for ever.
        let states: &[OpState] = match only_discard {
            false => &[OpState::Rejected],
            true => &[OpState::Rejected, OpState::Waiting],
        };
        for op in self.pending_as(index, states)? {
            let discard = only_discard || self.dice.permille(500);
            match self.editors.edit(op).is_some() {
                true => self.see_to_edit(index, op, discard, only_discard)?,
                false if self.ledger.statement(op).is_some() => {
                    self.take_back_statement(index, op)?;
                }
                false => self.mend_one(index, op, discard)?,
            }
        }
        Ok(())
    }

    fn is_quiet(&self) -> Checked<bool> {
        Ok(self.network.is_empty() && self.unrest()?.is_empty())
    }

    /// What is not quiet yet.
    fn unrest(&self) -> Checked<String> {
        let head = self.server.tenant.log.head();
        let mut unrest = String::new();
        if self.server.tenant.records.is_behind() {
            unrest += "rows wait to be absorbed\n";
        }
        for (index, phone) in self.phones.iter().enumerate() {
            let device = phone.device.as_ref().ok_or(format!("{index} is off"))?;
            let clock = phone.clock(self.now);
            let status = device.status(clock).map_err(|error| error.to_string())?;
            let pending = device.pending(clock).map_err(|error| error.to_string())?;
            let refused = self.previews_of_others(index)?.len() as u64;
            let pictures = status.pictures_unsent + status.pictures_refused - refused;
            if !pending.is_empty() || status.seq != head || status.in_flight || pictures > 0 {
                let states = pending.iter().map(|item| (item.op_id, item.state, &item.reason));
                let states: Vec<_> = states.collect();
                let why: String = pending.iter().map(|item| phone.explain(item.op_id)).collect();
                unrest += &format!("phone {index}: head {head}, {status:?}, {states:?}{why}\n");
            }
        }
        Ok(unrest)
    }

    /// Offers refused pictures again: what refused them may have changed, such as whose photo it is.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn see_to_refused_pictures(&mut self, index: usize) -> Checked {
        let clock = self.phones[index].clock(self.now);
        let others = self.previews_of_others(index)?;
        let Some(device) = self.phones[index].device.as_mut() else { return Ok(()) };
        let uploads = device.uploads().map_err(|error| error.to_string())?;
        let refused = uploads.into_iter().filter(|one| one.state == UploadState::Refused);
        let refused = refused.map(|one| (one.photo, one.variant));
        let mine: Vec<_> = refused.filter(|one| !others.contains(one)).collect();
        for (photo, variant) in mine {
            let Some(device) = self.phones[index].device.as_mut() else { return Ok(()) };
            let tried = device.retry_upload(photo, variant, clock);
            self.said(index, "offers a picture again", tried)?;
        }
        Ok(())
    }
}
