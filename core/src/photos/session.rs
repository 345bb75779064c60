//! Capture sessions: a person photographing for one event, step by step or in one shot.
//!
//! A session is a value of `protocol::flow`; what happens to it is stored with each photo, so that
//! a crash costs nothing. When it is over the server is told, once: with the event that it became,
//! or when it is noticed that it was left. The photos of one that was left stay until the person
//! goes on with them or throws them away.

use motomind_protocol::flow::{Happening, Left, NotPossible, Path, Session};
use motomind_protocol::{Body, Hash, Millis, OpId, VehicleId, Violation, code, limits};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;
use uuid::Uuid;

use super::{PhotoMeta, album, blobs};
use crate::capture::Draft;
use crate::device::Device;
use crate::error::{CaptureError, StoreError};
use crate::fact::Clock;
use crate::ids::blob;
use crate::open;
use crate::records::unsettled_creation;

/// What is kept with a session's photo on this device alone, under these keys.
pub(super) const CAPTION: &str = "caption";
pub(super) const IS_PRIMARY: &str = "is_primary";

/// Room in an operation for what stands around a session, bytes.
const ENVELOPE_BYTES: usize = 4 * 1024;

impl Device {
    /// Begins a session of a flow ([`motomind_protocol::flow::FLOWS`], or a name of the host's own).
    ///
    /// # Errors
    /// [`CaptureError::Invalid`] for a name that no flow can have, or the storage's.
    pub fn begin_session(
        &mut self,
        vehicle: VehicleId,
        flow: impl Into<String>,
        path: Path,
        clock: impl Into<Clock>,
    ) -> Result<Session, CaptureError> {
        let clock = clock.into();
        let id = open::new_uuid(&mut self.rng, clock.wall_ms);
        self.begin_session_as(id, vehicle, flow, path, clock)
    }

    /// The same under an id that the caller has made: beginning it again is going on with it.
    ///
    /// # Errors
    /// As [`Device::begin_session`].
    pub fn begin_session_as(
        &mut self,
        id: Uuid,
        vehicle: VehicleId,
        flow: impl Into<String>,
        path: Path,
        clock: impl Into<Clock>,
    ) -> Result<Session, CaptureError> {
        let clock = clock.into();
        if let Some(begun) = load(&self.conn, id)? {
            return Ok(begun);
        }
        self.notice_left_sessions(clock)?;
        let session = Session::begin(id, vehicle, flow, path, clock.wall_ms);
        let over = session.after(Happening::Left(Left::Navigation), clock.wall_ms);
        over.map_err(not_possible)?.validate().map_err(CaptureError::Invalid)?;
        self.store_together(None, Vec::new(), |tx| save(tx, &session))?;
        Ok(session)
    }

    /// The person goes to a step.
    ///
    /// # Errors
    /// [`CaptureError::SessionOver`], [`CaptureError::UnknownSession`], [`CaptureError::Invalid`].
    pub fn session_step(
        &mut self,
        session: Uuid,
        step: impl Into<String>,
        clock: impl Into<Clock>,
    ) -> Result<Session, CaptureError> {
        self.touch(session, Happening::Step(step.into()), clock.into())
    }

    /// The person does something else in a session, such as reading or typing: it goes on.
    ///
    /// # Errors
    /// As [`Device::session_step`].
    pub fn session_activity(
        &mut self,
        session: Uuid,
        clock: impl Into<Clock>,
    ) -> Result<Session, CaptureError> {
        self.touch(session, Happening::Activity, clock.into())
    }

    /// A step more or less is not worth waiting for the disk.
    fn touch(
        &mut self,
        session: Uuid,
        happening: Happening,
        clock: Clock,
    ) -> Result<Session, CaptureError> {
        let next = self.session_after(session, happening, clock)?;
        blobs::without_waiting(&self.conn, |tx| save(tx, &next))?;
        Ok(next)
    }

    /// Throws a photo out of a session. Its bytes go, where nothing else needs them.
    ///
    /// # Errors
    /// As [`Device::session_step`]; [`CaptureError::UnknownPhoto`].
    pub fn remove_session_photo(
        &mut self,
        session: Uuid,
        photo: Hash,
        clock: impl Into<Clock>,
    ) -> Result<Session, CaptureError> {
        let next = self.session_after(session, Happening::PhotoRemoved(photo), clock.into())?;
        self.store_together(None, Vec::new(), |tx| {
            save(tx, &next)?;
            album::forget_unused(tx, &photo)
        })?;
        blobs::give_back(&self.conn)?;
        Ok(next)
    }

    /// The person leaves a session. Its photos stay; the server is told that it was left.
    ///
    /// # Errors
    /// As [`Device::session_step`].
    pub fn leave_session(
        &mut self,
        session: Uuid,
        reason: Left,
        clock: impl Into<Clock>,
    ) -> Result<Session, CaptureError> {
        let clock = clock.into();
        let over = self.session_after(session, Happening::Left(reason), clock)?;
        self.tell_left(&over, clock)?;
        Ok(over)
    }

