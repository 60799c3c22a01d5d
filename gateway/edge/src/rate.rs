//! A token bucket: a rate with a burst. Reads no clock: each use brings the time.

use std::time::{Duration, Instant};

/// A rate with a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The uses that come back in a second, at least 1.
    pub per_second: u32,
    /// The most uses at once, at least 1.
    pub burst: u32,
}

/// A bucket, full at first. Stores the time at which it is full again, and its newest use.
#[derive(Debug, Default)]
pub struct Bucket {
    full: Option<Instant>,
    newest: Option<Instant>,
}

impl Bucket {
    /// Takes one use out of the bucket.
    ///
    /// # Errors
    /// The bucket is empty: the time until the next use. The bucket stays as it is.
    pub fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        // A thread may have read its clock before another, and come here after it.
        let now = self.newest.map_or(now, |newest| newest.max(now));
        self.newest = Some(now);
        let each = Duration::from_secs(1) / rate.per_second.max(1);
        let burst = each.saturating_mul(rate.burst.max(1));
        let left = self.full.map_or(Duration::ZERO, |full| full.saturating_duration_since(now));
        let next = left.saturating_add(each);
        if next > burst {
            return Err(next.saturating_sub(burst));
        }
        self.full = now.checked_add(next);
        Ok(())
    }

    /// Returns whether nothing is missing: a full bucket need not be kept.
    pub fn is_full(&self, now: Instant) -> bool {
        self.full.is_none_or(|full| full <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let rate = Rate { per_second: 10, burst: 5 };
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        let mut passed = |ms: u64| {
            let now = start + Duration::from_millis(ms);
            std::iter::repeat_with(|| bucket.take(rate, now)).take_while(Result::is_ok).count()
        };
        assert_eq!(passed(0), 5, "the burst");
        assert_eq!(passed(99), 0, "a tenth of a second brings one back, and not earlier");
        assert_eq!(passed(100), 1);
        assert_eq!(passed(300), 2);
        assert_eq!(passed(60_000), 5, "never more than the burst");
    }

    #[test]
    fn a_use_with_an_earlier_time_counts_at_the_newest_time() {
        let rate = Rate { per_second: 1_000_000, burst: 2_000 };
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        assert_eq!(bucket.take(rate, start + Duration::from_secs(1)), Ok(()));
        assert_eq!(bucket.take(rate, start), Ok(()), "of a thread that was held up for a second");
    }

    #[test]
    fn an_empty_bucket_says_when_and_loses_nothing_by_the_question() {
        let rate = Rate { per_second: 4, burst: 1 };
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        assert!(bucket.is_full(start));
        assert_eq!(bucket.take(rate, start), Ok(()));
        for _ in 0..100 {
            assert_eq!(bucket.take(rate, start), Err(Duration::from_millis(250)));
        }
        assert!(!bucket.is_full(start + Duration::from_millis(249)));
        assert!(bucket.is_full(start + Duration::from_millis(250)));
        assert_eq!(bucket.take(rate, start + Duration::from_millis(250)), Ok(()));
    }
}
