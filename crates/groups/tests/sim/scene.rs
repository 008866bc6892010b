//! What tests of one scene say of a world: run it, hold it to its promises,
//! look at what came in which order.

use super::{Act, World};

/// Nothing was broken so far.
pub(crate) fn ok(world: &mut World) {
    assert_eq!(world.violations, Vec::<String>::new());
}

/// Runs until everything is done, and checks that it ended for a reason.
pub(crate) fn finish(world: &mut World, within: u64) {
    let end = world.now + within;
    let done = world.run_until(end, World::all_done);
    ok(world);
    assert!(done, "not done after {within} ms");
    world.run(1_000);
    world.check_end();
    ok(world);
}

/// The events in the order of their deliveries.
pub(crate) fn order(world: &World) -> Vec<usize> {
    world.delivered.iter().map(|(event, _)| *event).collect()
}

/// A failure that is tried again after a while.
pub(crate) fn nack(delay: u64) -> Act {
    Act::Nack { after: 5, class: "temporary_failure", delay: Some(delay) }
}