    /// Goes on with a session after a crash, or with the photos of one that was left: that one
    /// stays as it was told, a new one takes the photos along.
    ///
    /// # Errors
    /// [`CaptureError::UnknownSession`], or the storage's.
    pub fn resume_session(
        &mut self,
        session: Uuid,
        clock: impl Into<Clock>,
    ) -> Result<Session, CaptureError> {
        let clock = clock.into();
        let stored = load(&self.conn, session)?.ok_or(CaptureError::UnknownSession)?;
        let seen = stored.seen_at(clock.wall_ms);
        if seen.is_active() {
            return self.touch(session, Happening::Activity, clock);
        }
        let id = open::new_uuid(&mut self.rng, clock.wall_ms);
        let next = seen.resume(id, clock.wall_ms).map_err(not_possible)?;
        let drafts = match stored.is_active() {
            true => vec![self.session_draft(&seen, clock)?],
            false => Vec::new(),
        };
        let operations = self.store_together(None, drafts, |tx| {
            forget(tx, session)?;
            save(tx, &next)
        })?;
        self.show_statements(operations);
        Ok(next)
    }

    /// The sessions that a person can go on with, the last touched first: those that go on, and
    /// those that were left with photos.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read.
    pub fn sessions(&self, now: Millis) -> Result<Vec<Session>, StoreError> {
        let sessions = all(&self.conn)?.into_iter().map(|session| session.seen_at(now));
        Ok(sessions.filter(|one| one.is_active() || !one.photos.is_empty()).collect())
    }

    /// One session as it is now.
    ///
    /// # Errors
    /// [`StoreError`] when the journal cannot be read.
    pub fn session(&self, id: Uuid, now: Millis) -> Result<Option<Session>, StoreError> {
        Ok(load(&self.conn, id)?.map(|session| session.seen_at(now)))
    }

    /// Throws away what is left of a session, with the photos that nothing else needs, as the
    /// person decided. One that goes on is left first.
    ///
    /// # Errors
    /// [`CaptureError::UnknownSession`], or the storage's.
    pub fn discard_session_photos(
        &mut self,
        session: Uuid,
        clock: impl Into<Clock>,
    ) -> Result<(), CaptureError> {
        let clock = clock.into();
        let stored = load(&self.conn, session)?.ok_or(CaptureError::UnknownSession)?;
        let mut over = stored.seen_at(clock.wall_ms);
        if over.is_active() {
            let left = Happening::Left(Left::Navigation);
            over = over.after(left, clock.wall_ms).map_err(not_possible)?;
        }
        let drafts = match stored.is_active() {
            true => vec![self.session_draft(&over, clock)?],
            false => Vec::new(),
        };
        let operations = self.store_together(None, drafts, |tx| {
            forget(tx, session)?;
            over.photos.iter().try_for_each(|one| album::forget_unused(tx, &one.photo))
        })?;
        self.show_statements(operations);
        blobs::give_back(&self.conn)?;
        Ok(())
    }

    /// Tells of the sessions that nobody has touched for more than 30 minutes. How many there were.
    ///
    /// # Errors
    /// The storage's; they are told the next time.
    pub fn notice_left_sessions(&mut self, clock: impl Into<Clock>) -> Result<usize, CaptureError> {
        let clock = clock.into();
        let going_on = all(&self.conn)?.into_iter().filter(Session::is_active);
        let left = going_on.map(|one| one.seen_at(clock.wall_ms)).filter(|one| !one.is_active());
        let left: Vec<Session> = left.collect();
        left.iter().try_for_each(|session| self.tell_left(session, clock))?;
        Ok(left.len())
    }

    /// A session after something happened, not stored yet. One that turns out to have been left is
    /// told.
    pub(super) fn session_after(
        &mut self,
        id: Uuid,
        happening: Happening,
        clock: Clock,
    ) -> Result<Session, CaptureError> {
        let session = load(&self.conn, id)?.ok_or(CaptureError::UnknownSession)?;
        let after = session.after(happening, clock.wall_ms);
        if let Err(NotPossible::NotActive(over)) = &after
            && session.is_active()
        {
            self.tell_left(over, clock)?;
        }
        after.map_err(not_possible)
    }

    /// A session with one photo more.
    pub(super) fn session_with_photo(
        &mut self,
        id: Uuid,
        photo: Hash,
        step: Option<String>,
        meta: &PhotoMeta,
        clock: Clock,
    ) -> Result<Session, CaptureError> {
        let mut next = self.session_after(id, Happening::Photo(photo, step), clock)?;
        if let Some(one) = next.photos.iter_mut().find(|one| one.photo == photo) {
            let caption = meta.caption.clone().map(|caption| (CAPTION.into(), caption.into()));
            let primary = meta.is_primary.then(|| (IS_PRIMARY.into(), Value::Bool(true)));
            one.extra.extend(caption.into_iter().chain(primary));
        }
        let bytes = serde_json::to_string(&to_tell(&next))?.len();
        if bytes > limits::OPERATION_BYTES_MAX - ENVELOPE_BYTES {
            let message = "the session has too many photos; save it, then add more to the event";
            return Err(CaptureError::Invalid(vec![Violation::new(
                "photos",
                code::TOO_LONG,
                message,
            )]));
        }
        Ok(next)
    }

