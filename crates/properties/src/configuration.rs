//! Configuration, as YAML, as TOML, and line by line as `--set` and variables.

/// What is accepted can be printed and read again; what isn't is told with a
/// place and a remedy.
///
/// # Panics
/// When that doesn't hold.
pub fn configuration(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        handbell::configuration_holds(text);
    }
}
