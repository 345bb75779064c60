//! Playing a scenario, step by step.

use std::collections::BTreeMap;
use std::path::PathBuf;

use motomind_protocol::{Hash, uuid_v7};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::agent::Agent;
use super::gateway::Gateway;
use super::matching::{difference, name_ids};
use super::script::{Scenario, Step};
use super::stage::Stage;

/// A performance: the world, the devices in it, and the names given so far.
struct Play<'a> {
    scenario: &'a Scenario,
    program: &'a str,
    stage: Stage,
    folder: TempDir,
    gateways: BTreeMap<String, Gateway>,
    /// Running processes by device and process name.
    agents: BTreeMap<(String, String), Agent>,
    /// The token that each device has.
    device_ids: BTreeMap<String, Uuid>,
    /// Capture name → id.
    captures: BTreeMap<String, Uuid>,
    /// Id → name, for comparing.
    names: BTreeMap<String, String>,
    /// How far the devices' clocks are ahead of the real one, ms.
    ahead_ms: i64,
}

/// Plays a scenario with agents of the given program.
///
/// # Panics
/// With the step and the difference, when something is not as expected.
pub async fn play(scenario: &Scenario, program: &str) {
    let stage = Stage::set(scenario).await;
    let mut gateways = BTreeMap::new();
    for device in scenario.devices.keys() {
        gateways.insert(device.clone(), Gateway::open(&stage.url()).await);
    }
    let mut play = Play {
        scenario,
        program,
        names: stage.names(),
        stage,
        folder: tempfile::tempdir().unwrap(),
        gateways,
        agents: BTreeMap::new(),
        device_ids: BTreeMap::new(),
        captures: BTreeMap::new(),
        ahead_ms: 0,
    };
    for (number, step) in scenario.steps.iter().enumerate() {
        if let Err(difference) = play.step(step.clone()).await {
            panic!("{}: step {}, {step:?}\n{difference}", scenario.name, number + 1);
        }
    }
    play.end().await;
}

type Seen = Result<(), String>;

