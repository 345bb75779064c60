//! A session as a value: what happens to it makes the next one. Time is given, never asked for.

use super::*;
use crate::limits::{ATTACHMENTS_MAX, NESTING_MAX, TYPE_CHARS_MAX};
use crate::photo::step_id;
use crate::validate::nests_deeper;
use crate::{Violation, code};

/// One person photographing for one event. Its photos survive a crash with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "types", derive(ts_rs::TS))]
pub struct Session {
    /// Made on the device.
    pub id: Uuid,
    /// The vehicle.
    pub vehicle_id: VehicleId,
    /// A name from [`FLOWS`], or a newer peer's, kept.
    pub flow: String,
    /// One shot or step by step.
    pub path: Path,
    /// When it began, UTC ms.
    pub started_at: Millis,
    /// When the person last did something, UTC ms; never goes back.
    pub last_activity_at: Millis,
    /// The step that the person is at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_step: Option<String>,
    /// Every photo, also those that a later one of the same step took the place of.
    #[serde(default)]
    pub photos: Vec<SessionPhoto>,
    /// The abandoned session whose photos it took along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumes: Option<Uuid>,
    /// Where it stands.
    pub standing: Standing,
    /// Keys of a newer peer, kept.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What a person does in a session.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// Goes to a step.
    Step(String),
    /// Takes a photo, of a step or of none.
    Photo(Hash, Option<String>),
    /// Throws a photo out of the session.
    PhotoRemoved(Hash),
    /// Does something else, such as reading or typing.
    Activity,
    /// Saves the event.
    Completed(EventId),
    /// Leaves; counts with and without photos.
    Left(Left),
}

/// Why a session did not change.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotPossible {
    /// It is completed, or abandoned; after a timeout this holds it as it is now.
    #[error("the session is no longer active")]
    NotActive(Box<Session>),
    /// It is active or completed: there is nothing to resume.
    #[error("only an abandoned session can be resumed")]
    NotAbandoned,
    /// Guided, and these required steps have no photo.
    #[error("these steps need a photo: {}", .0.join(", "))]
    StepsMissing(Vec<String>),
    /// The photo is not in the session.
    #[error("the photo is not in this session")]
    NoSuchPhoto,
    /// A step's name cannot be one.
    #[error("{}", .0.message)]
    BadStep(Violation),
}

impl Session {
    /// Begins a session.
    #[must_use]
    pub fn begin(
        id: Uuid,
        vehicle_id: VehicleId,
        flow: impl Into<String>,
        path: Path,
        now: Millis,
    ) -> Self {
        Self {
            id,
            vehicle_id,
            flow: flow.into(),
            path,
            started_at: now,
            last_activity_at: now,
            current_step: None,
            photos: Vec::new(),
            resumes: None,
            standing: Standing::Active,
            extra: Map::new(),
        }
    }

    /// This session as it is at an instant: one that nobody touched for more than 30 minutes was
    /// abandoned when these were over. What it says of itself does not depend on who looks when.
    #[must_use]
    pub fn seen_at(&self, now: Millis) -> Self {
        let mut session = self.clone();
        let idle_ms = now.saturating_sub(self.last_activity_at);
        if self.is_active() && idle_ms > SESSION_IDLE_MS_MAX {
            let at = self.last_activity_at.saturating_add(SESSION_IDLE_MS_MAX);
            session.abandon(Left::Timeout, at);
        }
        session
    }

    /// The session after something happened. A clock that went back does not take activity back.
    ///
    /// # Errors
    /// [`NotPossible`]; the session stays as it was.
    pub fn after(&self, happening: Happening, now: Millis) -> Result<Self, NotPossible> {
        let mut next = self.seen_at(now);
        if !next.is_active() {
            return Err(NotPossible::NotActive(Box::new(next)));
        }
        let at = now.max(next.last_activity_at);
        next.last_activity_at = at;
        match happening {
            Happening::Activity => {}
            Happening::Step(step) => next.current_step = Some(checked(step)?),
            Happening::Photo(photo, step) => next.add(photo, step.map(checked).transpose()?, at),
            Happening::PhotoRemoved(photo) => {
                let before = next.photos.len();
                next.photos.retain(|one| one.photo != photo);
                if next.photos.len() == before {
                    return Err(NotPossible::NoSuchPhoto);
                }
            }
            Happening::Completed(event_id) => {
                let missing = next.missing_steps();
                if next.path == Path::Guided && !missing.is_empty() {
                    let missing = missing.into_iter().map(String::from).collect();
                    return Err(NotPossible::StepsMissing(missing));
                }
                next.standing = Standing::Completed { event_id, completed_at: at };
            }
            Happening::Left(reason) => next.abandon(reason, at),
        }
        Ok(next)
    }

