//! Failures, named by what the caller can do about them. None holds what a person typed.

use motomind_core::import::fuelio::ImportError;
use motomind_core::protocol::Violation;
use motomind_core::{CaptureError, ExportError, OpenError, StoreError};

/// Something was not done. Nothing of it was stored, unless its documentation says otherwise.
#[derive(Debug, thiserror::Error, uniffi::Error)]
pub enum MotoMindError {
    /// The device was closed: open it again.
    #[error("the device is closed")]
    Closed,
    /// The device is suspended: resume it.
    #[error("the device is suspended")]
    Suspended,
    /// A value is not what it must be, such as an id, a day or a JSON text.
    #[error("{what}")]
    Malformed {
        /// Which, and what is wrong with it.
        what: String,
    },
    /// Another process, or this one, has the device open.
    #[error("already open")]
    AlreadyOpen,
    /// The directory belongs to someone else.
    #[error("the journal belongs to someone else")]
    WrongIdentity,
    /// First opening: say who the user is.
    #[error("a new journal needs an identity")]
    NoIdentity,
    /// The key does not open the files, or they are encrypted and none was given.
    #[error("the key does not open this journal")]
    WrongKey,
    /// This build of the library cannot encrypt.
    #[error("this build cannot encrypt")]
    NoEncryption,
    /// A newer version of the app wrote the journal: update this one.
    #[error("a newer version wrote this journal; update the app")]
    NewerSchema,
    /// The journal is damaged and nothing was changed: `salvage` recovers what can be read.
    #[error("the journal is damaged ({what}); salvage it")]
    JournalDamaged {
        /// What SQLite says.
        what: String,
    },
    /// Fields to mend.
    #[error("{}", .fields.iter().map(|v| format!("{}: {}", v.field, v.code)).collect::<Vec<_>>().join("; "))]
    Invalid {
        /// Each with what is wrong.
        fields: Vec<Violation>,
    },
    /// The reading jumps far above the one before: ask the person, then set `confirmed_jump` in the
    /// payload to true.
    #[error("{miles} miles after {before}; confirm it")]
    ConfirmJump {
        /// The new reading, miles.
        miles: i64,
        /// The reading before, miles.
        before: i64,
    },
    /// The caller's id belongs to another capture; use a fresh one.
    #[error("the id belongs to another capture")]
    IdReused,
    /// This device does not know the operation or event, record, photo or session.
    #[error("this device does not know the {thing:?}")]
    Unknown {
        /// What is unknown.
        thing: Thing,
    },
    /// It cannot be done any more: the server accepted it, something took its place, …
    #[error("{why:?}")]
    TooLate {
        /// What is in its way.
        why: Obstacle,
    },
    /// It is too large for one operation, or one piece: shorten it, or hand it over in pieces.
    #[error("{what}")]
    TooLarge {
        /// What is too large.
        what: String,
    },
    /// The bytes are not taken as a photo: choose another picture.
    #[error("{what}")]
    Photo {
        /// Why not.
        what: String,
    },
    /// There is too little room for the photo: free some, then add it again.
    #[error("the photo needs {needed} bytes of room, {free} are free")]
    NoRoom {
        /// What storing it takes, bytes.
        needed: u64,
        /// What the host said is free, bytes.
        free: u64,
    },
    /// The session was left: resume it, then go on.
    #[error("the session was left; resume it")]
    SessionOver,
    /// These steps of a guided session still need a photo.
    #[error("steps that need a photo: {}", .steps.join(", "))]
    StepsMissing {
        /// Their names.
        steps: Vec<String>,
    },
    /// What the host gave to read from or write to failed, or what it was asked for.
    #[error("{what}")]
    Host {
        /// What the system or the host says.
        what: String,
    },
    /// No space is left: free some, then call again.
    #[error("the device is out of storage")]
    DiskFull,
    /// A file does not hold what it should: open again, and `salvage` if it stays.
    #[error("a database file is damaged: {what}")]
    Damaged {
        /// What SQLite says.
        what: String,
    },
    /// Anything else that went wrong with the storage: open again and try again.
    #[error("storage failed: {what}")]
    Storage {
        /// What SQLite or the system says.
        what: String,
    },
}

/// Something that may be unknown to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Thing {
    /// An operation, or the event that it captured.
    Operation,
    /// A record: pull first, or create it.
    Record,
    /// A photo on the event, or in the session.
    Photo,
    /// A session: it was completed, or its photos were given up.
    Session,
    /// A photo that is being written: it was finished, refused or given up.
    HalfWrittenPhoto,
}

/// What stands in the way of something that could be done before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Obstacle {
    /// The server has accepted it: change the record instead.
    Accepted,
    /// The creation has not been refused, or it is of another record.
    NotRefused,
    /// An amendment or discard has already taken its place.
    Superseded,
}

impl From<StoreError> for MotoMindError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::DiskFull => Self::DiskFull,
            StoreError::Damaged(what) => Self::Damaged { what },
            StoreError::Sqlite(error) => Self::Storage { what: error.to_string() },
        }
    }
}

impl From<OpenError> for MotoMindError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::AlreadyOpen => Self::AlreadyOpen,
            OpenError::WrongIdentity(_) => Self::WrongIdentity,
            OpenError::NoIdentity => Self::NoIdentity,
            OpenError::WrongKey => Self::WrongKey,
            OpenError::NoEncryption => Self::NoEncryption,
            OpenError::NewerSchema { .. } => Self::NewerSchema,
            OpenError::JournalDamaged(what) => Self::JournalDamaged { what },
            OpenError::Store(error) => error.into(),
        }
    }
}

impl From<CaptureError> for MotoMindError {
    fn from(error: CaptureError) -> Self {
        let unknown = |thing| Self::Unknown { thing };
        match error {
            CaptureError::Invalid(fields) => Self::Invalid { fields },
            CaptureError::ConfirmJump { miles, before } => Self::ConfirmJump { miles, before },
            CaptureError::IdReused => Self::IdReused,
            CaptureError::UnknownOperation => unknown(Thing::Operation),
            CaptureError::UnknownRecord(_) => unknown(Thing::Record),
            CaptureError::UnknownPhoto => unknown(Thing::Photo),
            CaptureError::UnknownSession => unknown(Thing::Session),
            CaptureError::NotBeingWritten => unknown(Thing::HalfWrittenPhoto),
            CaptureError::AlreadyAccepted => Self::TooLate { why: Obstacle::Accepted },
            CaptureError::NotRefused => Self::TooLate { why: Obstacle::NotRefused },
            CaptureError::AlreadySuperseded => Self::TooLate { why: Obstacle::Superseded },
            CaptureError::PieceTooLarge => Self::TooLarge { what: "a piece of a photo".into() },
            CaptureError::Seal(error) => Self::TooLarge { what: error.to_string() },
            CaptureError::Photo(error) => Self::Photo { what: error.to_string() },
            CaptureError::NoRoom { needed, free } => Self::NoRoom { needed, free },
            CaptureError::SessionOver(_) => Self::SessionOver,
            CaptureError::StepsMissing(steps) => Self::StepsMissing { steps },
            CaptureError::Host(what) => Self::Host { what },
            CaptureError::Store(error) => error.into(),
        }
    }
}

impl From<ExportError> for MotoMindError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Write(error) => error.into(),
            ExportError::Store(error) => error.into(),
        }
    }
}

impl From<ImportError> for MotoMindError {
    fn from(error: ImportError) -> Self {
        Self::Malformed { what: error.to_string() }
    }
}

impl From<std::io::Error> for MotoMindError {
    fn from(error: std::io::Error) -> Self {
        Self::Host { what: error.to_string() }
    }
}