impl Play<'_> {
    async fn step(&mut self, step: Step) -> Seen {
        match step {
            Step::Network { device, to } => self.gateway(&device).set(to),
            Step::StopServer {} => self.moved(false).await,
            Step::StartServer {} => self.moved(true).await,
            Step::BackUp { name } => {
                self.stage.back_up(&name).await;
                self.lead_gateways();
            }
            Step::Restore { backup } => {
                self.stage.restore(&backup).await;
                self.lead_gateways();
            }
            Step::Revoke { device } => self.stage.revoke(self.device_ids[&device]).await,
            Step::Wait { minutes } => self.ahead_ms += minutes * 60_000,
            Step::Copy { device, to } => return self.copy(&device, &to),
            Step::Kill { device } => self.agents.remove(&own(&device)).expect("it runs").kill(),
            Step::Close { device } => {
                self.ask(&device, json!({"cmd": "close"}))?;
                self.agents.remove(&own(&device));
            }
            Step::ServerHas { vehicle, expect } => {
                let seen = self.stage.events(&vehicle).await;
                return self.compare(&expect, seen);
            }
            step => return self.device_step(step),
        }
        Ok(())
    }

    /// What a device is told or asked.
    fn device_step(&mut self, step: Step) -> Seen {
        match step {
            Step::Open { device, process, user, expect } => {
                self.open(&device, process, user, &expect)
            }
            Step::Token { device, user, expires_in_s, none, expect } => {
                let user = user.unwrap_or_else(|| self.scenario.devices[&device].user.clone());
                let token = (!none).then(|| self.stage.token(&user, expires_in_s));
                let expect = if expect.is_null() { json!({"blocked": null}) } else { expect };
                self.tell(&device, json!({"cmd": "token", "token": token}), &expect)
            }
            Step::Capture { device, name, vehicle, event, expect } => {
                let capture = self.event(&name, &vehicle, event);
                self.tell(&device, json!({"cmd": "capture", "capture": capture}), &expect)
            }
            Step::Amend { device, what, name, vehicle, event, expect } => {
                let capture = self.event(&name, &vehicle, event);
                let op_id = self.captures[&what];
                let command = json!({"cmd": "amend", "op_id": op_id, "capture": capture});
                self.tell(&device, command, &expect)
            }
            Step::Discard { device, what, name, reason, expect } => {
                let op_id = self.captures[&what];
                let command = json!({"cmd": "discard", "op_id": op_id, "reason": reason});
                let reply = self.ask(&device, command)?;
                if let Some(id) = reply["ok"]["op_id"].as_str() {
                    self.name(&name, id.parse().unwrap());
                }
                self.judge(reply, &expect)
            }
            Step::Retry { device, what, expect } => {
                let command = json!({"cmd": "retry", "op_id": self.captures[&what]});
                self.tell(&device, command, &expect)
            }
            Step::Import { device, vehicle, file, timezone, currency, expect } => {
                let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
                let command = json!({
                    "cmd": "import", "file": root.join(file), "vehicle": self.stage.vehicle(&vehicle),
                    "timezone": timezone, "currency": currency,
                });
                self.tell(&device, command, &expect)
            }
            Step::Sync { device, expect } => {
                let url = self.gateway(&device).url();
                self.tell(&device, json!({"cmd": "sync", "url": url}), &expect)
            }
            Step::Pending { device, expect } => {
                self.tell(&device, json!({"cmd": "pending"}), &expect)
            }
            Step::Status { device, expect } => {
                self.tell(&device, json!({"cmd": "status"}), &expect)
            }
            Step::Timeline { device, vehicle, hidden, expect } => {
                let vehicle = self.stage.vehicle(&vehicle);
                let command = json!({"cmd": "timeline", "vehicle": vehicle, "hidden": hidden});
                self.tell(&device, command, &expect)
            }
            Step::Mileage { device, vehicle, expect } => {
                let id = self.stage.vehicle(&vehicle);
                let command = json!({"cmd": "vehicle", "vehicle": id});
                self.tell(&device, command, &json!({ "miles": expect }))
            }
            Step::Export { device, everything, expect } => {
                self.export(&device, everything, &expect)
            }
            other => Err(format!("not a device's step: {other:?}")),
        }
    }

    fn open(
        &mut self,
        device: &str,
        process: Option<String>,
        user: Option<String>,
        expect: &Value,
    ) -> Seen {
        let key = (device.to_string(), process.unwrap_or_else(|| device.to_string()));
        let user = user.unwrap_or_else(|| self.scenario.devices[device].user.clone());
        let command = json!({
            "cmd": "open", "directory": self.directory(device),
            "identity": self.stage.identity(&user), "now": self.now(),
        });
        let program = self.program;
        let agent = self.agents.entry(key.clone()).or_insert_with(|| Agent::start(program));
        let reply = agent.call(&command);
        if let Some(id) = reply["ok"]["device_id"].as_str() {
            let id: Uuid = id.parse().unwrap();
            self.device_ids.insert(device.to_string(), id);
        } else {
            self.agents.remove(&key);
        }
        self.judge(reply, expect)
    }

    fn export(&mut self, device: &str, everything: bool, expect: &Value) -> Seen {
        let reply = self.ask(device, json!({"cmd": "export", "everything": everything}))?;
        let text = reply["ok"]["text"].as_str().ok_or(format!("no text: {reply}"))?;
        let (lines, footer) = text.trim_end().rsplit_once('\n').ok_or("fewer than two lines")?;
        let body = &text[..=lines.len()];
        let footer: Value = serde_json::from_str(footer).map_err(|error| error.to_string())?;
        let sha256 = Hash::of(body.as_bytes()).to_string();
        let operations: Vec<Value> = lines
            .lines()
            .skip(1)
            .map(|line| serde_json::from_str(line).map_err(|error| error.to_string()))
            .collect::<Result<_, _>>()?;
        let promised = json!({"operations": operations.len(), "sha256": sha256});
        self.compare(&promised, footer)?;
        self.compare(expect, Value::Array(operations))
    }

    /// A capture as the agent takes it: the scenario's short form with its defaults filled in.
    fn event(&mut self, name: &str, vehicle: &str, mut event: Map<String, Value>) -> Value {
        let op_id = match self.captures.get(name) {
            Some(id) => *id,
            None => {
                let id = uuid_v7(self.now(), Uuid::new_v4().as_bytes()[..10].try_into().unwrap());
                self.name(name, id);
                id
            }
        };
        let at = event.remove("at").expect("an event has a time: \"at\"");
        let at = at.as_str().unwrap().parse::<chrono::DateTime<chrono::FixedOffset>>().unwrap();
        if let Some(what) = event.get("corrects").and_then(Value::as_str) {
            event.insert("corrects".into(), json!(self.captures[what]));
        }
        let mut capture = json!({
            "op_id": op_id, "vehicle_id": self.stage.vehicle(vehicle), "timezone": "America/Denver",
            "occurred_at": at.timestamp_millis(), "date": at.date_naive(), "payload": {},
        });
        capture.as_object_mut().unwrap().extend(event);
        capture
    }

    fn name(&mut self, name: &str, id: Uuid) {
        self.captures.insert(name.to_string(), id);
        self.names.insert(id.to_string(), name.to_string());
    }

    fn ask(&mut self, device: &str, mut command: Value) -> Result<Value, String> {
        command["now"] = json!(self.now());
        let agent = self.agents.get_mut(&own(device)).ok_or(format!("{device} does not run"))?;
        Ok(agent.call(&command))
    }

    fn tell(&mut self, device: &str, command: Value, expect: &Value) -> Seen {
        let reply = self.ask(device, command)?;
        self.judge(reply, expect)
    }

    /// A reply is `ok` unless the step expects an `error`.
    fn judge(&self, reply: Value, expect: &Value) -> Seen {
        if expect.get("error").is_some() {
            return self.compare(expect, reply);
        }
        match reply.get("ok") {
            Some(seen) if !expect.is_null() => self.compare(expect, seen.clone()),
            Some(_) => Ok(()),
            None => Err(format!("the device refused: {reply}")),
        }
    }

    fn compare(&self, expect: &Value, mut seen: Value) -> Seen {
        name_ids(&mut seen, &self.names);
        difference(expect, &seen, "").map_or(Ok(()), |found| Err(format!("{found}\nin {seen}")))
    }

    /// The files are the agent's own kind: it copies them.
    fn copy(&self, device: &str, to: &str) -> Seen {
        assert!(!self.agents.contains_key(&own(device)), "{device} must not run");
        let (from, to) = (self.directory(device), self.directory(to));
        let mut agent = Agent::start(self.program);
        let reply = agent.call(&json!({"cmd": "copy", "from": from, "to": to}));
        self.judge(reply, &Value::Null)
    }

    async fn moved(&mut self, start: bool) {
        if start {
            self.stage.start_server().await;
        } else {
            self.stage.stop_server().await;
        }
        self.lead_gateways();
    }

    fn lead_gateways(&self) {
        self.gateways.values().for_each(|gateway| gateway.lead_to(&self.stage.url()));
    }

    fn gateway(&self, device: &str) -> &Gateway {
        &self.gateways[device]
    }

    fn directory(&self, device: &str) -> PathBuf {
        assert!(self.scenario.devices.contains_key(device), "there is no device {device}");
        let directory = self.folder.path().join(device);
        std::fs::create_dir_all(&directory).unwrap();
        directory
    }

    fn now(&self) -> i64 {
        chrono::Utc::now().timestamp_millis() + self.ahead_ms
    }

    /// Whatever happened, no device's evidence is broken.
    async fn end(mut self) {
        let keys: Vec<_> = self.agents.keys().cloned().collect();
        for key in keys {
            let agent = self.agents.get_mut(&key).unwrap();
            let reply = agent.call(&json!({"cmd": "verify"}));
            assert_eq!(reply, json!({"ok": {"broken": null}}), "the chain of {}", key.0);
        }
        self.stage.stop_server().await;
    }
}

/// The key of a device's own process.
fn own(device: &str) -> (String, String) {
    (device.to_string(), device.to_string())
}
