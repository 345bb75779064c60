//! The words of a scenario. `tests/scenarios/README.md` explains each.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::gateway::Network;

/// One scenario file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What happens, in a few words.
    pub name: String,
    /// What it shows about the product.
    pub promise: String,
    /// People by name.
    pub users: BTreeMap<String, User>,
    /// Vehicles by name, on the server from the beginning.
    pub vehicles: BTreeMap<String, Owned>,
    /// Devices by name.
    pub devices: BTreeMap<String, DeviceOf>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// A person.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Their role; technician when absent.
    #[serde(default = "technician")]
    pub role: motomind_protocol::Role,
    /// Their tenant.
    #[serde(default = "acme")]
    pub tenant: String,
}

/// Something of a tenant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owned {
    /// Its tenant.
    #[serde(default = "acme")]
    pub tenant: String,
}

/// A device directory.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceOf {
    /// Whose it is.
    pub user: String,
}

fn technician() -> motomind_protocol::Role {
    motomind_protocol::Role::Technician
}

fn acme() -> String {
    "acme".into()
}

fn hour() -> i64 {
    3_600
}

/// One thing that happens, and what must be seen. The README explains the fields.
#[allow(missing_docs)]
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// How a device reaches the server from now on.
    Network { device: String, to: Network },
    /// The server process ends in order.
    StopServer {},
    /// The server process starts on the database as it is.
    StartServer {},
    /// The server's database is copied.
    BackUp {
        #[serde(rename = "as")]
        name: String,
    },
    /// The server's database is replaced by a copy; the server runs on.
    Restore { backup: String },
    /// A manager revokes a device.
    Revoke { device: String },
    /// All devices' clocks go forward.
    Wait { minutes: i64 },

    /// A process opens a device's directory.
    Open {
        device: String,
        /// Another process than the device's own.
        process: Option<String>,
        /// Another user than the device's own.
        user: Option<String>,
        #[serde(default)]
        expect: Value,
    },
    /// The process ends in order.
    Close { device: String },
    /// The process is killed at once.
    Kill { device: String },
    /// The files of a closed or killed device appear on another one.
    Copy { device: String, to: String },
    /// The device gets a token, or loses it.
    Token {
        device: String,
        user: Option<String>,
        #[serde(default = "hour")]
        expires_in_s: i64,
        #[serde(default)]
        none: bool,
        #[serde(default)]
        expect: Value,
    },
    /// A person captures something.
    Capture {
        device: String,
        #[serde(rename = "as")]
        name: String,
        vehicle: String,
        event: Map<String, Value>,
        #[serde(default)]
        expect: Value,
    },
    /// A person mends a capture.
    Amend {
        device: String,
        what: String,
        #[serde(rename = "as")]
        name: String,
        vehicle: String,
        event: Map<String, Value>,
        #[serde(default)]
        expect: Value,
    },
    /// A person takes a capture back.
    Discard {
        device: String,
        what: String,
        #[serde(rename = "as")]
        name: String,
        reason: String,
        #[serde(default)]
        expect: Value,
    },
    /// A person asks to offer a capture again.
    Retry {
        device: String,
        what: String,
        #[serde(default)]
        expect: Value,
    },
    /// A person imports a Fuelio export.
    Import {
        device: String,
        vehicle: String,
        /// Path from the repository's root.
        file: String,
        timezone: String,
        currency: Option<String>,
        #[serde(default)]
        expect: Value,
    },
    /// The device syncs until it has caught up or can do no more.
    Sync {
        device: String,
        #[serde(default = "caught_up")]
        expect: Value,
    },

    /// Everything that the device says is not settled, in the order of capture.
    Pending { device: String, expect: Value },
    /// What the device shows of a vehicle, newest first.
    Timeline {
        device: String,
        vehicle: String,
        #[serde(default)]
        hidden: bool,
        expect: Value,
    },
    /// A vehicle's current mileage on the device.
    Mileage { device: String, vehicle: String, expect: Value },
    /// The device's status.
    Status { device: String, expect: Value },
    /// The operations in the device's export.
    Export {
        device: String,
        #[serde(default)]
        everything: bool,
        expect: Value,
    },
    /// The events that the server has of a vehicle, in its order.
    ServerHas { vehicle: String, expect: Value },
}

fn caught_up() -> Value {
    serde_json::json!({"end": "caught_up"})
}
