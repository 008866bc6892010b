//! A real nats-server with JetStream, owned by a test.

use std::{
    fs, io,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// The program; `cargo xtask test` installs it and sets this.
const PROGRAM: &str = "HANDBELL_TEST_NATS_SERVER";
/// A server that runs already.
const URL: &str = "HANDBELL_TEST_NATS_URL";
/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(30);

/// The server that runs already and that tests should use, if there is one.
#[must_use]
pub fn nats_url() -> Option<String> {
    std::env::var(URL).ok().filter(|url| !url.is_empty())
}

/// Why a server isn't there.
#[derive(Debug)]
pub struct ServerError(String);

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ServerError {}

/// A server on a free port of the loopback, with a directory of its own. It is
/// killed when it is dropped.
#[derive(Debug)]
pub struct NatsServer {
    process: Option<Child>,
    port: u16,
    dir: TempDir,
    /// Further lines of its configuration.
    settings: String,
}

impl NatsServer {
    /// Starts a server by itself.
    ///
    /// # Errors
    /// When it can't be started, or doesn't answer.
    pub fn start() -> Result<Self, ServerError> {
        Self::start_with("")
    }

    /// Starts a server with further lines of configuration.
    ///
    /// # Errors
    /// As for [`NatsServer::start`].
    pub fn start_with(settings: &str) -> Result<Self, ServerError> {
        let dir = TempDir::with_prefix("handbell-nats-").map_err(|error| failed("make a directory", &error))?;
        let mut server = Self { process: None, port: free_port()?, dir, settings: settings.to_owned() };
        server.run()?;
        Ok(server)
    }

    /// Starts a cluster of so many servers, each a peer of all others, and
    /// waits until each answers. A leader may take some seconds more.
    ///
    /// # Errors
    /// As for [`NatsServer::start`].
    pub fn cluster(count: usize) -> Result<Vec<Self>, ServerError> {
        let ports = (0..count).map(|_| free_port()).collect::<Result<Vec<_>, _>>()?;
        let routes: Vec<String> = ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let start = |(n, port): (usize, &u16)| {
            let routes = routes.join(", ");
            let cluster = format!("cluster {{ name: test, listen: \"127.0.0.1:{port}\", routes: [{routes}] }}");
            Self::start_with(&format!("server_name: n{n}\n{cluster}"))
        };
        ports.iter().enumerate().map(start).collect()
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Ends it as a crash does (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // One that has ended already is as good as killed.
            drop(process.kill());
            drop(process.wait());
        }
    }

    /// Starts it again on its directory, at the same address.
    ///
    /// # Errors
    /// As for [`NatsServer::start`].
    pub fn run_again(&mut self) -> Result<(), ServerError> {
        self.kill();
        self.run()
    }

    /// Starts it again on its directory at another address, so that whoever
    /// was connected stays away.
    ///
    /// # Errors
    /// As for [`NatsServer::start`].
    pub fn run_elsewhere(&mut self) -> Result<(), ServerError> {
        self.kill();
        self.port = free_port()?;
        self.run()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "tests of any runtime start servers, so this blocks; 10 ms at a time"
    )]
    fn run(&mut self) -> Result<(), ServerError> {
        let begun = Instant::now();
        let config = self.dir.path().join("server.conf");
        let store = self.dir.path().join("store");
        let text = format!(
            "listen: \"127.0.0.1:{}\"\njetstream {{ store_dir: \"{}\" }}\n{}\n",
            self.port,
            store.display(),
            self.settings
        );
        fs::write(&config, text).map_err(|error| failed("write its configuration", &error))?;
        let log = fs::File::create(self.log()).map_err(|error| failed("make its log", &error))?;
        let program = program()?;
        let spawned = Command::new(&program).arg("-c").arg(&config).stdout(Stdio::null()).stderr(log).spawn();
        self.process = Some(spawned.map_err(|error| failed(&format!("start {}", program.display()), &error))?);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() || !self.is_ready() {
            let ended = self.process.as_mut().is_some_and(|process| process.try_wait().is_ok_and(|end| end.is_some()));
            if ended || begun.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.log()).unwrap_or_default();
                return Err(ServerError(format!("nats-server doesn't answer: {log}")));
            }
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn is_ready(&self) -> bool {
        fs::read_to_string(self.log()).is_ok_and(|log| log.contains("Server is ready"))
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// Where it keeps what is stored.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The program that the environment names, or the one on the PATH.
fn program() -> Result<PathBuf, ServerError> {
    if let Some(program) = std::env::var_os(PROGRAM).filter(|program| !program.is_empty()) {
        return Ok(program.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let here = |dir: PathBuf| Some(dir.join("nats-server")).filter(|file| Path::is_file(file));
    std::env::split_paths(&path).find_map(here).ok_or_else(|| {
        let how = "run `cargo xtask test`, which installs one, or name one of 2.12 or newer";
        ServerError(format!("there is no nats-server on the PATH; {how} by {PROGRAM}"))
    })
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16, ServerError> {
    let bound = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    bound.map(|address| address.port()).map_err(|error| failed("find a free port", &error))
}

fn failed(doing: &str, error: &io::Error) -> ServerError {
    ServerError(format!("failed to {doing}: {error}"))
}
