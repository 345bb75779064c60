//! A device as a process of its own, driven by one JSON command per line.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// The environment variable that names another agent program (with arguments, split at spaces).
pub const AGENT: &str = "SCENARIO_AGENT";

/// A running agent. Killed when dropped.
pub struct Agent {
    child: Child,
    commands: ChildStdin,
    replies: BufReader<ChildStdout>,
}

impl Agent {
    /// Starts an agent: the program of [`AGENT`], else the one given.
    #[must_use]
    pub fn start(program: &str) -> Self {
        let line = std::env::var(AGENT).unwrap_or_else(|_| program.to_string());
        let mut words = line.split_whitespace();
        let mut child = Command::new(words.next().expect("an agent program"))
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the agent program starts");
        let commands = child.stdin.take().unwrap();
        let replies = BufReader::new(child.stdout.take().unwrap());
        Self { child, commands, replies }
    }

    /// Gives a command and waits for its reply: `{"ok": …}` or `{"error": {"code": …}}`.
    pub fn call(&mut self, command: &Value) -> Value {
        writeln!(self.commands, "{command}").expect("the agent takes commands");
        let mut line = String::new();
        self.replies.read_line(&mut line).expect("the agent replies");
        serde_json::from_str(&line).unwrap_or_else(|error| {
            panic!("the agent replied {line:?} to {command}: {error}");
        })
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().expect("the agent can be killed");
        self.child.wait().expect("the agent ends");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
