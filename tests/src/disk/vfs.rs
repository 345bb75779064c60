//! The simulated disk as SQLite sees it: a VFS of its own name, on crate `rsqlite-vfs`, whose
//! callbacks link against the same SQLite as `rusqlite`.
// Registering a VFS hands SQLite raw pointers; the crate marks that unsafe. Each use says why it
// holds.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rsqlite_vfs::{
    AccessMode, DeviceCharacteristics, LockLevel, OpenOptions, OpenRequest, OpenedFile, OsCallback,
    RegisterVfsError, SQLiteIoMethods, SQLiteVfs, SectorSize, SyncOptions, VfsFile,
    VfsRegistration, VfsResult, VfsStore, register_vfs,
};

use super::state::{HandleId, State};

/// The state behind a VFS. A connection may move between threads, hence the lock.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(super) fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A VFS in SQLite's list, for as long as this lives.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) name: String,
    pub(super) shared: Shared,
    registration: Option<VfsRegistration<Shared>>,
}

impl Registered {
    /// Registers the disk under a name that no other has.
    pub(super) fn new(shared: Shared) -> Result<Self, RegisterVfsError> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let name = format!("simdisk-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        // SAFETY: constructor, method table and app data are this module's own and agree; the
        // name is unique by the counter, so no other registration races for it; `Shared` is
        // synchronised by its mutex; SQLite is built in its serialised threading mode.
        let registration =
            unsafe { register_vfs::<DiskMethods, DiskVfs>(&name, shared.clone(), false) }?;
        Ok(Self { name, shared, registration: Some(registration) })
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let in_use = self.shared.lock().handles > 0;
        if let (Some(registration), false) = (self.registration.take(), in_use) {
            // SAFETY: no file is open on this VFS, and nobody else knows its name, so nothing
            // can open one any more. With files still open it is left registered, for ever.
            drop(unsafe { registration.unregister() });
        }
    }
}

/// An open file.
pub(super) struct Handle {
    disk: Shared,
    id: HandleId,
}

impl VfsFile for Handle {
    fn sector_size(&self) -> SectorSize {
        SectorSize::new(512).unwrap_or(SectorSize::DEFAULT)
    }

    fn device_characteristics(&self) -> DeviceCharacteristics {
        // What SQLite's own Unix VFS claims: a torn write leaves its neighbours alone.
        DeviceCharacteristics::POWERSAFE_OVERWRITE
    }

    fn read(&mut self, buf: &mut [u8], offset: u64) -> VfsResult<usize> {
        self.disk.lock().read(self.id, buf, offset)
    }

    fn write(&mut self, buf: &[u8], offset: u64) -> VfsResult<()> {
        self.disk.lock().write(self.id, buf, offset)
    }

    fn truncate(&mut self, size: u64) -> VfsResult<()> {
        self.disk.lock().resize(self.id, size)
    }

    fn sync(&mut self, _options: SyncOptions) -> VfsResult<()> {
        self.disk.lock().sync(self.id)
    }

    fn size(&self) -> VfsResult<u64> {
        self.disk.lock().size(self.id)
    }

    fn lock(&mut self, level: LockLevel) -> VfsResult<()> {
        self.disk.lock().lock(self.id, level)
    }

    fn unlock(&mut self, level: LockLevel) -> VfsResult<()> {
        self.disk.lock().unlock(self.id, level);
        Ok(())
    }

    fn check_reserved_lock(&self) -> VfsResult<bool> {
        Ok(self.disk.lock().is_reserved(self.id))
    }
}

struct DiskStore;

impl VfsStore for DiskStore {
    type File = Handle;
    type AppData = Shared;

    fn open_file(disk: &Shared, request: OpenRequest<'_>) -> VfsResult<OpenedFile<Handle>> {
        let (name, options) = (request.filename, request.options);
        let mut state = disk.lock();
        let id = state.open(name.map(|name| name.path()), options.create(), options.exclusive())?;
        state.handles += 1;
        drop(state);
        Ok(OpenedFile { file: Handle { disk: disk.clone(), id }, access: options.access() })
    }

    fn close_file(
        disk: &Shared,
        name: Option<&str>,
        file: Handle,
        options: OpenOptions,
    ) -> VfsResult<()> {
        let mut state = disk.lock();
        state.handles = state.handles.saturating_sub(1);
        state.close(file.id);
        match name {
            Some(name) if options.delete_on_close() => state.delete(name, false),
            _ => Ok(()),
        }
    }

    fn access(disk: &Shared, name: &str, _mode: AccessMode) -> VfsResult<bool> {
        disk.lock().exists(name)
    }

    fn full_pathname(_disk: &Shared, name: &str) -> VfsResult<String> {
        Ok(name.into())
    }

    fn delete_file(disk: &Shared, name: &str, sync_dir: bool) -> VfsResult<()> {
        disk.lock().delete(name, sync_dir)
    }
}

struct DiskMethods;

impl SQLiteIoMethods for DiskMethods {
    type Store = DiskStore;
}

/// Time stands still here and nothing waits: a simulated device is told the time by its caller.
struct StillWorld;

impl OsCallback for StillWorld {
    fn sleep(&self, _dur: Duration) {}

    fn random(&self, buf: &mut [u8]) -> usize {
        buf.fill(7);
        buf.len()
    }

    fn epoch_timestamp_in_ms(&self) -> VfsResult<i64> {
        Ok(0)
    }
}

struct DiskVfs;

impl SQLiteVfs<DiskMethods> for DiskVfs {
    type Os = StillWorld;

    fn os(_disk: &Shared) -> &StillWorld {
        &StillWorld
    }
}
