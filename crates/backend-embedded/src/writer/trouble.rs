//! What is said of writes that fail: once when it begins, now and then while
//! it lasts, and when it is over. Pure: time is an argument.

use std::time::{Duration, Instant};

/// So often a trouble that lasts is told again.
const AGAIN: Duration = Duration::from_secs(10);

/// Whether writes fail now, and what was said of it.
#[derive(Debug, Default)]
pub(super) struct Trouble(Option<Lasting>);

#[derive(Debug)]
struct Lasting {
    since: Instant,
    told: Instant,
    /// How many failures were not told yet.
    silent: u64,
}

impl Trouble {
    /// A write has failed. How many failures there were before it of which
    /// nothing was said, if this is the time to say something.
    pub(super) fn failed(&mut self, now: Instant) -> Option<u64> {
        let Some(lasting) = &mut self.0 else {
            self.0 = Some(Lasting { since: now, told: now, silent: 0 });
            return Some(0);
        };
        if now < lasting.told + AGAIN {
            lasting.silent += 1;
            return None;
        }
        lasting.told = now;
        Some(std::mem::take(&mut lasting.silent))
    }

    /// A write has worked. How long none did, if that is over now.
    pub(super) fn worked(&mut self, now: Instant) -> Option<Duration> {
        self.0.take().map(|lasting| now.saturating_duration_since(lasting.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_at_its_beginning_now_and_then_and_at_its_end() {
        let (mut trouble, start) = (Trouble::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(trouble.worked(at(0)), None);
        assert_eq!(trouble.failed(at(1)), Some(0));
        assert_eq!((trouble.failed(at(2)), trouble.failed(at(10))), (None, None));
        assert_eq!(trouble.failed(at(11)), Some(2));
        assert_eq!(trouble.failed(at(12)), None);
        assert_eq!(trouble.worked(at(13)), Some(Duration::from_secs(12)));
        assert_eq!(trouble.failed(at(14)), Some(0));
    }
}