    /// Stores that a session was left, and tells the server; once.
    fn tell_left(&mut self, over: &Session, clock: Clock) -> Result<(), CaptureError> {
        let draft = self.session_draft(over, clock)?;
        let operations =
            self.store_together(None, vec![draft], |tx| match over.photos.is_empty() {
                true => forget(tx, over.id),
                false => save(tx, over),
            })?;
        self.show_statements(operations);
        Ok(())
    }

    pub(super) fn session_draft(
        &mut self,
        over: &Session,
        clock: Clock,
    ) -> Result<Draft, CaptureError> {
        let told = to_tell(over);
        told.validate().map_err(CaptureError::Invalid)?;
        self.statement_draft(over.vehicle_id, Body::Session(Box::new(told)), Vec::new(), clock)
    }

    /// An operation beside events, not sealed yet.
    pub(crate) fn statement_draft(
        &mut self,
        vehicle: VehicleId,
        body: Body,
        supersedes: Vec<OpId>,
        clock: Clock,
    ) -> Result<Draft, CaptureError> {
        let op_id = self.next_op_id(clock.wall_ms);
        let needs = unsettled_creation(&self.conn, vehicle.0)?.into_iter().collect();
        Ok(Draft { op_id, lane: vehicle.0, supersedes, needs, body, clock })
    }
}

/// The session as the server is told of it.
fn to_tell(session: &Session) -> Session {
    let mut told = session.clone();
    for photo in &mut told.photos {
        photo.extra.remove(CAPTION);
        photo.extra.remove(IS_PRIMARY);
    }
    told
}

pub(super) fn not_possible(why: NotPossible) -> CaptureError {
    match why {
        NotPossible::NotActive(session) => CaptureError::SessionOver(session),
        NotPossible::StepsMissing(steps) => CaptureError::StepsMissing(steps),
        NotPossible::NoSuchPhoto => CaptureError::UnknownPhoto,
        NotPossible::BadStep(violation) => CaptureError::Invalid(vec![violation]),
        NotPossible::NotAbandoned => CaptureError::UnknownSession,
    }
}

/// A session of this device.
pub(super) fn load(conn: &Connection, id: Uuid) -> Result<Option<Session>, StoreError> {
    let json: Option<String> = conn
        .prepare_cached("SELECT session FROM sessions WHERE id = ?1")?
        .query_row([blob(&id)], |row| row.get(0))
        .optional()?;
    Ok(json.map(|json| serde_json::from_str(&json)).transpose()?)
}

fn all(conn: &Connection) -> Result<Vec<Session>, StoreError> {
    let mut statement =
        conn.prepare_cached("SELECT session FROM sessions ORDER BY touched_at DESC, id")?;
    let mut rows = statement.query([])?;
    let mut sessions = Vec::new();
    while let Some(row) = rows.next()? {
        sessions.push(serde_json::from_str(row.get_ref(0)?.as_str().unwrap_or_default())?);
    }
    Ok(sessions)
}

/// Whether a session holds a photo.
pub(super) fn holds(conn: &Connection, photo: &Hash) -> Result<bool, StoreError> {
    Ok(all(conn)?.iter().any(|session| session.photos.iter().any(|one| one.photo == *photo)))
}

/// Stores a session within the caller's transaction.
/// Sessions on a vehicle that turned out to be another one go on with that, within the caller's
/// transaction.
pub(crate) fn move_to(conn: &Connection, from: VehicleId, to: VehicleId) -> Result<(), StoreError> {
    let sessions: Vec<String> = {
        let mut statement = conn.prepare_cached("SELECT session FROM sessions")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.collect::<Result<_, _>>()?
    };
    for text in sessions {
        let session: Session = serde_json::from_str(&text)?;
        if session.vehicle_id == from {
            save(conn, &Session { vehicle_id: to, ..session })?;
        }
    }
    Ok(())
}

pub(super) fn save(conn: &Connection, session: &Session) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO sessions (id, session, touched_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (id) DO UPDATE SET
           session = excluded.session, touched_at = excluded.touched_at",
    )?
    .execute(params![
        blob(&session.id),
        serde_json::to_string(session)?,
        session.last_activity_at
    ])?;
    Ok(())
}

/// Forgets a session within the caller's transaction: it was completed, or nothing is left of it.
pub(super) fn forget(conn: &Connection, id: Uuid) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM sessions WHERE id = ?1")?.execute([blob(&id)])?;
    Ok(())
}
