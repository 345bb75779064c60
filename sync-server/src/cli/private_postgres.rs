//! A private Postgres for `dev`: its own directory, reached through a socket in it, ended with us.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const START_WAIT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A running cluster.
#[derive(Debug)]
pub(crate) struct PrivatePostgres {
    directory: PathBuf,
    programs: PathBuf,
    account: Option<Account>,
    server: Child,
}

/// The account that runs Postgres when we are root, which it refuses to be.
#[derive(Clone, Copy, Debug)]
struct Account {
    uid: u32,
    gid: u32,
}

impl PrivatePostgres {
    /// Makes a cluster in `directory` unless there is one, and starts it.
    pub(crate) async fn start(directory: &Path) -> Result<Self, String> {
        let programs = programs()?;
        fs::create_dir_all(directory).map_err(|error| named(directory, &error))?;
        let directory = directory.canonicalize().map_err(|error| named(directory, &error))?;
        let account = account(&directory)?;
        // Whoever reaches the socket is let in as whom they say they are.
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700))
            .map_err(|error| named(&directory, &error))?;
        let data = directory.join("data");
        if !data.join("PG_VERSION").exists() {
            initialise(&programs, &data, account)?;
        }
        let log = fs::File::create(directory.join("postgres.log"))
            .map_err(|error| named(&directory, &error))?;
        let server = command(&programs.join("postgres"), account)
            .current_dir(&directory)
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&directory)
            .args(["-c", "listen_addresses="])
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(|error| error.to_string())?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("Postgres does not start: {error}"))?;
        let mut started = Self { directory, programs, account, server };
        started.wait_until_ready().await?;
        Ok(started)
    }

    /// Address of a database in it for a role.
    pub(crate) fn url(&self, role: &str, database: &str) -> String {
        let socket = self.directory.display();
        format!("host={socket} user={role} dbname={database}")
    }

    async fn wait_until_ready(&mut self) -> Result<(), String> {
        let url = self.url("postgres", "postgres");
        let started = Instant::now();
        loop {
            match motomind_server::database::connect(&url).await {
                Ok(_) => return Ok(()),
                Err(_) if started.elapsed() < START_WAIT => {
                    if let Ok(Some(status)) = self.server.try_wait() {
                        let log = self.directory.join("postgres.log");
                        return Err(format!(
                            "Postgres ended ({status}); {} says why",
                            log.display()
                        ));
                    }
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
                Err(error) => return Err(format!("Postgres does not answer: {error}")),
            }
        }
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        let data = self.directory.join("data");
        let stopped = command(&self.programs.join("pg_ctl"), self.account)
            .current_dir(&self.directory)
            .args(["stop", "--mode=fast", "--silent", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status();
        if !stopped.is_ok_and(|status| status.success()) {
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
    }
}

/// The newest installed Postgres.
fn programs() -> Result<PathBuf, String> {
    let root = Path::new("/usr/lib/postgresql");
    let versions = fs::read_dir(root).into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, path)| path.join("initdb").exists())
        .max();
    if let Some((_, path)) = newest {
        return Ok(path);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).find(|directory| directory.join("initdb").exists()).ok_or_else(
        || {
            "no Postgres is installed (initdb not found): install one or give --admin-url \
             (MOTOMIND_ADMIN_URL)"
                .to_string()
        },
    )
}

/// Whom to run Postgres as, and the directory given to them.
fn account(directory: &Path) -> Result<Option<Account>, String> {
    let us = fs::metadata("/proc/self").map_or(1, |meta| meta.uid());
    if us != 0 {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd").map_err(|error| error.to_string())?;
    let account = passwd
        .lines()
        .filter_map(|line| line.strip_prefix("postgres:"))
        .find_map(|rest| {
            let mut fields = rest.split(':').skip(1);
            let uid = fields.next()?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            Some(Account { uid, gid })
        })
        .ok_or("Postgres refuses to run as root, and there is no account named postgres")?;
    chown(directory, Some(account.uid), Some(account.gid))
        .map_err(|error| named(directory, &error))?;
    Ok(Some(account))
}

fn command(program: &Path, account: Option<Account>) -> Command {
    use std::os::unix::process::CommandExt;
    // Where util-linux is installed, Postgres also ends when we are killed.
    let setpriv = Path::new("/usr/bin/setpriv");
    let serves = program.ends_with("postgres");
    let mut command = if serves && setpriv.exists() {
        let mut command = Command::new(setpriv);
        if let Some(Account { uid, gid }) = account {
            command
                .arg(format!("--reuid={uid}"))
                .arg(format!("--regid={gid}"))
                .arg("--clear-groups");
        }
        command.args(["--pdeathsig", "INT"]).arg(program);
        command
    } else {
        let mut command = Command::new(program);
        if let Some(Account { uid, gid }) = account {
            command.uid(uid).gid(gid);
        }
        command
    };
    // ctrl-c in a terminal reaches the whole group; Postgres is ended by us, in order.
    command.process_group(0);
    command
}

fn initialise(programs: &Path, data: &Path, account: Option<Account>) -> Result<(), String> {
    let output = command(&programs.join("initdb"), account)
        .current_dir("/")
        .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
        .args(["--locale=C", "--no-instructions", "-D"])
        .arg(data)
        .output()
        .map_err(|error| format!("initdb does not start: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(format!("initdb failed: {}", words.trim().replace('\n', "; ")))
}

fn named(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
