//! The processes that run beside us, and everything that comes from them, as
//! one stream.
//!
//! Each is in a process group of its own, so that Ctrl-C reaches us alone and
//! we end them in order. They are ended by process ID, also when the stage is
//! dropped on the way out of an error.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::problem::Problem;
use crate::shell;

/// Lines that wait for us; beyond them the processes wait.
const LINES_AHEAD: usize = 256;
/// How long a process has between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);
const GLANCE: Duration = Duration::from_millis(20);

/// What a process did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Happening {
    /// It wrote a line to its standard output.
    Said { who: &'static str, line: String },
    /// It is gone; `ok` when it ended with 0.
    Ended { who: &'static str, ok: bool },
}

/// What the threads tell us.
enum Note {
    Line(&'static str, String),
    /// The standard output is at its end.
    Silent(&'static str),
    Signal,
}

/// All that is running.
#[derive(Debug)]
pub(super) struct Stage {
    running: Vec<(&'static str, Child)>,
    /// Those of them whose output is at its end.
    silent: Vec<&'static str>,
    notes: Receiver<Note>,
    note: SyncSender<Note>,
}

impl Stage {
    /// An empty one, which from now on takes SIGINT, SIGTERM and SIGHUP.
    pub(super) fn open() -> Result<Self, Problem> {
        let (note, notes) = mpsc::sync_channel(LINES_AHEAD);
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
            .map_err(|error| Problem::new(format!("failed to listen for signals: {error}")))?;
        let teller = note.clone();
        thread::spawn(move || while signals.forever().next().is_some() && teller.send(Note::Signal).is_ok() {});
        Ok(Self { running: Vec::new(), silent: Vec::new(), notes, note })
    }

    /// Starts a process whose standard output we read.
    pub(super) fn start(&mut self, who: &'static str, command: &mut Command) -> Result<(), Problem> {
        println!("    $ {}", shell::shown(command));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| Problem::new(format!("failed to start `{}`: {error}", shell::shown(command))))?;
        let output = child.stdout.take();
        self.running.push((who, child));
        let note = self.note.clone();
        thread::spawn(move || relay(who, output, &note));
        Ok(())
    }

    /// The next that happens, or `None` when nothing does for that long.
    pub(super) fn next(&mut self, patience: Duration) -> Result<Option<Happening>, Problem> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(ended) = self.reap() {
                return Ok(Some(ended));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.notes.recv_timeout(if self.silent.is_empty() { left } else { left.min(GLANCE) }) {
                Ok(Note::Line(who, line)) => return Ok(Some(Happening::Said { who, line })),
                Ok(Note::Silent(who)) => self.silent.push(who),
                Ok(Note::Signal) => return Err(Problem::Interrupted),
                Err(_) if left.is_zero() => return Ok(None),
                Err(_) => {}
            }
        }
    }

    /// Takes one that is silent and has ended off the list. A process may
    /// close its output and live on.
    fn reap(&mut self) -> Option<Happening> {
        for (at, (who, child)) in self.running.iter_mut().enumerate() {
            if let (true, Ok(Some(status))) = (self.silent.contains(who), child.try_wait()) {
                let (who, _) = self.running.remove(at);
                self.silent.retain(|name| *name != who);
                return Some(Happening::Ended { who, ok: status.success() });
            }
        }
        None
    }

    /// Ends everything, what was started last first, and names what had to be
    /// killed.
    pub(super) fn close(&mut self) -> Vec<&'static str> {
        let mut killed = Vec::new();
        while let Some((who, mut child)) = self.running.pop() {
            // `kill` fails for what has ended already, and that is as good.
            shell::works(Command::new("sh").args(["-c", "kill -TERM \"$1\"", "sh"]).arg(child.id().to_string()));
            if !self.has_ended(&mut child) {
                killed.push(who);
                continue_after(child.kill());
            }
            continue_after(child.wait().map(drop));
        }
        killed
    }

    /// Gives it `GRACE`; reads on meanwhile, so that nobody waits for us.
    fn has_ended(&self, child: &mut Child) -> bool {
        let deadline = Instant::now() + GRACE;
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                return false;
            }
            self.notes.recv_timeout(GLANCE).ok();
        }
        true
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.close();
    }
}

fn relay(who: &'static str, output: Option<ChildStdout>, note: &SyncSender<Note>) {
    for line in output.into_iter().flat_map(|output| BufReader::new(output).lines()).map_while(Result::ok) {
        if note.send(Note::Line(who, line)).is_err() {
            return;
        }
    }
    // Nobody listens any more when this fails, and nobody needs to know.
    note.send(Note::Silent(who)).ok();
}

/// On the way out, a process that can't be ended must not keep the others alive.
fn continue_after(result: std::io::Result<()>) {
    if let Err(error) = result {
        eprintln!("    failed to end a process: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn next(stage: &mut Stage) -> Happening {
        stage.next(LONG).expect("nobody interrupts").expect("something happens")
    }

    #[test]
    fn lines_come_first_and_then_how_the_process_ended() {
        let mut stage = Stage::open().expect("signals can be taken");
        stage.start("one", &mut shell("echo a; echo b; exit 3")).expect("sh is there");
        let said = |line: &str| Happening::Said { who: "one", line: line.into() };
        assert_eq!(
            [next(&mut stage), next(&mut stage), next(&mut stage)],
            [said("a"), said("b"), Happening::Ended { who: "one", ok: false }]
        );
    }

    #[test]
    fn closing_ends_what_runs_and_lets_it_end_itself() {
        let mark = std::env::temp_dir().join(format!("handbell-xtask-stage-{}", std::process::id()));
        let mut stage = Stage::open().expect("signals can be taken");
        let script =
            format!("trap 'echo ended > {}; exit 0' TERM; echo up; while :; do sleep 0.05; done", mark.display());
        stage.start("stubborn", &mut shell(&script)).expect("sh is there");
        assert_eq!(next(&mut stage), Happening::Said { who: "stubborn", line: "up".into() });
        stage.close();
        let ended = std::fs::read_to_string(&mark).expect("the process ran its end");
        std::fs::remove_file(&mark).expect("the mark can be removed");
        assert_eq!(ended, "ended\n");
        assert!(stage.running.is_empty());
    }

    #[test]
    fn closing_kills_only_what_doesn_t_end_by_itself() {
        let mut stage = Stage::open().expect("signals can be taken");
        stage.start("mute", &mut shell("exec >&-; exec sleep 600")).expect("sh is there");
        stage.start("short", &mut shell("exit 0")).expect("sh is there");
        assert_eq!(next(&mut stage), Happening::Ended { who: "short", ok: true });
        stage.start("deaf", &mut shell("trap '' TERM; echo up; while :; do sleep 0.05; done")).expect("sh is there");
        assert_eq!(next(&mut stage), Happening::Said { who: "deaf", line: "up".into() });
        assert_eq!(stage.close(), ["deaf"]);
    }
}
