//! What types can't say: bounds, and combinations that can't be. Reads no
//! file but those that the configuration names, and opens nothing.

use std::{ops::RangeInclusive, time::Duration};

use handbell_protocol::{AgentName, TopicPattern, frame::RetryPolicy, time::format_duration};
use handbell_sidecar::policy::Scope as ScopeEntry;

use super::{
    check_nats::check_nats,
    declared::check_declared,
    files::check_files,
    node::{Node, Origin, Step, steps},
    problem::{Problem, did_you_mean},
    section::{BackendKind, Config, Keep, Size},
};

/// All that is wrong, in the files that it names too.
pub(super) fn check(config: &Config, tree: &Node) -> Vec<Problem> {
    let mut problems = check_values(config, tree);
    problems.extend(check_files(config, tree));
    problems
}

/// All that is wrong in itself.
pub(super) fn check_values(config: &Config, tree: &Node) -> Vec<Problem> {
    let mut checker = Checker { tree, problems: Vec::new() };
    checker.version(config);
    checker.durations(config);
    checker.sizes(config);
    checker.counts(config);
    checker.listeners(config);
    checker.scopes(config);
    checker.retry(config);
    checker.backend(config);
    checker.telemetry(config);
    checker.problems.extend(check_declared(config, tree));
    if config.backend.kind == BackendKind::Nats {
        checker.problems.extend(check_nats(&config.backend.nats, &keeps(config), tree));
    }
    checker.problems
}

struct Checker<'a> {
    tree: &'a Node,
    problems: Vec<Problem>,
}

/// The levels of logs.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

