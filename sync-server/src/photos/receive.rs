//! Receiving the bytes of one `PATCH`: each piece is stored, then told to Postgres, while the next
//! one fills. What arrived before a connection broke is kept.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::StreamExt;
use motomind_protocol::limits::PIECE_BYTES_MAX;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::capability::Uploader;
use super::checksum::Checksum;
use super::running::{Arrival, Settle};
use super::staged::Staged;
use super::staging::Left;
use super::upload::{Hand, Piece, Upload, advance, take_over};
use crate::App;
use crate::error::Error;

/// A silence after which what arrived is stored, though the piece is not full.
const PAUSE: Duration = Duration::from_secs(2);

/// Pauses in a row after which the connection counts as broken.
const PAUSES_MAX: u32 = 30;

/// A silence after which, to somebody who asks, everything has arrived. A connection that was cut
/// says so before.
const QUIET: Duration = Duration::from_millis(100);

/// Bytes of a piece that waits while the one before it is stored.
const OPEN_BYTES_MAX: usize = 4 * PIECE_BYTES_MAX;

/// Bytes that may still come until somebody who asks is answered.
const QUIET_BYTES_MAX: usize = 8 * PIECE_BYTES_MAX;

/// Who brings a body, and where it goes.
pub(crate) struct Bringing {
    pub(crate) upload: Upload,
    pub(crate) uploader: Uploader,
    pub(crate) arrival: Arrival,
    pub(crate) offset: u64,
    pub(crate) checksum: Option<Checksum>,
    /// What the request before it left, where this one goes on with it unseen.
    pub(crate) left: Option<Left>,
}

/// Receives a body into an upload; returns where the upload stands then. Runs to its end even when
/// whoever asked is gone.
pub(crate) async fn receive(app: &App, bringing: Bringing, body: Body) -> Result<u64, Error> {
    let app = app.clone();
    let work = tokio::spawn(async move {
        let Bringing { upload, uploader, mut arrival, offset, checksum, left } = bringing;
        let photos = super::of(&app)?;
        photos.running.settle(upload.id, Some(&arrival)).await;
        let (hand, staged) = match left {
            Some(left) => {
                (Hand { uploader, holder: left.holder, is_unseen: true }, Some(left.staged))
            }
            None => {
                let holder = Uuid::new_v4();
                take_over(&app, &upload, holder, offset).await?;
                let staged = photos.staging.take(upload.id).map(|left| left.staged);
                (Hand { uploader, holder, is_unseen: false }, staged)
            }
        };
        let taking = Intake::new(app, upload, hand, staged, offset, checksum);
        taking.run(body.into_data_stream(), &mut arrival.requests).await
    });
    work.await.map_err(|error| Error::Internal(format!("an upload was not received: {error}")))?
}

/// What the next thing was.
enum Next {
    Data(Bytes),
    End,
    Broken(String),
    Pause,
    Settle(Settle),
}

/// What became of bytes that were stored: the file they are in, and what Postgres was not told.
type Stored = (Option<Staged>, Option<Piece>);

/// One `PATCH` on its way in.
struct Intake {
    app: App,
    upload: Upload,
    hand: Hand,
    /// Where the body began.
    begun: u64,
    /// Where the open piece begins.
    first: u64,
    open: Vec<Bytes>,
    open_bytes: usize,
    /// On a disk, the file, unless it is being written to.
    staged: Option<Staged>,
    /// The piece before the open one, while it is being stored.
    storing: Option<JoinHandle<Result<Stored, Error>>>,
    checksum: Option<Checksum>,
    /// With a checksum: pieces that Postgres is told of once it fits.
    withheld: Vec<Piece>,
}

impl Intake {
    fn new(
        app: App,
        upload: Upload,
        hand: Hand,
        staged: Option<Staged>,
        begun: u64,
        checksum: Option<Checksum>,
    ) -> Self {
        let (first, open, open_bytes, storing, withheld) = (begun, Vec::new(), 0, None, Vec::new());
        Self {
            app,
            upload,
            hand,
            begun,
            first,
            open,
            open_bytes,
            staged,
            storing,
            checksum,
            withheld,
        }
    }

    async fn run(
        mut self,
        mut body: BodyDataStream,
        requests: &mut mpsc::Receiver<Settle>,
    ) -> Result<u64, Error> {
        let mut pauses = 0;
        // Who asked for everything to be stored, and what came since.
        let (mut asked, mut since): (Vec<Settle>, usize) = (Vec::new(), 0);
        let broken = loop {
            let wait = if asked.is_empty() { PAUSE } else { QUIET };
            match next(&mut body, requests, wait).await {
                Next::Data(bytes) => {
                    (pauses, since) = (0, since + bytes.len());
                    self.take(bytes).await?;
                    if !asked.is_empty() && since > QUIET_BYTES_MAX {
                        self.settle().await?;
                        asked.clear();
                    }
                }
                Next::End => break None,
                Next::Broken(how) => break Some(how),
                Next::Pause if !asked.is_empty() => {
                    self.settle().await?;
                    asked.clear();
                }
                Next::Pause if pauses == PAUSES_MAX => break Some("silence".into()),
                Next::Pause => {
                    pauses += 1;
                    self.store().await?;
                }
                Next::Settle(settle) => {
                    asked.push(settle);
                    since = 0;
                }
            }
        };
        self.settle().await?;
        match (broken, self.checksum.take()) {
            (None, None) => Ok(self.leave()),
            (None, Some(checksum)) => self.release(checksum).await,
            (Some(how), checksum) => {
                if checksum.is_none() {
                    self.leave();
                }
                Err(Error::Malformed(format!("the body broke off: {how}")))
            }
        }
    }

