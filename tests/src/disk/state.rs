//! A simulated disk's files, names, locks and power.

use std::collections::BTreeMap;

use rsqlite_vfs::{LockLevel, VfsError, VfsErrorCode, VfsResult};

use super::content::Content;
use super::{Counters, CrashPoint, Image};
use crate::dice::Dice;

/// Identity of a file, whatever its name.
pub(super) type FileId = u64;
/// Identity of an open file.
pub(super) type HandleId = u64;

#[derive(Clone, Debug, Default)]
pub(super) struct State {
    files: BTreeMap<FileId, Content>,
    names: BTreeMap<String, FileId>,
    /// What a name would lead to after a power loss, oldest first; the last is the present.
    unsynced_names: Vec<(String, Option<FileId>)>,
    durable_names: BTreeMap<String, FileId>,
    locks: BTreeMap<FileId, BTreeMap<HandleId, LockLevel>>,
    open: BTreeMap<HandleId, FileId>,
    /// Files that SQLite has opened and not closed, dead ones included.
    pub(super) handles: usize,
    next_id: u64,
    power_is_out: bool,
    crash: Option<CrashPoint>,
    pub(super) counters: Counters,
    /// The disk as a power loss would meet it, at the beginning and the end of every sync.
    pub(super) recorded: Option<Vec<State>>,
    /// Syncs of files whose names begin so are promised and not done.
    pub(super) lying_about: Option<String>,
}

fn out_of_power() -> VfsError {
    VfsError::new(VfsErrorCode::Io, "the power is out".into())
}

impl State {
    pub(super) fn of_image(image: &Image) -> Self {
        let mut state = Self::default();
        for (name, bytes) in &image.0 {
            state.install(name, bytes.clone());
        }
        state
    }

    pub(super) fn image(&self) -> Image {
        let file = |id: &FileId| self.files.get(id).map(|file| file.current().to_vec());
        let names = self.names.iter();
        Image(names.filter_map(|(name, id)| Some((name.clone(), file(id)?))).collect())
    }

    /// Puts a file in place as if it had always been there.
    pub(super) fn install(&mut self, name: &str, bytes: Vec<u8>) {
        let id = self.fresh_id();
        self.files.insert(id, Content::settled(bytes));
        self.names.insert(name.into(), id);
        self.durable_names.insert(name.into(), id);
    }

    /// Takes a file away as if it had never been there.
    pub(super) fn uninstall(&mut self, name: &str) {
        self.names.remove(name);
        self.durable_names.remove(name);
        self.unsynced_names.retain(|(other, _)| other != name);
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.names.keys()
    }

    pub(super) fn crash_at(&mut self, point: Option<CrashPoint>) {
        self.crash = point;
    }

    pub(super) fn power_is_out(&self) -> bool {
        self.power_is_out
    }

    /// The power goes and comes back: what was not synced survives as chance has it, and every
    /// handle of before is dead.
    pub(super) fn lose_power(&mut self, dice: &mut Dice) {
        self.names = self.surviving_names(dice);
        self.durable_names.clone_from(&self.names);
        self.kill_process();
        let named: Vec<FileId> = self.names.values().copied().collect();
        self.files.retain(|id, _| named.contains(id));
        for file in self.files.values_mut() {
            file.lose_power(dice);
        }
        self.power_is_out = false;
        self.crash = None;
    }

    /// Every handle is dead and no lock is held.
    pub(super) fn kill_process(&mut self) {
        self.open.clear();
        self.locks.clear();
    }

    /// Creations and deletions reach the directory in order for each name, as far as they came.
    fn surviving_names(&mut self, dice: &mut Dice) -> BTreeMap<String, FileId> {
        let mut survived = std::mem::take(&mut self.durable_names);
        let mut stopped: Vec<String> = Vec::new();
        for (name, leads_to) in std::mem::take(&mut self.unsynced_names) {
            if stopped.contains(&name) || dice.permille(500) {
                stopped.push(name);
            } else if let Some(id) = leads_to {
                survived.insert(name, id);
            } else {
                survived.remove(&name);
            }
        }
        survived
    }

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn powered(&self) -> VfsResult<()> {
        if self.power_is_out {
            return Err(out_of_power());
        }
        Ok(())
    }

    fn go_dark(&mut self) -> VfsError {
        self.power_is_out = true;
        out_of_power()
    }

    /// Counts a write; the power may go with it on the way to the device.
    fn wrote(&mut self) -> VfsResult<()> {
        self.counters.writes += 1;
        if self.crash == Some(CrashPoint::Write(self.counters.writes)) {
            return Err(self.go_dark());
        }
        Ok(())
    }

    fn rename(&mut self, name: &str, leads_to: Option<FileId>) {
        match leads_to {
            Some(id) => self.names.insert(name.into(), id),
            None => self.names.remove(name),
        };
        self.unsynced_names.push((name.into(), leads_to));
    }

    fn sync_names(&mut self) {
        self.unsynced_names.clear();
        self.durable_names.clone_from(&self.names);
    }

    pub(super) fn exists(&self, name: &str) -> VfsResult<bool> {
        self.powered()?;
        Ok(self.names.contains_key(name))
    }

