//! A TCP proxy between a client and a broker, with faults at will: delay, slow
//! drip, silence, loss in one direction, cut connections, refused ones.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client to the broker: what it asks.
    There,
    /// From the broker to the client: what it answers.
    Back,
}

/// What happens to bytes on one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// They pass.
    #[default]
    None,
    /// Each piece comes later by that.
    Delay(Duration),
    /// They come in pieces of that many bytes, one each millisecond.
    Drip(usize),
    /// Nothing comes any more; it waits where it is, and comes when the fault ends.
    Silence,
    /// They are gone. What follows after the fault ends makes no sense to its
    /// reader: cut the connections then.
    Loss,
}

/// A proxy on a port of its own. Dropping it cuts all connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    ended: CancellationToken,
}

#[derive(Debug)]
struct State {
    there: watch::Sender<Fault>,
    back: watch::Sender<Fault>,
    /// Grows with each cut.
    cuts: watch::Sender<u64>,
    refuses: watch::Sender<bool>,
    connections: AtomicU64,
}

impl Proxy {
    /// A proxy to the broker at `url`, which has a scheme, a host and a port.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn start(url: &str) -> io::Result<Self> {
        let upstream = url.rsplit("//").next().unwrap_or(url).to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            there: watch::Sender::new(Fault::None),
            back: watch::Sender::new(Fault::None),
            cuts: watch::Sender::new(0),
            refuses: watch::Sender::new(false),
            connections: AtomicU64::new(0),
        });
        let ended = CancellationToken::new();
        tokio::spawn(ended.clone().run_until_cancelled_owned(accept(listener, upstream, Arc::clone(&state))));
        Ok(Self { address, state, ended })
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// What happens from now on to bytes on that way, in all connections.
    pub fn set(&self, way: Way, fault: Fault) {
        match way {
            Way::There => self.state.there.send_replace(fault),
            Way::Back => self.state.back.send_replace(fault),
        };
    }

    /// Cuts all connections that there are.
    pub fn cut(&self) {
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Whether new connections are cut at once.
    pub fn refuse(&self, refuses: bool) {
        self.state.refuses.send_replace(refuses);
    }

    /// How many connections there have been.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.cancel();
        self.refuse(true);
        self.cut();
    }
}

async fn accept(listener: TcpListener, upstream: String, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        if *state.refuses.borrow() {
            continue;
        }
        state.connections.fetch_add(1, Ordering::Relaxed);
        // From here on, so that a cut while it connects counts.
        let cuts = state.cuts.subscribe();
        tokio::spawn(connection(client, upstream.clone(), Arc::clone(&state), cuts));
    }
}

/// One connection, until either side ends it or it is cut.
async fn connection(client: TcpStream, upstream: String, state: Arc<State>, mut cuts: watch::Receiver<u64>) {
    let both = async {
        let Ok(broker) = TcpStream::connect(&upstream).await else { return };
        for socket in [&client, &broker] {
            // A socket that can't be hurried is slower, that is all.
            drop(socket.set_nodelay(true));
        }
        let ((from_client, to_client), (from_broker, to_broker)) = (client.into_split(), broker.into_split());
        tokio::select! {
            _ = pass(from_client, to_broker, state.there.subscribe()) => {}
            _ = pass(from_broker, to_client, state.back.subscribe()) => {}
        }
    };
    tokio::select! {
        () = both => {}
        _ = cuts.changed() => {}
    }
}

/// Bytes of one way.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut fault: watch::Receiver<Fault>) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1_024];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            let now = *fault.borrow_and_update();
            let (piece, pause) = match now {
                Fault::None => (rest.len(), Duration::ZERO),
                Fault::Delay(delay) => (rest.len(), delay),
                Fault::Drip(bytes) => (bytes.clamp(1, rest.len()), Duration::from_millis(1)),
                Fault::Loss => break,
                Fault::Silence => {
                    // An error means that the proxy is gone.
                    fault.changed().await.map_err(io::Error::other)?;
                    continue;
                }
            };
            sleep(pause).await;
            to.write_all(&rest[..piece]).await?;
            rest = &rest[piece..];
        }
    }
}
