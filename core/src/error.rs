//! Accidents, named by what the caller can do about them. Outcomes are values elsewhere.

use motomind_protocol::{Identity, Violation};

use crate::mirror::RecordRef;

/// The storage failed. Nothing that was acknowledged is affected.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No space is left: free some, then call again.
    #[error("the device is out of storage; free some space and try again")]
    DiskFull,
    /// The mirror or journal file does not hold what it should; reopen, and salvage if it stays.
    #[error("a database file is damaged: {0}")]
    Damaged(String),
    /// Anything else that SQLite reports; reopen and try again.
    #[error("storage failed: {0}")]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase};
        match error.sqlite_error_code() {
            Some(DiskFull) => Self::DiskFull,
            Some(DatabaseCorrupt | NotADatabase) => Self::Damaged(error.to_string()),
            _ => Self::Sqlite(error),
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged(format!("a stored JSON text cannot be read: {error}"))
    }
}

/// The device could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process or tab has it open: close that one, or talk to it.
    #[error("already open in another process")]
    AlreadyOpen,
    /// The directory belongs to someone else: open theirs, or another directory.
    #[error("this journal belongs to user {} of tenant {}", .0.user_id, .0.tenant_id)]
    WrongIdentity(Identity),
    /// First opening: say who the user is.
    #[error("a new journal needs an identity")]
    NoIdentity,
    /// The key does not open the files, or they are encrypted and none was given.
    #[error("the key does not open this journal")]
    WrongKey,
    /// This build has no encryption: build with feature `encryption`.
    #[error("this build cannot encrypt; build it with the feature `encryption`")]
    NoEncryption,
    /// A newer version of the app wrote the journal: update this one.
    #[error("the journal has schema {found}, this build knows up to {known}; update the app")]
    NewerSchema {
        /// Version of the file.
        found: i64,
        /// Newest version that this build knows.
        known: i64,
    },
    /// The journal is damaged: nothing was changed; [`crate::salvage`] recovers what can be read.
    #[error("the journal is damaged ({0}); salvage it")]
    JournalDamaged(String),
    /// The storage failed otherwise.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
        match error.sqlite_error_code() {
            Some(DatabaseBusy | DatabaseLocked) => Self::AlreadyOpen,
            _ => Self::Store(error.into()),
        }
    }
}

/// A capture or an edit was not taken. Nothing was stored; mend it and call again.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Fields to mend.
    #[error("{}", .0.iter().map(|v| format!("{}: {}", v.field, v.message)).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Violation>),
    /// The reading jumps far above the one before: ask the person, then set
    /// `payload.confirmed_jump` to true.
    #[error("{miles} is {} miles above the reading before; confirm it", .miles - .before)]
    ConfirmJump {
        /// The new reading, miles.
        miles: i64,
        /// The reading before, miles.
        before: i64,
    },
    /// The caller's id belongs to another capture; use a fresh one.
    #[error("the id belongs to another capture")]
    IdReused,
    /// No such operation or event on this device.
    #[error("this device does not know it")]
    UnknownOperation,
    /// This device knows no such record; pull first, or create it.
    #[error("this device knows no record {} of {}", .0.id, .0.collection)]
    UnknownRecord(RecordRef),
    /// The server has accepted it: change the record instead.
    #[error("the server has accepted this edit; make another one")]
    AlreadyAccepted,
    /// The creation has not been refused, or it is of another record.
    #[error("only a record whose creation was refused can be the same as another")]
    NotRefused,
    /// An amendment or discard has already taken its place.
    #[error("the operation has already been amended or discarded")]
    AlreadySuperseded,
    /// What the host gave to write to or read from failed.
    #[error("the host reports: {0}")]
    Host(String),
    /// The bytes are not taken as a photo: choose another picture.
    #[error(transparent)]
    Photo(#[from] crate::photo::PhotoError),
    /// There is too little room for the photo: free some, then add it again.
    #[error("the photo needs {needed} bytes of room, {free} are free; free some and try again")]
    NoRoom {
        /// What storing it takes, bytes.
        needed: u64,
        /// What the host said is free, bytes.
        free: u64,
    },
    /// More than one MiB was handed over at once: hand it over in smaller pieces.
    #[error("a piece of a photo may have at most 1 MiB")]
    PieceTooLarge,
    /// The photo was finished, refused or given up: begin it again.
    #[error("no such photo is being written; begin it again")]
    NotBeingWritten,
    /// This device knows no such photo on the event, or in the session.
    #[error("this device does not know the photo there")]
    UnknownPhoto,
    /// There is no such session here: it was completed, or its photos were given up.
    #[error("this device has no such session")]
    UnknownSession,
    /// The session was left: resume it, then go on.
    #[error("the session was left; resume it")]
    SessionOver(Box<motomind_protocol::flow::Session>),
    /// These steps of a guided session still need a photo.
    #[error("these steps need a photo: {}", .0.join(", "))]
    StepsMissing(Vec<String>),
    /// It cannot be written as an operation.
    #[error(transparent)]
    Seal(#[from] motomind_protocol::SealError),
    /// The storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for CaptureError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<serde_json::Error> for CaptureError {
    fn from(error: serde_json::Error) -> Self {
        Self::Store(error.into())
    }
}
