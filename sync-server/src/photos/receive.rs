//! Receiving the bytes of one `PATCH`: each piece is stored, then told to Postgres, while the next
//! one fills. What arrived before a connection broke is kept.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use motomind_protocol::limits::PIECE_BYTES_MAX;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::checksum::Checksum;
use super::running::{Arrival, Settle};
use super::upload::{Piece, Upload, advance, take_over};
use crate::App;
use crate::error::Error;

/// A silence after which what arrived is stored, though the piece is not full.
const PAUSE: Duration = Duration::from_secs(2);

/// Pauses in a row after which the connection counts as broken.
const PAUSES_MAX: u32 = 30;

/// A silence after which, to somebody who asks, everything has arrived. A connection that was cut
/// says so before.
const QUIET: Duration = Duration::from_millis(100);

/// Bytes that may still come until somebody who asks is answered.
const QUIET_BYTES_MAX: usize = 8 * PIECE_BYTES_MAX;

/// Receives a body into an upload at `offset`; returns where the upload stands then. Runs to its
/// end even when whoever asked is gone.
pub(crate) async fn receive(
    app: &App,
    upload: Upload,
    mut arrival: Arrival,
    offset: u64,
    body: Body,
    checksum: Option<Checksum>,
) -> Result<u64, Error> {
    let app = app.clone();
    let work = tokio::spawn(async move {
        super::of(&app)?.running.settle(upload.id, Some(&arrival)).await;
        let holder = Uuid::new_v4();
        take_over(&app, &upload, holder, offset).await?;
        let taking = Intake::new(app, upload, holder, offset, checksum);
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

/// One `PATCH` on its way in.
struct Intake {
    app: App,
    upload: Upload,
    holder: Uuid,
    /// Where the open piece begins.
    first: u64,
    open: BytesMut,
    /// The piece before it, while it is being stored.
    storing: Option<JoinHandle<Result<Vec<Piece>, Error>>>,
    checksum: Option<Checksum>,
    /// With a checksum: pieces that Postgres is told of once it fits.
    withheld: Vec<Piece>,
}

impl Intake {
    fn new(app: App, upload: Upload, holder: Uuid, first: u64, checksum: Option<Checksum>) -> Self {
        let (open, withheld) = (BytesMut::new(), Vec::new());
        Self { app, upload, holder, first, open, storing: None, checksum, withheld }
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
                    self.take(&bytes).await?;
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
            (None, None) => Ok(self.first),
            (None, Some(checksum)) => self.release(checksum).await,
            (Some(how), _) => Err(Error::Malformed(format!("the body broke off: {how}"))),
        }
    }

    /// Adds bytes to the open piece and stores it when it is full.
    async fn take(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        let room = self.upload.bytes - self.first - self.open.len() as u64;
        if bytes.len() as u64 > room {
            self.open.clear();
            let length = self.upload.bytes;
            return Err(Error::TooLarge(format!("the upload is of {length} bytes, more came")));
        }
        if let Some(checksum) = &mut self.checksum {
            checksum.update(bytes);
        }
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES_MAX - self.open.len()));
            self.open.extend_from_slice(now);
            bytes = later;
            if self.open.len() == PIECE_BYTES_MAX {
                self.store().await?;
            }
        }
        Ok(())
    }

    /// Begins to store the open piece, once the one before it is stored.
    async fn store(&mut self) -> Result<(), Error> {
        if self.open.is_empty() {
            return Ok(());
        }
        self.wait().await?;
        let bytes = self.open.split().freeze();
        let first = self.first;
        self.first += bytes.len() as u64;
        let (app, upload, holder) = (self.app.clone(), self.upload.clone(), self.holder);
        let withhold = self.checksum.is_some();
        self.storing = Some(tokio::spawn(async move {
            let length = bytes.len() as u64;
            let store = &super::of(&app)?.store;
            let object = store.put_piece(upload.tenant, upload.id, first, bytes).await?;
            let pieces = vec![Piece { first, bytes: length, object }];
            if withhold {
                return Ok(pieces);
            }
            advance(&app, &upload, holder, &pieces).await?;
            Ok(Vec::new())
        }));
        Ok(())
    }

    async fn wait(&mut self) -> Result<(), Error> {
        if let Some(storing) = self.storing.take() {
            let joined = storing.await;
            let pieces = joined.map_err(|error| Error::Internal(error.to_string()))??;
            self.withheld.extend(pieces);
        }
        Ok(())
    }

    /// Stores all there is.
    async fn settle(&mut self) -> Result<(), Error> {
        self.store().await?;
        self.wait().await
    }

    /// Tells Postgres of the withheld pieces when they are what was said. If not, they are never
    /// known and go with the upload.
    async fn release(self, checksum: Checksum) -> Result<u64, Error> {
        if !checksum.fits() {
            return Err(Error::ChecksumMismatch);
        }
        advance(&self.app, &self.upload, self.holder, &self.withheld).await?;
        Ok(self.first)
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