impl Checker<'_> {
    fn refuse(&mut self, key: &str, what: impl Into<String>, how: impl Into<String>) {
        self.problems.push(Problem::at(self.tree, key, what, how));
    }

    fn version(&mut self, config: &Config) {
        if config.version != 1 {
            let what = format!("this build can't read version {}", config.version);
            self.refuse("version", what, "write version: 1");
        }
    }

    fn durations(&mut self, config: &Config) {
        let sidecar = &config.sidecar;
        let short = 100 * MS..=5 * MINUTE;
        self.lasts("sidecar.drain", sidecar.drain, Duration::ZERO..=HOUR);
        self.lasts("sidecar.resume_window", sidecar.resume_window, Duration::ZERO..=HOUR);
        self.lasts("sidecar.max_processing", sidecar.max_processing, SECOND..=DAY);
        self.lasts("sidecar.heartbeat", sidecar.heartbeat, short.clone());
        self.lasts("sidecar.hello_timeout", sidecar.hello_timeout, short.clone());
        self.lasts("sidecar.stall", sidecar.stall, short.clone());
        self.lasts("sidecar.stall_cut", sidecar.stall_cut, short);
        for (key, keep) in keeps(config) {
            if let Some(age) = keep.age {
                self.lasts_at(&[key, vec![Step::Key("age".into())]].concat(), age, MINUTE..=10_000 * DAY);
            }
        }
    }

    fn lasts(&mut self, key: &str, value: Duration, bounds: RangeInclusive<Duration>) {
        self.lasts_at(&steps(key), value, bounds);
    }

    fn lasts_at(&mut self, path: &[Step], value: Duration, bounds: RangeInclusive<Duration>) {
        if !bounds.contains(&value) {
            let [least, most] = [*bounds.start(), *bounds.end()].map(format_duration);
            let what = format!("{} is out of bounds", format_duration(value));
            self.problems.push(Problem::on(self.tree, path, what, format!("write {least} to {most}")));
        }
    }

    fn sizes(&mut self, config: &Config) {
        self.weighs(&steps("sidecar.max_frame"), config.sidecar.max_frame, Size::kib(128)..=Size::mib(64));
        let buffer = Size::kib(64)..=Size::mib(1_024);
        self.weighs(&steps("sidecar.read_ahead_bytes"), config.sidecar.read_ahead_bytes, buffer.clone());
        self.weighs(&steps("sidecar.max_outbox"), config.sidecar.max_outbox, buffer);
        if let Some(size) = config.backend.embedded.max_size {
            self.weighs(&steps("backend.embedded.max_size"), size, Size::mib(16)..=Size(u64::MAX));
        }
        for (key, keep) in keeps(config) {
            if let Some(size) = keep.size {
                self.weighs(&[key, vec![Step::Key("size".into())]].concat(), size, Size::mib(1)..=Size(u64::MAX));
            }
        }
    }

    fn weighs(&mut self, path: &[Step], value: Size, bounds: RangeInclusive<Size>) {
        if !bounds.contains(&value) {
            let how = match bounds.end() {
                Size(u64::MAX) => format!("write {} or more", bounds.start()),
                most => format!("write {} to {most}", bounds.start()),
            };
            self.problems.push(Problem::on(self.tree, path, format!("{value} is out of bounds"), how));
        }
    }

    fn counts(&mut self, config: &Config) {
        let sidecar = &config.sidecar;
        self.numbers("sidecar.read_ahead", sidecar.read_ahead, 65_536);
        self.numbers("sidecar.publish_window", sidecar.publish_window, 65_536);
        self.numbers("sidecar.max_subscriptions", sidecar.max_subscriptions, 4_096);
        self.numbers("sidecar.max_calls", sidecar.max_calls, 65_536);
        self.numbers("sidecar.max_connections", sidecar.max_connections, 1_000_000);
        self.numbers("sidecar.max_handshakes", sidecar.max_handshakes, 1_000_000);
        self.numbers("sidecar.max_waiting", sidecar.max_waiting, 1_000_000);
    }

    fn numbers(&mut self, key: &str, value: usize, most: usize) {
        if !(1..=most).contains(&value) {
            self.refuse(key, format!("{value} is out of bounds"), format!("write 1 to {most}"));
        }
    }

    fn listeners(&mut self, config: &Config) {
        let agents = &config.sidecar.listen;
        let admin = &config.admin.listen;
        if agents.collides(admin) {
            let what = format!("sidecar.listen and admin.listen are both {admin}");
            self.refuse("admin.listen", what, "give one of them another port");
        }
        if !agents.is_local() && config.agents.tokens_file.is_none() {
            let what = format!("{agents} can be reached from other machines, and agents need no token");
            self.refuse("sidecar.listen", what, "set agents.tokens_file, or listen on 127.0.0.1 or unix:/path");
        }
        if !admin.is_local() && config.admin.tokens_file.is_none() {
            let what = format!("{admin} can be reached from other machines, and operators need no token");
            self.refuse("admin.listen", what, "set admin.tokens_file, or listen on 127.0.0.1");
        }
        for (key, listen) in [("admin.listen", admin), ("sidecar.admin.listen", &config.sidecar.admin.listen)] {
            if matches!(listen, super::Listen::Unix(_)) {
                self.refuse(key, "the admin address can't be a Unix socket", "write IP:PORT, like 127.0.0.1:7711");
            }
        }
        self.origins("sidecar.origins", &config.sidecar.origins);
        self.origins("admin.origins", &config.admin.origins);
    }

    fn origins(&mut self, key: &str, origins: &[String]) {
        for (index, origin) in origins.iter().enumerate() {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            if host.is_none_or(|host| host.is_empty() || host.contains('/')) {
                let path = [steps(key), vec![Step::Index(index)]].concat();
                let how = "write scheme, host and port only, like https://example.org:8443";
                self.problems.push(Problem::on(self.tree, &path, format!("{origin:?} is no origin"), how));
            }
        }
    }

    fn scopes(&mut self, config: &Config) {
        for (agent, scope) in &config.agents.scopes {
            for (index, entry) in scope.publish.iter().enumerate() {
                let bad = ScopeEntry::parse(entry).err().map(|bad| bad.to_string());
                self.scope(agent, "publish", index, bad, "or an address like /agent or pool:NAME");
            }
            for (index, entry) in scope.subscribe.iter().enumerate() {
                let bad = TopicPattern::parse(entry).err().map(|bad| bad.to_string());
                self.scope(agent, "subscribe", index, bad, "or > for all");
            }
        }
    }

    fn scope(&mut self, agent: &AgentName, verb: &str, index: usize, bad: Option<String>, or: &str) {
        if let Some(what) = bad {
            let mut path = steps("agents.scopes");
            path.extend([Step::Key(agent.to_string()), Step::Key(verb.into()), Step::Index(index)]);
            let how = format!("write a topic, a pattern like project.*, {or}");
            self.problems.push(Problem::on(self.tree, &path, what, how));
        }
    }

    fn retry(&mut self, config: &Config) {
        if let Err(what) = RetryPolicy::from(config.retry.clone()).check() {
            let key = what.split([' ', ':']).next().unwrap_or("retry").to_owned();
            self.refuse(&key, what, "see retry in docs/configuration.md");
        }
        let retry = &config.retry;
        for class in retry.retry_on.iter().filter(|class| retry.no_retry_on.contains(class)) {
            let what = format!("{class} stands in retry_on and in no_retry_on");
            self.refuse("retry.no_retry_on", what, "leave it out of one of the two");
        }
        let (first, longest) = (retry.initial_delay, retry.max_delay);
        let is_written = self.tree.origin_of(&steps("retry.initial_delay")) != Origin::Default;
        if first > longest && is_written {
            let [first, longest] = [first, longest].map(format_duration);
            let what = format!("the first wait, {first}, is longer than retry.max_delay, {longest}");
            self.refuse("retry.initial_delay", what, "write a shorter one, or a longer max_delay");
        }
    }

    fn telemetry(&mut self, config: &Config) {
        if let Err(bad) = handbell_telemetry::read_directives(&config.telemetry.log) {
            let bad = bad.to_string();
            let (what, how) = bad.split_once("; ").unwrap_or((&bad, "write a level, like info"));
            self.refuse("telemetry.log", what, how);
        }
        // A word alone may be a part of the program, or a level with a slip.
        for word in config.telemetry.log.split(',').map(str::trim) {
            if !LEVELS.contains(&word.to_lowercase().as_str())
                && let Some(meant) = did_you_mean(word, &LEVELS)
            {
                self.refuse("telemetry.log", format!("{word:?} is no level"), meant);
            }
        }
    }

    fn backend(&mut self, config: &Config) {
        let embedded = &config.backend.embedded;
        if embedded.ephemeral && embedded.dir.is_some() {
            let what = "a log in memory has no directory";
            self.refuse("backend.embedded.ephemeral", what, "leave out one of the two: the directory, or ephemeral");
        }
    }
}

/// Every retention with its path.
fn keeps(config: &Config) -> Vec<(Vec<Step>, &Keep)> {
    let retention = &config.retention;
    let mut all = vec![(steps("retention.events"), &retention.events), (steps("retention.inbox"), &retention.inbox)];
    for (topic, declared) in &config.topics {
        if let Some(keep) = &declared.retention {
            let path = ["topics", topic.as_str(), "retention"].map(|key| Step::Key(key.into()));
            all.push((path.to_vec(), keep));
        }
    }
    all
}
