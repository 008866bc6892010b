//! The program `handbell`; all of it is in the library beside it.

use std::process::ExitCode;

/// Small things come and go in numbers: for them it is quicker than glibc's,
/// see `docs/performance.md`. Two arenas (`.cargo/config.toml`) keep it small.
#[cfg(all(unix, not(target_env = "musl")))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    handbell::main()
}
