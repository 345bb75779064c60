//! Every limit has a name and stands here. Both ends use the same ones.

/// Version of the messages in [`crate::wire`], sent in every request and reply.
pub const PROTOCOL_VERSION: u16 = 1;

/// Version of [`crate::Operation`] and its body that this build writes.
pub const SCHEMA_VERSION: u16 = 1;

/// Sealed text of one operation, bytes.
pub const OPERATION_BYTES_MAX: usize = 64 * 1024;

/// Operations in one push.
pub const PUSH_OPERATIONS_MAX: usize = 200;

/// Operations that one takes the place of: an amendment names every one before it that may have
/// arrived.
pub const SUPERSEDES_MAX: usize = 500;

/// Amendments of amendments that are followed to the one that counts; a longer chain was made to
/// tire whoever follows it.
pub const AMENDMENTS_FOLLOWED_MAX: usize = 64;

/// Creations that one operation waits for: of its record, and of those that it refers to.
pub const NEEDS_MAX: usize = 100;

/// Earlier changes of one text that an edit counts over; see [`crate::records::text::folded`].
pub const OVER_MAX: usize = 32;

/// What earlier changes of one text put in, bytes, where there are several of them.
pub const OVER_BYTES_MAX: usize = 16 * 1024;

/// Body of one push after decompression, bytes. Also the largest value that crosses any border.
pub const PUSH_BYTES_MAX: usize = 1024 * 1024;

/// Sealed texts that a device puts in one push, bytes; leaves room for the envelope around each.
pub const PUSH_TEXT_BYTES_TARGET: usize = 700 * 1024;

/// Changes in one pull page.
pub const PULL_CHANGES_MAX: usize = 1_000;

/// Encoded changes in one pull page, bytes. At least one change is always sent.
pub const PULL_BYTES_MAX: usize = 768 * 1024;

/// One reply as a device accepts it, bytes.
pub const REPLY_BYTES_MAX: usize = 1024 * 1024 + 64 * 1024;

/// One ranged piece of an immutable object (a snapshot, later a photo), bytes.
pub const PIECE_BYTES_MAX: usize = 1024 * 1024;

/// One photo, bytes.
pub const PHOTO_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What a device puts in one `PATCH` of an upload, bytes: it is stored before it is acknowledged,
/// so that an interruption costs at most so much again.
pub const UPLOAD_CHUNK_BYTES: usize = 256 * 1024;

/// `Upload-Metadata` of one upload, bytes.
pub const UPLOAD_METADATA_BYTES_MAX: usize = 4 * 1024;

/// Runs of sequences in a [`crate::wire::LifeInCustody`].
pub const CUSTODY_RUNS_MAX: usize = 1_000;

/// Photos named in a [`crate::wire::MissingPhotos`].
pub const CUSTODY_PHOTOS_MAX: usize = 1_000;

/// Length of a cursor as text.
pub const CURSOR_CHARS_MAX: usize = 256;

/// Highest odometer reading, miles.
pub const MILES_MAX: i64 = 9_999_999;

/// Largest fill, US gallons.
pub const GALLONS_MAX: f64 = 1_000.0;

/// Largest amount of money, minor units (10 billion of a two-decimal currency).
pub const AMOUNT_MINOR_MAX: i64 = 1_000_000_000_000;

/// `notes` and other long texts, characters.
pub const TEXT_CHARS_MAX: usize = 10_000;

/// Short texts (vendor, station, one list entry), characters.
pub const LINE_CHARS_MAX: usize = 500;

/// `reason` of a correction, retraction or restoration, characters.
pub const REASON_CHARS_MAX: usize = 1_000;

/// The name of an event type, characters.
pub const TYPE_CHARS_MAX: usize = 64;

/// An IANA time zone name, characters.
pub const TIMEZONE_CHARS_MAX: usize = 64;

/// Entries in any list of a payload.
pub const LIST_ENTRIES_MAX: usize = 500;

/// Lists and objects within each other in any key of an event. JSON readers stop at 128 for the
/// whole message, so that what was sealed can always be read again.
pub const NESTING_MAX: usize = 32;

/// 1900-01-01T00:00:00Z. Nothing happened to a vehicle before.
pub const OCCURRED_AT_MIN_MS: i64 = -2_208_988_800_000;

/// 9999-12-31T23:59:59.999Z, the last instant both databases can hold as a date.
pub const OCCURRED_AT_MAX_MS: i64 = 253_402_300_799_999;

/// An event further ahead of the server than this is accepted with [`crate::Flag::ClockAhead`].
pub const CLOCK_AHEAD_MS_MAX: i64 = 24 * 60 * 60 * 1000;

/// Odometer jump over the reading before that a person must confirm, miles.
pub const JUMP_MILES_MAX: i64 = 10_000;

/// Driving more than this per day earns a warning, miles.
pub const MILES_PER_DAY_MAX: i64 = 500;

/// Fuel above this earns a warning, US gallons.
pub const GALLONS_USUAL_MAX: f64 = 100.0;

/// Price per gallon outside this range earns a warning, major units.
pub const PRICE_PER_GALLON_USUAL: (f64, f64) = (1.5, 10.0);

/// Two events of one vehicle and type this close, with near-equal numbers, are probably one.
pub const DUPLICATE_WINDOW_MS: i64 = 5 * 60 * 1000;

/// A record's document with its history, bytes.
pub const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;

/// A document over this is begun again without its history, if that takes less than half, bytes.
pub const DOCUMENT_COMPACT_BYTES: usize = 64 * 1024;

/// Automerge operations in a document; a character put in or taken out is one.
pub const DOCUMENT_OPERATIONS_MAX: u64 = 1 << 18;

/// A document with more operations than this is begun again, if that takes less than half.
pub const DOCUMENT_COMPACT_OPERATIONS: u64 = 1 << 15;

/// One change of a document, bytes.
pub const CHANGE_BYTES_MAX: usize = 128 * 1024;

/// A JSON value in a record, bytes.
pub const RECORD_JSON_BYTES_MAX: usize = 32 * 1024;

/// How long a deleted record can be restored, days.
pub const RESTORE_DAYS_MAX: i64 = 30;

/// A day, milliseconds.
pub const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// How long a device keeps operations that the server has accepted, unless the server asks for more.
pub const RETENTION_DAYS_DEFAULT: u32 = 30;

/// Width times height of a photo.
pub const PHOTO_PIXELS_MAX: u64 = 100_000_000;

/// A photo written again so long after it was taken counts as edited.
pub const PHOTO_EDITED_AFTER_MS: i64 = 5 * 60 * 1000;

/// A photo taken longer ago than this counts as stale.
pub const PHOTO_STALE_AFTER_MS: i64 = 7 * DAY_MS;

/// Photos on one event.
pub const ATTACHMENTS_MAX: usize = 500;

/// Highest place of a photo among those of its event.
pub const SEQUENCE_MAX: i64 = 1_000_000;

/// The name of a step in a capture flow, characters.
pub const STEP_ID_CHARS_MAX: usize = 50;

/// Highest count of retakes of a photo.
pub const RETAKES_MAX: i64 = 1_000_000;

/// A capture session without activity for longer than this is abandoned.
pub const SESSION_IDLE_MS_MAX: i64 = 30 * 60 * 1000;
