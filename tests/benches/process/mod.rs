//! The server as a process of its own, so that its memory is its own.
#![allow(dead_code)] // each benchmark takes what it needs

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use motomind_tests::postgres::{Database, role};
use motomind_tests::server::SECRET;

/// A running server; it ends with this.
pub(crate) struct Server {
    process: Child,
    /// Where it answers.
    pub(crate) url: String,
}

impl Server {
    /// Starts one over a database.
    pub(crate) fn start(database: &Database) -> Self {
        Self::spawn(database, None)
    }

    /// Starts one that keeps photos in a directory.
    pub(crate) fn with_photos(database: &Database, store: &Path) -> Self {
        Self::spawn(database, Some(store))
    }

    fn spawn(database: &Database, store: Option<&Path>) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_field_server"))
            .args(["127.0.0.1:0", &database.url(role::SERVER), SECRET])
            .args(store)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut address = String::new();
        let output = process.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut address).unwrap();
        let url = format!("http://{}", address.trim());
        Self { process, url }
    }

    /// What it holds in memory, MiB.
    pub(crate) fn resident_mib(&self) -> f64 {
        self.memory_mib("VmRSS:")
    }

    /// The most that it ever held, MiB.
    pub(crate) fn most_mib(&self) -> f64 {
        self.memory_mib("VmHWM:")
    }

    fn memory_mib(&self, name: &str) -> f64 {
        let status = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib: f64 = line.unwrap().trim().trim_end_matches(" kB").parse().unwrap();
        kib / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
