//! Files of the host: bytes go from and to them piece by piece, never whole through the border.

use std::fs::{self, File};
use std::io::{self, Cursor, Read};

use crate::failure::MotoMindError;

/// Where the host has the bytes of a picture.
#[derive(Clone, Debug, uniffi::Enum)]
pub enum Source {
    /// In a file.
    Path {
        /// Its path.
        path: String,
    },
    /// Behind an open file descriptor, from its present position to its end, such as an Android
    /// content URI's. It stays the host's, to be closed once the call is over.
    Descriptor {
        /// Its number.
        fd: i32,
    },
    /// In memory. They are copied once; prefer the others for originals.
    Bytes {
        /// All of them.
        bytes: Vec<u8>,
    },
}

/// Where the host wants bytes to be written.
#[derive(Clone, Debug, uniffi::Enum)]
pub enum Sink {
    /// To a file, made anew.
    Path {
        /// Its path.
        path: String,
    },
    /// To an open file descriptor. It stays the host's, to be closed once the call is over.
    Descriptor {
        /// Its number.
        fd: i32,
    },
}

/// Bytes of the host, opened.
pub(crate) enum Opened {
    File(File),
    Bytes(Cursor<Vec<u8>>),
}

impl Source {
    pub(crate) fn open(self) -> Result<Opened, MotoMindError> {
        Ok(match self {
            Self::Path { path } => Opened::File(file(&path, &*fs::OpenOptions::new().read(true))?),
            Self::Descriptor { fd } => Opened::File(descriptor::file(fd)?),
            Self::Bytes { bytes } => Opened::Bytes(Cursor::new(bytes)),
        })
    }
}

impl Sink {
    pub(crate) fn open(self) -> Result<File, MotoMindError> {
        let mut options = fs::OpenOptions::new();
        match self {
            Self::Path { path } => file(&path, options.write(true).create(true).truncate(true)),
            Self::Descriptor { fd } => Ok(descriptor::file(fd)?),
        }
    }
}

fn file(path: &str, how: &fs::OpenOptions) -> Result<File, MotoMindError> {
    let file = how.open(path)?;
    match file.metadata()?.is_dir() {
        true => Err(io::Error::from(io::ErrorKind::IsADirectory).into()),
        false => Ok(file),
    }
}

impl Read for Opened {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(into),
            Self::Bytes(bytes) => bytes.read(into),
        }
    }
}

#[cfg(unix)]
#[allow(unsafe_code)]
mod descriptor {
    use std::fs::File;
    use std::io;
    use std::os::fd::BorrowedFd;

    /// A file of our own on the same open file.
    pub(super) fn file(fd: i32) -> io::Result<File> {
        if fd < 0 {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        // SAFETY: the number is no sentinel, and what is borrowed is used for this one call alone,
        // which duplicates it: a number that is not open is `EBADF`, one that the host closes or
        // uses afterwards is not ours. The host keeps it open during the call, as documented.
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        Ok(File::from(borrowed.try_clone_to_owned()?))
    }
}

#[cfg(not(unix))]
mod descriptor {
    use std::fs::File;
    use std::io;

    pub(super) fn file(_fd: i32) -> io::Result<File> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}
