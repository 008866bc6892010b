//! WebSocket frames of `handbell.v1.json`: one JSON object per text frame.

mod client;
mod fault;
mod reading;
mod retry;
mod server;

pub use client::{
    Ack, Cancel, ClientFrame, Credit, Extend, FrameError, From, Hello, Nack, Order, Output, Publish, Reject, Release,
    Request, Respond, Subscribe, Unsubscribe, Usage,
};
pub use retry::{Backoff, RetryPolicy};
pub use server::{
    Deliver, ErrorFrame, Gap, Gone, OutputPublished, Published, Rejected, Reply, ReplyStatus, ServerFrame, Settled,
    Step, Trace, Welcome,
};

/// The WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "handbell.v1.json";
/// The path of the WebSocket.
pub const PATH: &str = "/v1/ws";
/// The largest `seq`: 2⁵³ − 1, the largest integer that every JSON reader keeps.
pub const MAX_SEQ: u64 = (1 << 53) - 1;
/// The largest credit.
pub const MAX_CREDIT: u32 = (1 << 31) - 1;
