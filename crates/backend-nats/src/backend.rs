//! The trait's verbs, each handed to the part that does it.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use handbell_backend::{
    Backend, BackendError, Capabilities, CellName, CellValue, CellVersion, Class, DedupReach, Outgoing, Partition,
    Position, PublishError, Queue, QueueSpec, Receipts, Record, StoreOutcome, Tail, TailSpec, TopicInfo,
};
use handbell_protocol::{Lane, Namespace};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    ack::Asker,
    api::Object,
    cells,
    clock::BrokerClock,
    connect,
    core::Core,
    ensure::{check_server, ensure},
    error::{OpenError, Trouble},
    layout::Layout,
    lookups,
    message::HEADERS_ALLOWANCE,
    options::Options,
    publish::Publisher,
    queue::NatsQueue,
    revive, shared,
    tail::NatsTail,
};

/// How long the end waits for what is under way.
const FAREWELL: Duration = Duration::from_secs(10);

/// One namespace on NATS.
pub struct NatsBackend {
    core: Arc<Core>,
    publisher: Publisher,
    capabilities: Capabilities,
}

/// Connects to a server, and makes and checks the namespace's streams.
///
/// # Errors
/// [`OpenError`], which names what must be mended. Servers that don't answer
/// are tried again as long as the options say.
pub async fn open(options: Options) -> Result<NatsBackend, OpenError> {
    let (client, standing) = connect::connect(&options).await?;
    let ended = CancellationToken::new();
    let why = |trouble: Trouble| OpenError::Unreachable { urls: options.urls.join(", "), why: trouble.to_string() };
    let mut stands = standing.clone();
    // The first connection is told a moment after it is made.
    drop(tokio::time::timeout(options.timeout, stands.wait_for(|standing| standing.connected)).await);
    let asker = Asker::open(client, standing, options.timeout, ended.clone()).await.map_err(why)?;
    let layout = Layout::new(options.namespace.clone());
    let streams = ensure(&asker, &layout, &options).await?;
    let shared = shared::ensure(&asker, &options).await?;
    let capabilities = capabilities(&options, &asker);
    let ready = asker.standing().borrow().epoch.into();
    let core = Arc::new(Core {
        asker,
        layout,
        options,
        clock: BrokerClock::default(),
        ready,
        streams,
        shared,
        closing: CancellationToken::new(),
        tasks: TaskTracker::new(),
        ended,
    });
    core.look(core.stream(Class::Ev, Lane::Regular)).await.map_err(|trouble| OpenError::Stream {
        stream: core.stream(Class::Ev, Lane::Regular).name.to_string(),
        why: trouble.to_string(),
    })?;
    revive::spawn(&core);
    let publisher = Publisher::new(Arc::clone(&core), capabilities.max_event);
    Ok(NatsBackend { core, publisher, capabilities })
}

/// What a server is, without making or changing anything.
#[derive(Clone, Debug)]
pub struct Looked {
    /// The server's version.
    pub version: String,
    /// The largest message that it takes, in bytes.
    pub max_payload: usize,
    /// When a record that is acknowledged with these options survives what.
    pub durability: String,
}

/// Connects once and looks: does the server let us in, is it new enough, has it
/// JetStream?
///
/// # Errors
/// As for [`open`].
pub async fn look(options: Options) -> Result<Looked, OpenError> {
    let options = Options { patience: Some(Duration::ZERO), ..options };
    let (client, standing) = connect::connect(&options).await?;
    let ended = CancellationToken::new();
    let _ended = ended.clone().drop_guard();
    let mut stands = standing.clone();
    drop(tokio::time::timeout(options.timeout, stands.wait_for(|standing| standing.connected)).await);
    let why = |trouble: Trouble| OpenError::NoJetStream { why: trouble.to_string() };
    let asker = Asker::open(client, standing, options.timeout, ended).await.map_err(why)?;
    check_server(&asker)?;
    asker.call::<Object>("INFO", &Object::new()).await.map_err(why)?;
    let server = asker.client().server_info();
    Ok(Looked { version: server.version, max_payload: server.max_payload, durability: durability(options.replicas) })
}

