//! Failures as JavaScript errors with a stable `code`.

use std::fmt::Display;

use js_sys::{Error, Reflect};
use motomind_core::{CaptureError, OpenError, StoreError};
use serde_json::json;
use wasm_bindgen::JsValue;

/// An `Error` with a `code`.
pub(crate) fn failure(code: &str, message: impl Display) -> JsValue {
    let error = Error::new(&message.to_string());
    // Setting a property of a fresh object cannot fail.
    let _ = Reflect::set(&error, &"code".into(), &code.into());
    error.into()
}

/// An `Error` with a `code`, and with `data` that a program can read.
fn telling(code: &str, message: impl Display, data: &serde_json::Value) -> JsValue {
    let error = failure(code, message);
    let data = js_sys::JSON::parse(&data.to_string()).unwrap_or(JsValue::UNDEFINED);
    let _ = Reflect::set(&error, &"data".into(), &data);
    error
}

pub(crate) fn malformed(error: impl Display) -> JsValue {
    failure("malformed", error)
}

pub(crate) fn opening(error: OpenError) -> JsValue {
    let code = match &error {
        OpenError::AlreadyOpen => "already_open",
        OpenError::WrongIdentity(_) => "wrong_identity",
        OpenError::NoIdentity => "no_identity",
        OpenError::WrongKey => "wrong_key",
        OpenError::NoEncryption => "no_encryption",
        OpenError::NewerSchema { .. } => "newer_schema",
        OpenError::JournalDamaged(_) => "journal_damaged",
        OpenError::Store(error) => return storing(error),
    };
    failure(code, error)
}

pub(crate) fn capturing(error: CaptureError) -> JsValue {
    let code = match &error {
        CaptureError::Invalid(violations) => {
            return telling("invalid", &error, &json!({ "violations": violations }));
        }
        CaptureError::ConfirmJump { miles, before } => {
            let data = json!({ "miles": miles, "before": before });
            return telling("confirm_jump", &error, &data);
        }
        CaptureError::IdReused => "id_reused",
        CaptureError::UnknownOperation => "unknown_operation",
        CaptureError::UnknownRecord(_) => "unknown_record",
        CaptureError::AlreadyAccepted => "already_accepted",
        CaptureError::NotRefused => "not_refused",
        CaptureError::AlreadySuperseded => "already_superseded",
        CaptureError::Photo(_) => "photo",
        CaptureError::NoRoom { .. } => "no_room",
        CaptureError::PieceTooLarge => "piece_too_large",
        CaptureError::NotBeingWritten => "not_being_written",
        CaptureError::UnknownPhoto => "unknown_photo",
        CaptureError::UnknownSession => "unknown_session",
        CaptureError::SessionOver(_) => "session_over",
        CaptureError::StepsMissing(_) => "steps_missing",
        CaptureError::Host(_) => "host",
        CaptureError::Seal(_) => "too_large",
        CaptureError::Store(error) => return storing(error),
    };
    failure(code, error)
}

pub(crate) fn storing(error: &StoreError) -> JsValue {
    let code = match error {
        StoreError::DiskFull => "disk_full",
        StoreError::Damaged(_) => "damaged",
        StoreError::Sqlite(_) => "storage",
    };
    failure(code, error)
}
