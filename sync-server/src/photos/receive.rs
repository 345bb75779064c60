//! Receiving the bytes of one `PATCH`: each piece is stored, then told to Postgres, while the next
//! one fills. What arrived before a connection broke is kept.

use std::time::{Duration, Instant};

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

/// Bytes with which an upload moves where they come quickly: a step costs the disk and Postgres
/// about the same, whatever its size.
const STEP_BYTES: u64 = 4 * PIECE_BYTES_MAX as u64;

/// Time after which it moves by less, one piece at least.
const STEP_WAIT: Duration = Duration::from_millis(50);

/// Bytes that wait to be written, and that were written and wait for the step before them.
const WAITING_BYTES_MAX: usize = 8 * PIECE_BYTES_MAX;

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

/// What became of bytes that were written: the file they are in, and what Postgres is to know.
type Written = (Option<Staged>, Piece);

/// One `PATCH` on its way in. Three things go on at once: bytes come, those before them are
/// written, and those before these are made durable and told to Postgres.
struct Intake {
    app: App,
    upload: Upload,
    hand: Hand,
    /// What came and is not being written yet.
    open: Vec<Bytes>,
    open_bytes: usize,
    /// On a disk, the file, unless it is being written to.
    staged: Option<Staged>,
    writing: Option<JoinHandle<Result<Written, Error>>>,
    /// Up to where the upload is written, or being written.
    written: u64,
    /// Pieces that Postgres was not told of.
    untold: Vec<Piece>,
    telling: Option<JoinHandle<Result<(), Error>>>,
    /// Up to where Postgres was told, or is being told, and since when.
    told: u64,
    told_at: Instant,
    /// Until it fits, Postgres is told of nothing.
    checksum: Option<Checksum>,
}

impl Intake {
    fn new(
        app: App,
        upload: Upload,
        hand: Hand,
        staged: Option<Staged>,
        first: u64,
        checksum: Option<Checksum>,
    ) -> Self {
        Self {
            app,
            upload,
            hand,
            open: Vec::new(),
            open_bytes: 0,
            staged,
            writing: None,
            written: first,
            untold: Vec::new(),
            telling: None,
            told: first,
            told_at: Instant::now(),
            checksum,
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
                    self.settle().await?;
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

    /// Adds bytes and sees to it that what waits is written and told.
    async fn take(&mut self, mut bytes: Bytes) -> Result<(), Error> {
        let room = self.upload.bytes - self.written - self.open_bytes as u64;
        if bytes.len() as u64 > room {
            let length = self.upload.bytes;
            return Err(Error::TooLarge(format!("the upload is of {length} bytes, more came")));
        }
        if let Some(checksum) = &mut self.checksum {
            checksum.update(&bytes);
        }
        let unit = super::of(&self.app)?.store.unit_bytes();
        while !bytes.is_empty() {
            let now = bytes.split_to(bytes.len().min(WAITING_BYTES_MAX - self.open_bytes));
            self.open_bytes += now.len();
            self.open.push(now);
            let is_idle = self.writing.as_ref().is_none_or(JoinHandle::is_finished);
            if self.open_bytes == WAITING_BYTES_MAX || (is_idle && self.open_bytes >= unit) {
                self.wait_for_writing().await?;
                if self.is_step_due() {
                    self.wait_for_telling().await?;
                    self.telling = Some(tokio::spawn(self.tell(false)));
                }
                self.writing = Some(tokio::spawn(self.write(false)));
            }
        }
        Ok(())
    }

    fn is_step_due(&self) -> bool {
        let is_idle = self.telling.as_ref().is_none_or(JoinHandle::is_finished);
        let bytes = self.written - self.told;
        let is_late = || self.told_at.elapsed() >= STEP_WAIT;
        self.checksum.is_none()
            && (bytes >= WAITING_BYTES_MAX as u64
                || (is_idle && bytes >= STEP_BYTES)
                || (is_idle && bytes >= PIECE_BYTES_MAX as u64 && is_late()))
    }

    /// What it takes to write what came.
    fn write(
        &mut self,
        durably: bool,
    ) -> impl Future<Output = Result<Written, Error>> + Send + 'static {
        let (bytes, first) = (std::mem::take(&mut self.open), self.written);
        self.written += std::mem::take(&mut self.open_bytes) as u64;
        let (app, upload, staged) = (self.app.clone(), self.upload.clone(), self.staged.take());
        async move { super::of(&app)?.store.keep(staged, &upload, first, bytes, durably).await }
    }

    fn wrote(&mut self, (staged, piece): Written) {
        self.staged = staged;
        // A file has grown; an object is another one.
        self.untold.retain(|known| known.first != piece.first);
        self.untold.push(piece);
    }

    async fn wait_for_writing(&mut self) -> Result<(), Error> {
        if let Some(writing) = self.writing.take() {
            let written = writing.await.map_err(|error| Error::Internal(error.to_string()))??;
            self.wrote(written);
        }
        Ok(())
    }

    /// What it takes to make durable, unless it is, and to tell what is written. No writing is
    /// under way.
    fn tell(
        &mut self,
        is_durable: bool,
    ) -> impl Future<Output = Result<(), Error>> + Send + 'static {
        let (span, pieces) = ((self.told, self.written), std::mem::take(&mut self.untold));
        (self.told, self.told_at) = (self.written, Instant::now());
        let (app, upload, hand) = (self.app.clone(), self.upload.clone(), self.hand);
        let sync = self.staged.as_mut().filter(|_| !is_durable).map(Staged::sync);
        async move {
            if let Some(sync) = sync {
                sync.apart().await?;
            }
            advance(&app, &upload, hand, span, &pieces).await
        }
    }

    async fn wait_for_telling(&mut self) -> Result<(), Error> {
        match self.telling.take() {
            Some(telling) => telling.await.map_err(|error| Error::Internal(error.to_string()))?,
            None => Ok(()),
        }
    }

    /// Stores all there is; with a checksum, Postgres is not told.
    async fn settle(&mut self) -> Result<(), Error> {
        self.wait_for_writing().await?;
        let is_last = self.open_bytes > 0;
        if is_last {
            let written = self.write(self.checksum.is_none()).await?;
            self.wrote(written);
        }
        if self.checksum.is_none() { self.tell_all(is_last).await } else { Ok(()) }
    }

    async fn tell_all(&mut self, is_durable: bool) -> Result<(), Error> {
        self.wait_for_telling().await?;
        if self.untold.is_empty() { Ok(()) } else { self.tell(is_durable).await }
    }

    /// Tells Postgres of everything when it is what was said. If not, it is never known and goes
    /// with the upload.
    async fn release(mut self, checksum: Checksum) -> Result<u64, Error> {
        if !checksum.fits() {
            return Err(Error::ChecksumMismatch);
        }
        self.tell_all(false).await?;
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
        self.told
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
