//! The agents' port with an echo behind it, for a suite of the WebSocket
//! protocol: `cargo run -p handbell-sidecar --features echo --example echo`.
//! Prints its address and serves until it is killed.

use handbell_sidecar::{Limits, Listen, StartError, echo};

/// The largest that `sidecar.max_frame` may be: the suite sends up to 16 MiB.
const MAX_FRAME: usize = 64 << 20;

#[tokio::main]
async fn main() -> Result<(), StartError> {
    let any_port = Listen::Tcp(([127, 0, 0, 1], 0).into());
    let limits = Limits { max_frame: MAX_FRAME, ..Limits::default() };
    echo(any_port, limits, |url| println!("{url}")).await
}
