//! Any bytes for `handbell_properties::cloudevents`, which says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| handbell_properties::cloudevents(data));
