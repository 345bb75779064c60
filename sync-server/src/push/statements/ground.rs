//! What is known of photos, their authors and sessions, for a run of statements.

use std::collections::{HashMap, HashSet};

use deadpool_postgres::Transaction;
use motomind_protocol::wire::Rejection;
use motomind_protocol::{Body, DeviceId, EventId, Hash, Operation, TenantId, UserId, code};
use uuid::Uuid;

use super::resolved;
use crate::error::Error;
use crate::push::judge::{Verdict, reject};
use crate::push::known::Known;

/// What is known that bears on statements alone.
#[derive(Debug, Default)]
pub(super) struct Ground {
    /// Photos of which the log tells what they say about themselves: its first statement about one
    /// does, always.
    facts: HashSet<Hash>,
    /// Who first attached a photo to the family of an event.
    authors: HashMap<(EventId, Hash), Option<UserId>>,
    /// Whose each session is.
    sessions: HashMap<Uuid, (Option<UserId>, Option<DeviceId>)>,
}

impl Ground {
    /// Reads it for a run of statements, whose chains are known.
    pub(super) async fn load(
        transaction: &Transaction<'_>,
        tenant: TenantId,
        operations: &[&Operation],
        known: &Known,
    ) -> Result<Self, Error> {
        let mut ground = Self::default();
        let (mut photos, mut sessions) = (Vec::new(), Vec::new());
        let (mut events, mut removed) = (Vec::new(), Vec::new());
        for operation in operations {
            match &operation.body {
                Body::Photo(said) => {
                    photos.push(said.photo);
                    if said.removed
                        && let Ok(Some(event)) = resolved(operation, known)
                    {
                        events.push(event.0);
                        removed.push(said.photo.to_string());
                    }
                }
                Body::Session(session) => sessions.push(session.id),
                _ => {}
            }
        }
        ground.load_facts(transaction, tenant, &photos).await?;
        ground.load_authors(transaction, tenant, &events, &removed).await?;
        ground.load_sessions(transaction, tenant, &sessions).await?;
        Ok(ground)
    }

    async fn load_facts(
        &mut self,
        transaction: &Transaction<'_>,
        tenant: TenantId,
        photos: &[Hash],
    ) -> Result<(), Error> {
        if photos.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = photos.iter().map(Hash::to_string).collect();
        let statement = transaction
            .prepare_cached(
                "SELECT DISTINCT photo FROM event_photos
                 WHERE tenant_id = $1 AND photo = ANY($2)",
            )
            .await?;
        let rows = transaction.query(&statement, &[&tenant.0, &names]).await?;
        self.facts = rows.iter().filter_map(|row| row.get::<_, &str>(0).parse().ok()).collect();
        Ok(())
    }

    async fn load_authors(
        &mut self,
        transaction: &Transaction<'_>,
        tenant: TenantId,
        events: &[Uuid],
        photos: &[String],
    ) -> Result<(), Error> {
        if events.is_empty() {
            return Ok(());
        }
        let statement = transaction
            .prepare_cached(
                "SELECT w.event_id, w.photo, first.user_id
                 FROM (SELECT DISTINCT * FROM unnest($2::uuid[], $3::text[])) AS w (event_id, photo)
                 JOIN event_registry r ON r.tenant_id = $1 AND r.event_id = w.event_id
                 CROSS JOIN LATERAL (
                     SELECT p.user_id FROM event_photos p
                     WHERE p.tenant_id = $1 AND p.root_id = r.root_id AND p.photo = w.photo
                       AND NOT p.removed
                     ORDER BY p.arrival LIMIT 1) AS first",
            )
            .await?;
        for row in transaction.query(&statement, &[&tenant.0, &events, &photos]).await? {
            if let Ok(photo) = row.get::<_, &str>(1).parse() {
                let author = row.get::<_, Option<Uuid>>(2).map(UserId);
                self.authors.insert((EventId(row.get(0)), photo), author);
            }
        }
        Ok(())
    }

    async fn load_sessions(
        &mut self,
        transaction: &Transaction<'_>,
        tenant: TenantId,
        sessions: &[Uuid],
    ) -> Result<(), Error> {
        if sessions.is_empty() {
            return Ok(());
        }
        let statement = transaction
            .prepare_cached(
                "SELECT id, user_id, device_id FROM capture_sessions
                 WHERE tenant_id = $1 AND id = ANY($2)",
            )
            .await?;
        for row in transaction.query(&statement, &[&tenant.0, &sessions]).await? {
            let user = row.get::<_, Option<Uuid>>(1).map(UserId);
            let device = row.get::<_, Option<Uuid>>(2).map(DeviceId);
            self.sessions.insert(row.get(0), (user, device));
        }
        Ok(())
    }

    /// Takes an accepted statement into account, for those after it.
    pub(super) fn learn(&mut self, operation: &Operation) {
        match &operation.body {
            Body::Photo(said) => {
                self.facts.extend(said.facts.as_ref().map(|facts| facts.sha256));
            }
            Body::Session(session) => {
                let owner = (Some(operation.user_id), Some(operation.device_id));
                self.sessions.insert(session.id, owner);
            }
            _ => {}
        }
    }

    /// Whether it takes a photo off an event that somebody else put there.
    pub(super) fn takes_anothers(&self, operation: &Operation, event: Option<EventId>) -> bool {
        let Body::Photo(said) = &operation.body else {
            return false;
        };
        let author = event.and_then(|event| self.authors.get(&(event, said.photo)));
        said.removed && author.is_some_and(|author| *author != Some(operation.user_id))
    }

    /// The refusal of a photo that nobody has described, and of a session that is somebody else's.
    pub(super) fn admits(&self, operation: &Operation) -> Option<Verdict> {
        match &operation.body {
            Body::Photo(said) if said.facts.is_none() && !self.facts.contains(&said.photo) => {
                let message = "the first statement about a photo says what the photo is";
                Some(reject(code::MISSING, message, Some("facts")))
            }
            Body::Session(session) => {
                let owner = (Some(operation.user_id), Some(operation.device_id));
                let taken = self.sessions.get(&session.id).is_some_and(|told| *told != owner);
                let message = "another session has this id";
                taken.then(|| {
                    let rejection = Rejection::new(code::RECORD_ID_TAKEN, message).field("id");
                    Verdict::Rejected(rejection)
                })
            }
            _ => None,
        }
    }
}
