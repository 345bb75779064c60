//! The binary as an operator uses it: wrong settings, and a whole day with `dev`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use motomind_protocol::{Hash, limits};
use uuid::Uuid;

const BINARY: &str = env!("CARGO_BIN_EXE_motomind-server");
const SECRET: &str = "a secret for tests that is long enough";

/// A command that knows nothing of this machine's own settings.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Arguments, variables, and what the one line must name.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);

fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

#[test]
fn a_wrong_setting_is_one_line_that_names_it_and_code_2() {
    let database = ("DATABASE_URL", "host=/nowhere/at/all user=motomind_server");
    let secret = ("MOTOMIND_JWT_SECRET", SECRET);
    let cases: [Case<'_>; 13] = [
        (&["serve"], &[secret], "DATABASE_URL"),
        (&["serve"], &[database], "MOTOMIND_JWT_SECRET"),
        (&["serve"], &[database, ("MOTOMIND_JWT_SECRET", "short")], "MOTOMIND_JWT_SECRET"),
        (&["serve"], &[("DATABASE_URL", "nonsense"), secret], "DATABASE_URL"),
        (&["serve"], &[database, secret], "DATABASE_URL"),
        (&["serve", "--listen", "everywhere"], &[database, secret], "--listen"),
        (&["serve"], &[database, secret, ("MOTOMIND_LISTEN", "1.2.3.4")], "--listen"),
        (&["serve", "--pool-size", "0"], &[database, secret], "--pool-size"),
        (&["serve", "--retention-days", "3"], &[database, secret], "--retention-days"),
        (&["serve", "--jwks", "/nowhere/keys"], &[database], "MOTOMIND_JWKS"),
        (&["migrate", "up"], &[], "MOTOMIND_ADMIN_URL"),
        (&["tenant", "add", "X"], &[("MOTOMIND_ADMIN_URL", "host=/nowhere")], "MOTOMIND_ADMIN_URL"),
        (&["token", "--tenant", "x", "--user", "y"], &[secret], "--tenant"),
    ];
    for (arguments, variables, named) in cases {
        let mut command = command(arguments);
        command.envs(variables.iter().copied());
        let output = run(&mut command);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{arguments:?}: {said}");
        assert!(said.contains(named), "{arguments:?}: {said}");
        assert!(!said.contains(SECRET), "{said}");
    }
}

/// A running `dev`, ended with the test.
struct Dev {
    process: Child,
    variables: Vec<(String, String)>,
}

impl Dev {
    fn start(directory: &Path) -> Self {
        let mut process = command(&["dev", "--listen", "127.0.0.1:0", "--dir"])
            .arg(directory)
            .env("MOTOMIND_JWT_SECRET", SECRET)
            // What a killed process cannot clean up goes with the test.
            .env("TMPDIR", directory)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut variables = Vec::new();
        for line in BufReader::new(process.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if line == "# ready" {
                break;
            }
            if let Some((name, value)) = line.split_once('=') {
                variables.push((name.into(), value.trim_matches('\'').into()));
            }
        }
        Self { process, variables }
    }

    fn variable(&self, name: &str) -> &str {
        let found = self.variables.iter().find(|(known, _)| known == name);
        &found.unwrap_or_else(|| panic!("{name} was not printed")).1
    }

    /// Runs a command with the printed variables; its output, which must be a success.
    fn says(&self, arguments: &[&str]) -> String {
        let mut command = command(arguments);
        command.envs(self.variables.iter().cloned());
        let output = run(&mut command);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    }

