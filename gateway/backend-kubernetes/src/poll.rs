//! Repeated reads with a time limit, and the pauses between them. Does not know the object of the
//! reads.

use std::time::Duration;
use tokio::time::Instant;

/// The first pause between two looks; it doubles.
const FIRST: Duration = Duration::from_millis(20);

/// The longest pause between two looks.
const LONGEST: Duration = Duration::from_secs(1);

/// Looks for as long as a limit, at first soon after one another.
#[derive(Debug)]
pub struct Poll {
    end: Instant,
    pause: Duration,
}

impl Poll {
    /// From now on for this long.
    pub fn within(limit: Duration) -> Self {
        Self { end: Instant::now() + limit, pause: FIRST }
    }

    /// Returns whether the time is over. A read that begins afterwards is the last one.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    /// Waits for the next look; false, and at once, when the time is over.
    pub async fn again(&mut self) -> bool {
        if self.is_over() {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pauses_double_until_the_time_is_over() {
        let mut poll = Poll::within(Duration::from_secs(60));
        for expect in [40, 80, 160] {
            assert!(poll.again().await && !poll.is_over());
            assert_eq!(poll.pause.as_millis(), expect);
        }
        let mut over = Poll::within(Duration::ZERO);
        assert!(over.is_over() && !over.again().await);
    }
}
