//! Any bytes for `handbell_properties::frame`, which says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| handbell_properties::frame(data));