    /// Opens by name, or a nameless file of its own.
    pub(super) fn open(
        &mut self,
        name: Option<&str>,
        create: bool,
        fresh: bool,
    ) -> VfsResult<HandleId> {
        self.powered()?;
        let known = name.and_then(|name| self.names.get(name)).copied();
        let file = match (known, name) {
            (Some(id), _) if !fresh => id,
            (None, Some(name)) if create => {
                let id = self.fresh_id();
                self.files.insert(id, Content::default());
                self.rename(name, Some(id));
                id
            }
            (None, None) => {
                let id = self.fresh_id();
                self.files.insert(id, Content::default());
                id
            }
            _ => {
                let message = "no such file, or one that should not be there";
                return Err(VfsError::new(VfsErrorCode::CantOpen, message.into()));
            }
        };
        let handle = self.fresh_id();
        self.open.insert(handle, file);
        Ok(handle)
    }

    pub(super) fn close(&mut self, handle: HandleId) {
        let Some(file) = self.open.remove(&handle) else {
            return;
        };
        if let Some(holders) = self.locks.get_mut(&file) {
            holders.remove(&handle);
        }
        let led_to = self.unsynced_names.iter().any(|(_, id)| *id == Some(file));
        let durable = self.durable_names.values().any(|id| *id == file);
        let named = self.names.values().any(|id| *id == file);
        if !(named || durable || led_to || self.open.values().any(|id| *id == file)) {
            self.files.remove(&file);
        }
    }

    pub(super) fn delete(&mut self, name: &str, sync_directory: bool) -> VfsResult<()> {
        self.powered()?;
        if !self.names.contains_key(name) {
            let message = "no such file";
            return Err(VfsError::new(VfsErrorCode::IoDeleteNoEntry, message.into()));
        }
        self.rename(name, None);
        self.wrote()?;
        if sync_directory {
            self.sync_names();
        }
        Ok(())
    }

    fn file(&mut self, handle: HandleId) -> VfsResult<(FileId, &mut Content)> {
        self.powered()?;
        let id = *self.open.get(&handle).ok_or_else(out_of_power)?;
        let content = self.files.get_mut(&id).ok_or_else(out_of_power)?;
        Ok((id, content))
    }

    pub(super) fn read(
        &mut self,
        handle: HandleId,
        buffer: &mut [u8],
        at: u64,
    ) -> VfsResult<usize> {
        Ok(self.file(handle)?.1.read(buffer, index(at)?))
    }

    pub(super) fn write(&mut self, handle: HandleId, data: &[u8], at: u64) -> VfsResult<()> {
        self.file(handle)?.1.write(data, index(at)?);
        self.wrote()
    }

    pub(super) fn resize(&mut self, handle: HandleId, len: u64) -> VfsResult<()> {
        self.file(handle)?.1.resize(index(len)?);
        self.wrote()
    }

    pub(super) fn size(&mut self, handle: HandleId) -> VfsResult<u64> {
        Ok(self.file(handle)?.1.current().len() as u64)
    }

    /// Makes a file durable, and with it the names given until now (as a journaling file system
    /// does, and as SQLite asks by syncing the directory of a fresh journal).
    pub(super) fn sync(&mut self, handle: HandleId) -> VfsResult<()> {
        let (id, _) = self.file(handle)?;
        self.counters.syncs += 1;
        let point = self.counters.syncs;
        self.record();
        if self.crash == Some(CrashPoint::BeforeSync(point)) {
            return Err(self.go_dark());
        }
        if !self.lies_about(id) {
            self.file(handle)?.1.sync();
            self.sync_names();
        }
        self.record();
        if self.crash == Some(CrashPoint::AfterSync(point)) {
            return Err(self.go_dark());
        }
        Ok(())
    }

    pub(super) fn record(&mut self) {
        if let Some(mut recorded) = self.recorded.take() {
            let mut copy = self.clone();
            copy.handles = 0;
            recorded.push(copy);
            self.recorded = Some(recorded);
        }
    }

    fn lies_about(&self, file: FileId) -> bool {
        let Some(prefix) = &self.lying_about else {
            return false;
        };
        let mut names = self.names.iter();
        names.any(|(name, id)| *id == file && name.starts_with(prefix))
    }

    pub(super) fn lock(&mut self, handle: HandleId, level: LockLevel) -> VfsResult<()> {
        let (file, _) = self.file(handle)?;
        let holders = self.locks.entry(file).or_default();
        let others = holders.iter().filter(|(id, _)| **id != handle);
        let strongest = others.map(|(_, level)| *level).max();
        let strongest = strongest.unwrap_or(LockLevel::None);
        let free = match level {
            LockLevel::None => true,
            LockLevel::Shared => strongest < LockLevel::Pending,
            LockLevel::Reserved | LockLevel::Pending => strongest < LockLevel::Reserved,
            LockLevel::Exclusive => strongest == LockLevel::None,
        };
        if !free {
            let message = "another connection holds the file";
            return Err(VfsError::new(VfsErrorCode::Busy, message.into()));
        }
        let held = holders.entry(handle).or_insert(LockLevel::None);
        *held = level.max(*held);
        Ok(())
    }

    pub(super) fn unlock(&mut self, handle: HandleId, level: LockLevel) {
        let Some(file) = self.open.get(&handle) else {
            return;
        };
        let holders = self.locks.entry(*file).or_default();
        if let Some(held) = holders.get_mut(&handle) {
            *held = level.min(*held);
        }
    }

    pub(super) fn is_reserved(&self, handle: HandleId) -> bool {
        let holders = self.open.get(&handle).and_then(|file| self.locks.get(file));
        holders.is_some_and(|holders| holders.values().any(|held| *held >= LockLevel::Reserved))
    }
}

fn index(offset: u64) -> VfsResult<usize> {
    usize::try_from(offset)
        .map_err(|_| VfsError::new(VfsErrorCode::Full, "beyond the address space".into()))
}