    /// Adds bytes to the open piece and stores it when it is full.
    async fn take(&mut self, mut bytes: Bytes) -> Result<(), Error> {
        let room = self.upload.bytes - self.first - self.open_bytes as u64;
        if bytes.len() as u64 > room {
            let length = self.upload.bytes;
            return Err(Error::TooLarge(format!("the upload is of {length} bytes, more came")));
        }
        if let Some(checksum) = &mut self.checksum {
            checksum.update(&bytes);
        }
        while !bytes.is_empty() {
            let now = bytes.split_to(bytes.len().min(OPEN_BYTES_MAX - self.open_bytes));
            self.open_bytes += now.len();
            self.open.push(now);
            let is_idle = self.storing.as_ref().is_none_or(JoinHandle::is_finished);
            if self.open_bytes == OPEN_BYTES_MAX || (is_idle && self.open_bytes >= PIECE_BYTES_MAX)
            {
                self.store().await?;
            }
        }
        Ok(())
    }

    /// Begins to store the open piece, once the one before it is stored.
    async fn store(&mut self) -> Result<(), Error> {
        if self.open_bytes > 0 {
            self.wait().await?;
            self.storing = Some(tokio::spawn(self.close()));
        }
        Ok(())
    }

    /// What it takes to store the open piece.
    fn close(&mut self) -> impl Future<Output = Result<Stored, Error>> + Send + 'static {
        let (bytes, length) = (std::mem::take(&mut self.open), self.open_bytes as u64);
        let (from, to) = (self.first, self.first + length);
        (self.first, self.open_bytes) = (to, 0);
        let (app, upload, hand) = (self.app.clone(), self.upload.clone(), self.hand);
        let (staged, withhold) = (self.staged.take(), self.checksum.is_some());
        async move {
            let store = &super::of(&app)?.store;
            let (staged, piece) = store.keep(staged, &upload, from, bytes).await?;
            if withhold {
                return Ok((staged, Some(piece)));
            }
            advance(&app, &upload, hand, (from, to), &[piece]).await?;
            Ok((staged, None))
        }
    }

    async fn wait(&mut self) -> Result<(), Error> {
        if let Some(storing) = self.storing.take() {
            let joined = storing.await;
            self.stored(joined.map_err(|error| Error::Internal(error.to_string()))??);
        }
        Ok(())
    }

    fn stored(&mut self, (staged, piece): Stored) {
        self.staged = staged;
        if let Some(piece) = piece {
            // A file has grown; an object is another one.
            self.withheld.retain(|known| known.first != piece.first);
            self.withheld.push(piece);
        }
    }

    /// Stores all there is.
    async fn settle(&mut self) -> Result<(), Error> {
        self.wait().await?;
        if self.open_bytes > 0 {
            let stored = self.close().await?;
            self.stored(stored);
        }
        Ok(())
    }

    /// Tells Postgres of the withheld pieces when they are what was said. If not, they are never
    /// known and go with the upload.
    async fn release(mut self, checksum: Checksum) -> Result<u64, Error> {
        if !checksum.fits() {
            return Err(Error::ChecksumMismatch);
        }
        if self.first > self.begun {
            let span = (self.begun, self.first);
            advance(&self.app, &self.upload, self.hand, span, &self.withheld).await?;
        }
        Ok(self.leave())
    }

    /// Leaves the file, of which Postgres knows, for the next request; where the upload stands.
    fn leave(&mut self) -> u64 {
        if let (Some(staged), Ok(photos)) = (self.staged.take(), super::of(&self.app)) {
            let secret = match self.hand.uploader {
                Uploader::Holder(capability) => Some(capability.hash()),
                Uploader::Caller(_) => None,
            };
            let upload = self.upload.clone();
            photos.staging.put(Left { staged, upload, holder: self.hand.holder, secret });
        }
        self.first
    }
}

async fn next(
    body: &mut BodyDataStream,
    requests: &mut mpsc::Receiver<Settle>,
    wait: Duration,
) -> Next {
    tokio::select! {
        data = tokio::time::timeout(wait, body.next()) => match data {
            Err(_) => Next::Pause,
            Ok(None) => Next::End,
            Ok(Some(Ok(bytes))) => Next::Data(bytes),
            Ok(Some(Err(error))) => Next::Broken(crate::error::with_source(&error)),
        },
        Some(settle) = requests.recv() => Next::Settle(settle),
    }
}
