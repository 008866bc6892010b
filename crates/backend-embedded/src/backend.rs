//! The trait's verbs, each handed to the part that does it.

use std::{collections::BTreeSet, fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use handbell_backend::{
    Backend, BackendError, Capabilities, CellName, CellValue, CellVersion, Class, DedupReach, Fault, Outgoing,
    Partition, Position, PublishError, Queue, QueueSpec, Receipts, Record, StoreOutcome, Stored, Tail, TailSpec,
    TopicInfo,
};
use handbell_protocol::{Lane, Namespace};
use tokio::sync::oneshot;

use crate::{
    cells,
    codec::Encoded,
    engine::Engine,
    fetch,
    keeper::Keeper,
    options::{Options, Place},
    queue,
    stream::StreamKey,
    tail::EmbeddedTail,
    topics,
    writer::{Publish, StoreCell},
};

/// One namespace of an embedded log.
pub struct EmbeddedBackend {
    keeper: Arc<Keeper>,
    namespace: Namespace,
    capabilities: Capabilities,
}

impl EmbeddedBackend {
    pub(crate) fn new(keeper: Arc<Keeper>, namespace: Namespace) -> Self {
        let capabilities = capabilities(&keeper.main.options);
        Self { keeper, namespace, capabilities }
    }

    fn key(&self, class: Class, lane: Lane) -> StreamKey {
        StreamKey { namespace: self.namespace.clone(), class, lane }
    }

    fn encode(&self, out: Outgoing) -> Result<Encoded, PublishError> {
        let partitions = self.capabilities.partitions.get();
        if out.partition.0 >= partitions {
            return Err(PublishError::Refused(format!("partition {} of {partitions} is asked for", out.partition)));
        }
        Encoded::of(out, &self.namespace, self.capabilities.max_event)
    }

    async fn hand_over(&self, engine: &Engine, batch: Vec<Outgoing>) -> Result<Handed, PublishError> {
        let count = batch.len();
        let records: Vec<_> = batch.into_iter().map(|out| self.encode(out)).collect();
        let bytes = records.iter().flatten().map(Encoded::bytes).sum();
        let (answer, answered) = oneshot::channel();
        let job = Publish::new(self.namespace.clone(), records, answer);
        let closed = |_| PublishError::Unavailable("the log is closed".into());
        engine.inbox.push(Box::new(job), bytes).await.map_err(closed)?;
        Ok(Handed { answered, count })
    }

    /// A batch whose records live in two engines.
    async fn hand_over_apart(&self, batch: Vec<Outgoing>) -> Result<Receipts, PublishError> {
        let of_members: Vec<bool> = batch.iter().map(|out| out.class == Class::Members).collect();
        let (members, main): (Vec<_>, Vec<_>) = batch.into_iter().partition(|out| out.class == Class::Members);
        let engine = self.members()?;
        let main = self.hand_over(&self.keeper.main, main).await?;
        let members = match self.hand_over(&engine, members).await {
            Ok(handed) => handed,
            // The other half is handed over already: the failure is told record by record.
            Err(error) => Handed::failed(error, of_members.iter().filter(|of| **of).count()),
        };
        Ok(Box::pin(async move {
            let (mut main, mut members) = (main.receipts().await.into_iter(), members.receipts().await.into_iter());
            of_members.into_iter().filter_map(|of| if of { members.next() } else { main.next() }).collect()
        }))
    }

    fn members(&self) -> Result<Arc<Engine>, PublishError> {
        self.keeper.engine(Class::Members).map_err(|error| PublishError::Unavailable(error.to_string()))
    }
}

fn capabilities(options: &Options) -> Capabilities {
    let durability = match options.place {
        Place::Dir(_) => {
            "an acknowledged record is on this machine's disk (fsync) and survives a crash of the process \
            and a power failure, as far as the disk keeps what it has confirmed"
                .into()
        }
        Place::Memory => "nothing survives the process: the log is in memory".into(),
    };
    Capabilities {
        name: "embedded",
        durability,
        partitions: options.partitions,
        max_event: options.max_event,
        dedup: DedupReach::Kept,
        shared_between_processes: false,
        queue_beyond_partitions: true,
        shared: BTreeSet::new(),
    }
}

/// A batch that is in the writer's hands.
struct Handed {
    answered: oneshot::Receiver<Vec<Result<Stored, PublishError>>>,
    count: usize,
}

impl Handed {
    fn failed(error: PublishError, count: usize) -> Self {
        let (answer, answered) = oneshot::channel();
        drop(answer.send(vec![Err(error); count]));
        Self { answered, count }
    }

    async fn receipts(self) -> Vec<Result<Stored, PublishError>> {
        let lost = PublishError::InDoubt("the log's writer has ended".into());
        self.answered.await.unwrap_or_else(|_| vec![Err(lost); self.count])
    }
}

#[async_trait]
impl Backend for EmbeddedBackend {
    fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<Receipts, PublishError> {
        let members = batch.iter().filter(|out| out.class == Class::Members).count();
        if members > 0 && members < batch.len() {
            return self.hand_over_apart(batch).await;
        }
        let handed = if members > 0 {
            self.hand_over(&*self.members()?, batch).await?
        } else {
            self.hand_over(&self.keeper.main, batch).await?
        };
        Ok(Box::pin(handed.receipts()))
    }

    async fn tail(&self, spec: TailSpec) -> Result<Box<dyn Tail>, BackendError> {
        let engine = self.keeper.engine(spec.class)?;
        let key = self.key(spec.class, spec.lane);
        Ok(Box::new(EmbeddedTail::open(&self.keeper, &engine, key, &spec).await?))
    }

    async fn ends(&self, class: Class, lane: Lane) -> Result<Vec<(Partition, Position)>, BackendError> {
        Ok(topics::ends(&*self.keeper.engine(class)?, &self.key(class, lane)))
    }

    async fn fetch(&self, positions: &[Position]) -> Result<Vec<Option<Arc<Record>>>, BackendError> {
        let (members, main): (Vec<_>, Vec<_>) =
            positions.iter().cloned().partition(|position| position.class == Class::Members);
        let mut main = fetch::fetch(&self.keeper.main, &self.namespace, main).await?.into_iter();
        let mut members = match members.is_empty() {
            true => Vec::new(),
            false => fetch::fetch(&self.keeper.engine(Class::Members)?, &self.namespace, members).await?,
        }
        .into_iter();
        let next = |position: &Position| match position.class {
            Class::Members => members.next(),
            _ => main.next(),
        };
        Ok(positions.iter().map(next).map(Option::flatten).collect())
    }

    async fn lag(&self, spec: &TailSpec) -> Result<u64, BackendError> {
        let engine = self.keeper.engine(spec.class)?;
        fetch::lag(&engine, self.key(spec.class, spec.lane), spec).await
    }

    async fn cell_load(&self, name: &CellName) -> Result<Option<CellValue>, BackendError> {
        let (namespace, wanted) = (self.namespace.clone(), name.clone());
        let doing = format!("load cell {name}");
        self.keeper.main.readers.read(&doing, move |tx| cells::load(tx, &namespace, &wanted)).await
    }

    async fn cell_store(
        &self,
        name: &CellName,
        value: Bytes,
        expected: Option<CellVersion>,
    ) -> Result<StoreOutcome, BackendError> {
        if value.len() > cells::MAX_CELL || name.as_str().len() > cells::MAX_NAME {
            let why = format!("it has {} bytes; a cell holds 512 KiB under a name of 200 bytes", value.len());
            return Err(BackendError::new(Fault::Refused, format!("store cell {name}"), why));
        }
        let bytes = value.len();
        let job = |to| Box::new(StoreCell::new(self.namespace.clone(), name.clone(), value, expected, to)) as _;
        self.keeper.main.call(&format!("store cell {name}"), bytes, job).await
    }

    async fn cells(&self, prefix: &CellName) -> Result<Vec<CellName>, BackendError> {
        let (namespace, wanted) = (self.namespace.clone(), prefix.clone());
        let doing = format!("list the cells below {prefix}");
        self.keeper.main.readers.read(&doing, move |tx| cells::below(tx, &namespace, &wanted)).await
    }

    async fn queue(&self, spec: QueueSpec) -> Result<Box<dyn Queue>, BackendError> {
        let engine = self.keeper.engine(spec.class)?;
        Ok(Box::new(queue::open(&self.keeper, &engine, &self.namespace, spec).await?))
    }

    async fn topics(&self, class: Class) -> Result<Vec<TopicInfo>, BackendError> {
        topics::topics(&self.keeper.engine(class)?, &self.namespace, class).await
    }

    async fn close(&self) {
        self.keeper.close().await;
    }
}

impl fmt::Debug for EmbeddedBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedBackend").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}