    /// A new session that goes on with the photos of this one, as the person decided. This one
    /// stays abandoned, so that what is counted about it stays true.
    ///
    /// # Errors
    /// [`NotPossible::NotAbandoned`].
    pub fn resume(&self, id: Uuid, now: Millis) -> Result<Self, NotPossible> {
        let old = self.seen_at(now);
        let Standing::Abandoned { abandoned_at_step, .. } = old.standing else {
            return Err(NotPossible::NotAbandoned);
        };
        let begun = Self::begin(id, old.vehicle_id, old.flow, old.path, now);
        let (current_step, resumes) = (abandoned_at_step, Some(old.id));
        Ok(Self { current_step, photos: old.photos, resumes, ..begun })
    }

    /// Checks what can be judged from the session alone, once it is over.
    ///
    /// # Errors
    /// Every [`Violation`], not only the first.
    pub fn validate(&self) -> Result<(), Vec<Violation>> {
        let mut out = Vec::new();
        if self.is_active() {
            let message = "a session is told once it is over";
            out.push(Violation::new("standing", code::OUT_OF_RANGE, message));
        }
        if self.flow.is_empty() || self.flow.chars().count() > TYPE_CHARS_MAX {
            let message = format!("flow must have 1 to {TYPE_CHARS_MAX} characters");
            out.push(Violation::new("flow", code::TOO_LONG, message));
        }
        if self.photos.len() > ATTACHMENTS_MAX {
            let message = format!("a session may have at most {ATTACHMENTS_MAX} photos");
            out.push(Violation::new("photos", code::TOO_LONG, message));
        }
        step_id("current_step", self.current_step.as_deref(), &mut out);
        for photo in self.photos.iter().take(ATTACHMENTS_MAX) {
            step_id("photos.step_id", photo.step_id.as_deref(), &mut out);
        }
        let photos = self.photos.iter().flat_map(|photo| &photo.extra);
        for (key, value) in self.extra.iter().chain(photos) {
            if nests_deeper(value, NESTING_MAX) {
                let message = format!("{key} may nest at most {NESTING_MAX} lists and objects");
                out.push(Violation::new(key.clone(), code::TOO_DEEP, message));
            }
        }
        if out.is_empty() { Ok(()) } else { Err(out) }
    }

    /// Whether the person is at it, as far as this value knows; see [`Session::seen_at`].
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.standing == Standing::Active
    }

    /// The photos that the event gets, in the order in which they were taken: all of a step that
    /// takes several, the last one of any other known step, all without a step.
    #[must_use]
    pub fn current_photos(&self) -> Vec<&SessionPhoto> {
        let flow = find(&self.flow);
        let replaced = |at: usize, photo: &SessionPhoto| {
            let step = photo.step_id.as_deref();
            let single = step.and_then(|id| flow?.step(id)).is_some_and(|step| !step.several);
            single && self.photos[at + 1..].iter().any(|later| later.step_id.as_deref() == step)
        };
        let photos = self.photos.iter().enumerate();
        photos.filter(|(at, photo)| !replaced(*at, photo)).map(|(_, photo)| photo).collect()
    }

    /// The required steps without a photo; none for an unknown flow.
    #[must_use]
    pub fn missing_steps(&self) -> Vec<&'static str> {
        let steps = find(&self.flow).map_or(&[][..], |flow| flow.steps);
        let taken = |id: &str| self.photos.iter().any(|one| one.step_id.as_deref() == Some(id));
        let required = steps.iter().filter(|step| step.need == Need::Required);
        required.map(|step| step.id).filter(|id| !taken(id)).collect()
    }

    /// The steps that have a photo, each once, in the order of their first.
    #[must_use]
    pub fn completed_steps(&self) -> Vec<&str> {
        let mut steps = Vec::new();
        for step in self.photos.iter().filter_map(|photo| photo.step_id.as_deref()) {
            if !steps.contains(&step) {
                steps.push(step);
            }
        }
        steps
    }

    /// From the beginning to the end, or to the last activity of one that is active, ms.
    #[must_use]
    pub fn duration_ms(&self) -> Millis {
        let end = match &self.standing {
            Standing::Active => self.last_activity_at,
            Standing::Completed { completed_at, .. } => *completed_at,
            Standing::Abandoned { abandoned_at, .. } => *abandoned_at,
        };
        end.saturating_sub(self.started_at).max(0)
    }

    fn add(&mut self, photo: Hash, step_id: Option<String>, added_at: Millis) {
        // Taken in twice, after a crash in between, it is in once.
        self.photos.retain(|one| one.photo != photo);
        self.current_step = step_id.clone().or(self.current_step.take());
        self.photos.push(SessionPhoto { photo, step_id, added_at, extra: Map::new() });
    }

    fn abandon(&mut self, reason: Left, abandoned_at: Millis) {
        let abandoned_at_step = self.current_step.clone();
        self.standing = Standing::Abandoned { abandoned_at_step, reason, abandoned_at };
    }
}

fn checked(step: String) -> Result<String, NotPossible> {
    let mut violations = Vec::new();
    step_id("step_id", Some(&step), &mut violations);
    violations.pop().map_or(Ok(step), |violation| Err(NotPossible::BadStep(violation)))
}