fn durability(replicas: usize) -> String {
    match replicas {
        1 => "an acknowledged record is on one server and survives a crash of its process; a power failure can cost \
            what the server has not synced (`sync_interval`, 2 minutes by default)"
            .into(),
        many => format!(
            "an acknowledged record is on most of {many} servers and survives the loss of fewer than half of them; a \
            power failure of most of them at once can cost what they have not synced (`sync_interval`)"
        ),
    }
}

fn capabilities(options: &Options, asker: &Asker) -> Capabilities {
    Capabilities {
        name: "nats",
        durability: durability(options.replicas),
        partitions: options.partitions,
        max_event: asker.client().server_info().max_payload.saturating_sub(HEADERS_ALLOWANCE),
        dedup: DedupReach::Window(options.duplicate_window),
        shared_between_processes: true,
        queue_beyond_partitions: true,
        shared: options.shared.clone(),
    }
}

#[async_trait]
impl Backend for NatsBackend {
    fn namespace(&self) -> &Namespace {
        &self.core.options.namespace
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<Receipts, PublishError> {
        self.publisher.publish(batch).await
    }

    async fn tail(&self, spec: TailSpec) -> Result<Box<dyn Tail>, BackendError> {
        let tail = self.core.until_closed("open a tail", NatsTail::open(&self.core, &spec)).await?;
        Ok(Box::new(tail))
    }

    async fn ends(&self, class: Class, lane: Lane) -> Result<Vec<(Partition, Position)>, BackendError> {
        const DOING: &str = "read the ends";
        let ends = async { lookups::ends(&self.core, class, lane).await.map_err(|trouble| trouble.reading(DOING)) };
        self.core.until_closed(DOING, ends).await
    }

    async fn fetch(&self, positions: &[Position]) -> Result<Vec<Option<Arc<Record>>>, BackendError> {
        self.core.until_closed("fetch records", lookups::fetch(&self.core, positions)).await
    }

    async fn lag(&self, spec: &TailSpec) -> Result<u64, BackendError> {
        const DOING: &str = "count what lies ahead";
        let lag = async {
            lookups::lag(&self.core, self.core.stream_of(spec, DOING)?, spec)
                .await
                .map_err(|trouble| trouble.reading(DOING))
        };
        self.core.until_closed(DOING, lag).await
    }

    async fn cell_load(&self, name: &CellName) -> Result<Option<CellValue>, BackendError> {
        let doing = format!("load cell {name}");
        let load = async { cells::load(&self.core, name).await.map_err(|trouble| trouble.reading(&doing)) };
        self.core.until_closed(&doing, load).await
    }

    async fn cell_store(
        &self,
        name: &CellName,
        value: Bytes,
        expected: Option<CellVersion>,
    ) -> Result<StoreOutcome, BackendError> {
        self.core.open("store a cell")?;
        cells::store(&self.core, name, value, expected).await
    }

    async fn cells(&self, prefix: &CellName) -> Result<Vec<CellName>, BackendError> {
        let doing = format!("list the cells below {prefix}");
        let list = async { cells::below(&self.core, prefix).await.map_err(|trouble| trouble.reading(&doing)) };
        self.core.until_closed(&doing, list).await
    }

    async fn queue(&self, spec: QueueSpec) -> Result<Box<dyn Queue>, BackendError> {
        let queue = self.core.until_closed("open a queue", NatsQueue::open(&self.core, spec)).await?;
        Ok(Box::new(queue))
    }

    async fn topics(&self, class: Class) -> Result<Vec<TopicInfo>, BackendError> {
        const DOING: &str = "list the topics";
        let list = async { lookups::topics(&self.core, class).await.map_err(|trouble| trouble.reading(DOING)) };
        self.core.until_closed(DOING, list).await
    }

    async fn close(&self) {
        self.core.closing.cancel();
        self.core.tasks.close();
        if tokio::time::timeout(FAREWELL, self.core.tasks.wait()).await.is_err() {
            tracing::warn!("the end doesn't wait any longer for the broker's answers");
        }
        if self.core.asker.standing().borrow().connected {
            drop(self.core.asker.client().flush().await);
        }
        self.core.ended.cancel();
        drop(self.core.asker.client().drain().await);
    }
}

impl fmt::Debug for NatsBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBackend").field("namespace", &self.core.options.namespace).finish_non_exhaustive()
    }
}
