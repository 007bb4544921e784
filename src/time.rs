//! Time: milliseconds since the Unix epoch, and when a record ends.
//!
//! Every call that reads the clock has a twin that takes the time. Nothing here overflows: all sums saturate,
//! so a clock at either end of its range makes sessions expire or live, never wrap.

use std::time::{SystemTime, UNIX_EPOCH};

/// The system clock in milliseconds since the Unix epoch; 0 when it stands before it.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

/// The two timeouts as they apply to one record: `min(stored, configured)`, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    pub(crate) idle_ms: u64,
    pub(crate) absolute_ms: u64,
}

impl Timeouts {
    /// Lets a record shorten, never lengthen, what is configured. 0 in a record means "as configured".
    pub(crate) fn limited(self, idle_ms: u64, absolute_ms: u64) -> Timeouts {
        let least = |configured: u64, own: u64| if own == 0 { configured } else { own.min(configured) };
        Timeouts { idle_ms: least(self.idle_ms, idle_ms), absolute_ms: least(self.absolute_ms, absolute_ms) }
    }

    /// When a record ends that is written now. A `created` in the future (a clock was set back) counts as now.
    pub(crate) fn expiry_ms(self, created_ms: u64, now_ms: u64) -> u64 {
        let absolute = created_ms.min(now_ms).saturating_add(self.absolute_ms);
        now_ms.saturating_add(self.idle_ms).min(absolute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURED: Timeouts = Timeouts { idle_ms: 100, absolute_ms: 1000 };

    #[test]
    fn the_earlier_timeout_wins() {
        assert_eq!(CONFIGURED.expiry_ms(0, 50), 150);
        assert_eq!(CONFIGURED.expiry_ms(0, 950), 1000);
    }

    #[test]
    fn a_record_cannot_outlive_the_configuration() {
        assert_eq!(CONFIGURED.limited(u64::MAX, u64::MAX), CONFIGURED);
        assert_eq!(CONFIGURED.limited(10, 20), Timeouts { idle_ms: 10, absolute_ms: 20 });
        assert_eq!(CONFIGURED.limited(0, 0), CONFIGURED);
    }

    #[test]
    fn the_ends_of_time_saturate() {
        assert_eq!(CONFIGURED.expiry_ms(u64::MAX, u64::MAX), u64::MAX);
        assert_eq!(CONFIGURED.expiry_ms(u64::MAX, 5), 105);
    }
}
