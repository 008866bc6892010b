//! What must hold of anything that comes from outside, whatever bytes it is
//! made of: frames, envelopes, filters, broker messages, configuration.
//!
//! Each function takes any bytes and panics where something doesn't hold. The
//! fuzz targets in `fuzz/` call them with inputs of their own making, and a
//! test here with every input that is kept in `fuzz/corpus`.

mod cloudevents;
mod configuration;
mod envelope;
mod filter;
mod frame;
mod json;

pub use cloudevents::cloudevents;
pub use configuration::configuration;
pub use envelope::envelope;
pub use filter::filter;
pub use frame::frame;

/// A property of any bytes.
pub type Property = fn(&[u8]);

/// Every property by the name of its fuzz target and its corpus.
pub const ALL: [(&str, Property); 5] = [
    ("cloudevents", cloudevents),
    ("configuration", configuration),
    ("envelope", envelope),
    ("filter", filter),
    ("frame", frame),
];