    fn terminate(&mut self) {
        let id = self.process.id().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(told.success());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Pushes one event of a new device; the device.
async fn capture(
    dev: &Dev,
    http: &reqwest::Client,
    token: &str,
    tenant: &str,
    user: &str,
) -> String {
    let admin = motomind_server::database::connect(dev.variable("MOTOMIND_ADMIN_URL")).await;
    let (vehicle, device) = (Uuid::new_v4(), Uuid::new_v4());
    let make = format!("INSERT INTO vehicles (tenant_id, id) VALUES ('{tenant}', '{vehicle}')");
    let setting = format!("SET app.current_tenant_id = '{tenant}'; {make}");
    admin.unwrap().batch_execute(&setting).await.unwrap();
    let id = uuid::Builder::from_unix_timestamp_millis(1_772_366_400_000, &[7; 10]).into_uuid();
    let event = serde_json::json!({
        "id": id, "vehicle_id": vehicle, "type": "parking", "occurred_at": 1_772_366_400_000_i64,
        "date": "2026-03-01", "timezone": "UTC", "payload": {}, "notes": "under the bridge"
    });
    let incarnation = Uuid::new_v4();
    let text = serde_json::json!({
        "op_id": id, "tenant_id": tenant, "user_id": user, "device_id": device,
        "incarnation": incarnation, "device_seq": 1, "lane": vehicle, "schema": 1,
        "clock": {"wall_ms": 1_772_366_400_000_i64}, "prev_hash": Hash::ZERO, "body": {"event": event}
    })
    .to_string();
    let operation =
        serde_json::json!({"op_id": id, "hash": Hash::of(text.as_bytes()), "text": text});
    let push = serde_json::json!({
        "protocol": limits::PROTOCOL_VERSION, "incarnation": incarnation, "operations": [operation]
    });
    let request = http.post(format!("{}/v1/sync/push", dev.variable("MOTOMIND_URL")));
    let reply = request.bearer_auth(token).json(&push).send().await.unwrap().text().await.unwrap();
    assert!(reply.contains("\"accepted\""), "{reply}");
    device.to_string()
}

async fn verify_finds_a_flipped_byte(dev: &Dev, tenant: &str, device: &str) {
    let said = dev.says(&["verify", "--device", device]);
    assert!(said.ends_with("everything is as it was sealed"), "{said}");
    let admin = motomind_server::database::connect(dev.variable("MOTOMIND_ADMIN_URL")).await;
    let flip = format!(
        "SET app.current_tenant_id = '{tenant}'; SET session_replication_role = replica;
         UPDATE vehicle_events SET body = replace(body, 'bridge', 'bridgf')"
    );
    admin.unwrap().batch_execute(&flip).await.unwrap();
    let verify = |arguments: &[&str]| {
        let mut command = command(arguments);
        run(command.envs(dev.variables.iter().cloned()))
    };
    let found = verify(&["verify", "--device", device, "--tenant", tenant]);
    let said = String::from_utf8(found.stdout).unwrap();
    assert_eq!(found.status.code(), Some(1), "{said}");
    assert!(said.contains("vehicle_events.body is not what was sealed"), "{said}");
    let nobody = Uuid::new_v4().to_string();
    let unknown = verify(&["verify", "--device", &nobody]);
    assert_eq!(unknown.status.code(), Some(2));
    let photos = verify(&["verify", "--device", device, "--photos", "--photo-store", "x://y"]);
    assert_eq!(photos.status.code(), Some(2));
}

#[tokio::test]
async fn dev_serves_and_the_operators_commands_work_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    // Whoever reaches its socket is its superuser.
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(directory.path(), mode(0o755)).unwrap();
    let mut dev = Dev::start(directory.path());
    for private in [directory.path(), &directory.path().join("data")] {
        let found = std::fs::metadata(private).unwrap().permissions().mode();
        assert_eq!(found & 0o777, 0o700, "{}", private.display());
    }
    for made in std::fs::read_dir(directory.path()).unwrap() {
        let name = made.unwrap().file_name().into_string().unwrap();
        assert!(!name.starts_with("motomind-dev-"), "{name} is of no use");
    }
    let tenant = dev.says(&["tenant", "add", "Acme Fleet"]);
    let user = dev.says(&["user", "add", "--tenant", &tenant, "--name", "Ada"]);
    let token = dev.says(&["token", "--tenant", &tenant, "--user", &user]);

    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = |path: &str| {
        let request = http.get(format!("{}{path}", dev.variable("MOTOMIND_URL")));
        request.bearer_auth(&token).send()
    };
    assert_eq!(ask("/readyz").await.unwrap().status(), 200);
    let page: serde_json::Value = ask("/v1/sync/pull").await.unwrap().json().await.unwrap();
    assert_eq!(page["head"], 1, "the profile of the user that was just added");

    let status = dev.says(&["migrate", "status"]);
    assert!(status.contains("000_baseline") && !status.contains("missing"), "{status}");
    assert_eq!(dev.says(&["migrate", "up"]), "nothing to apply");
    assert!(dev.says(&["partitions"]).contains("partition"));
    assert!(dev.says(&["device", "list", "--tenant", &tenant]).starts_with("device"));
    let doctor = dev.says(&["doctor"]);
    assert!(!doctor.contains("wrong") && doctor.lines().count() == 2, "{doctor}");
    let backup = directory.path().join("backup.json");
    std::fs::write(&backup, "{\"tenants\": [], \"vehicles\": []}").unwrap();
    dev.says(&["import", backup.to_str().unwrap()]);

    let device = capture(&dev, &http, &token, &tenant, &user).await;
    verify_finds_a_flipped_byte(&dev, &tenant, &device).await;

    let mut unknown = command(&["device", "revoke", "--tenant", &tenant, &user]);
    unknown.envs(dev.variables.iter().cloned());
    let refused = run(&mut unknown);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("has no device"));

    dev.terminate();
    let socket = directory.path().join(".s.PGSQL.5432");
    assert!(!socket.exists(), "its Postgres ended with it");

    // Started again, everything is still there; killed, it takes its Postgres with it.
    let mut again = Dev::start(directory.path());
    let token = again.says(&["token", "--tenant", &tenant, "--user", &user]);
    let url = format!("{}/v1/sync/pull", again.variable("MOTOMIND_URL"));
    assert_eq!(http.get(url).bearer_auth(&token).send().await.unwrap().status(), 200);
    again.process.kill().unwrap();
    again.process.wait().unwrap();
    if Path::new("/usr/bin/setpriv").exists() {
        let patience = Instant::now() + Duration::from_secs(30);
        while socket.exists() {
            assert!(Instant::now() < patience, "Postgres outlived the server");
            std::thread::yield_now();
        }
    }
}
