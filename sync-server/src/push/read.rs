//! Reading a batch: what can be said of each operation before the database is asked.
//!
//! Each operation is read by itself, from its own piece of JSON: one that cannot be read is
//! refused with its reason and the others go on.

use motomind_protocol::wire::Rejection;
use motomind_protocol::{
    Body, DeviceId, Identity, Incarnation, OpId, Operation, SealedOperation, Violation, code,
    limits,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::Error;

/// A batch, read as far as it can be.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The life of the journal that sends it.
    pub(crate) incarnation: Incarnation,
    /// The device of its first readable operation.
    pub(crate) device_id: Option<DeviceId>,
    /// One for each operation sent, in order.
    pub(crate) items: Vec<Item>,
}

/// One operation of a batch.
#[derive(Debug)]
pub(crate) struct Item {
    /// Its id, where even that could be read.
    pub(crate) op_id: Option<OpId>,
    /// What it is.
    pub(crate) content: Content,
}

/// What an operation of a batch is.
#[derive(Debug)]
pub(crate) enum Content {
    /// Readable, intact, this caller's own.
    Operation(Box<Received>),
    /// Intact, but it does not say what this server understands: kept with its reason.
    Quarantined(SealedOperation, Option<Box<Operation>>, Rejection),
    /// Not what a device sealed for this caller: nothing of it is kept.
    Refused(Rejection),
}

/// An operation as it arrived.
#[derive(Debug)]
pub(crate) struct Received {
    /// The bytes.
    pub(crate) sealed: SealedOperation,
    /// What they say.
    pub(crate) operation: Operation,
}

#[derive(Deserialize)]
struct Version {
    protocol: u16,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    incarnation: Incarnation,
    #[serde(borrow)]
    operations: Vec<&'a RawValue>,
}

impl Batch {
    /// Reads the body of a push.
    ///
    /// # Errors
    /// When the request as a whole is not one: [`Error::Malformed`], [`Error::Protocol`],
    /// [`Error::TooLarge`].
    pub(crate) fn read(body: &[u8], caller: Identity) -> Result<Self, Error> {
        let malformed = |error: serde_json::Error| {
            Error::Malformed(format!("this is not a push request: {error}"))
        };
        let text = std::str::from_utf8(body)
            .map_err(|error| Error::Malformed(format!("the body is not UTF-8: {error}")))?;
        // The version first: a request of another version may have another form.
        let version: Version = serde_json::from_str(text).map_err(malformed)?;
        if version.protocol != limits::PROTOCOL_VERSION {
            return Err(Error::Protocol);
        }
        let envelope: Envelope<'_> = serde_json::from_str(text).map_err(malformed)?;
        if envelope.operations.len() > limits::PUSH_OPERATIONS_MAX {
            let max = limits::PUSH_OPERATIONS_MAX;
            return Err(Error::TooLarge(format!("at most {max} operations in one push")));
        }
        let mut batch = Self {
            incarnation: envelope.incarnation,
            device_id: None,
            items: Vec::with_capacity(envelope.operations.len()),
        };
        for raw in envelope.operations {
            let item = Item::read(raw, caller, &mut batch.device_id);
            batch.items.push(item);
        }
        Ok(batch)
    }
}

impl Item {
    fn read(raw: &RawValue, caller: Identity, device: &mut Option<DeviceId>) -> Self {
        let sealed: SealedOperation = match serde_json::from_str(raw.get()) {
            Ok(sealed) => sealed,
            Err(error) => {
                let rejection = Rejection::new(code::MALFORMED, error.to_string());
                return Self { op_id: lone_id(raw), content: Content::Refused(rejection) };
            }
        };
        Self { op_id: Some(sealed.op_id), content: Content::read(sealed, caller, device) }
    }

    /// The operation, where it is one to be judged.
    pub(crate) fn received(&self) -> Option<&Received> {
        match &self.content {
            Content::Operation(received) => Some(received),
            _ => None,
        }
    }
}

impl Content {
    fn read(sealed: SealedOperation, caller: Identity, device: &mut Option<DeviceId>) -> Self {
        let operation = match sealed.open() {
            Ok(operation) => operation,
            Err(violations) => return Self::unreadable(sealed, violations),
        };
        if let Some(field) = stranger(&operation, caller) {
            let message = "it was captured by someone else; sign in as them to send it";
            let rejection = Rejection::new(code::WRONG_IDENTITY, message).field(field);
            return Self::Refused(rejection);
        }
        if *device.get_or_insert(operation.device_id) != operation.device_id {
            let message = "one push carries the operations of one device";
            let rejection = Rejection::new(code::WRONG_IDENTITY, message).field("device_id");
            return Self::Refused(rejection);
        }
        let newer = operation.schema > limits::SCHEMA_VERSION;
        if newer || matches!(operation.body, Body::Other(_)) {
            let message = "this server does not know this kind of operation yet";
            let rejection = Rejection::new(code::UNSUPPORTED, message);
            return Self::Quarantined(sealed, Some(Box::new(operation)), rejection);
        }
        Self::Operation(Box::new(Received { sealed, operation }))
    }

    /// What was damaged on the way is not evidence; what was sealed unreadable is.
    fn unreadable(sealed: SealedOperation, violations: Vec<Violation>) -> Self {
        let damaged = |first: &Violation| match first.code.as_str() {
            code::HASH_MISMATCH | code::TOO_LARGE => true,
            code::ID_MISMATCH => first.field == "op_id",
            _ => false,
        };
        let intact = !violations.first().is_some_and(damaged);
        let rejection = Rejection::from(violations);
        if intact { Self::Quarantined(sealed, None, rejection) } else { Self::Refused(rejection) }
    }
}

fn stranger(operation: &Operation, caller: Identity) -> Option<&'static str> {
    if operation.tenant_id != caller.tenant_id {
        Some("tenant_id")
    } else if operation.user_id != caller.user_id {
        Some("user_id")
    } else {
        None
    }
}

/// The id of an operation of which nothing else can be read.
fn lone_id(raw: &RawValue) -> Option<OpId> {
    #[derive(Deserialize)]
    struct Lone {
        op_id: OpId,
    }
    serde_json::from_str::<Lone>(raw.get()).ok().map(|lone| lone.op_id)
}
