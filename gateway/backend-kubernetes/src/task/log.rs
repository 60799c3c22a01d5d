//! The new lines of a running task's log, as progress: whole lines, each once, in order. Pure. The
//! caller passes the log from its beginning each time, since the kubelet's `sinceTime`, in whole
//! seconds, loses or repeats lines. Never interprets a line.

use cofferdam_core::model::job::Said;
use cofferdam_core::model::limit::{NOTE, NOTES_AT_ONCE, TASK_OUTPUT};

/// Lines of one task that are passed on in all: what a person reads while they wait. The result has
/// the rest.
const LINES: usize = 500;

/// How far a task's log was passed on.
#[derive(Debug, Default)]
pub struct Log {
    /// Bytes of it: always whole lines.
    read: usize,
    /// The number of lines that were passed on.
    passed: usize,
    overfull: bool,
}

impl Log {
    /// The new lines. If there are more than one notification takes, the newest ones, and the
    /// number of lines that were left out.
    pub fn news(&mut self, operation: u32, log: &str) -> Vec<Said> {
        self.overfull |= log.len() > TASK_OUTPUT;
        let Some((whole, _)) = log.get(self.read..).and_then(|rest| rest.rsplit_once('\n')) else {
            return Vec::new();
        };
        self.read += whole.len() + 1;
        let lines: Vec<&str> = whole.split('\n').collect();
        let most = NOTES_AT_ONCE.min(LINES.saturating_sub(self.passed));
        let mut skipped = lines.len().saturating_sub(most);
        let said = lines.iter().skip(skipped).map(|line| {
            let text = line.strip_suffix('\r').unwrap_or(line);
            Said {
                operation: Some(operation),
                text: bounded(text),
                skipped: u64::try_from(std::mem::take(&mut skipped)).unwrap_or(u64::MAX),
            }
        });
        let said: Vec<Said> = said.collect();
        self.passed += said.len();
        said
    }

    /// Returns whether another read could give no more lines.
    pub fn is_over(&self) -> bool {
        self.overfull || self.passed >= LINES
    }

    /// Returns whether the log was once longer than a result may be. A log does not get shorter,
    /// but a node starts a new one at its limit.
    pub fn is_overfull(&self) -> bool {
        self.overfull
    }
}

/// A line within the limit; a longer one says so by its end.
fn bounded(line: &str) -> String {
    const MORE: char = '…';
    if line.chars().count() <= NOTE {
        line.to_owned()
    } else {
        line.chars().take(NOTE - 1).chain([MORE]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks rows of one read each: the whole log, and the lines passed on, each with the number
    /// of lines left out before it.
    fn check(rows: &[(&str, &[(&str, u64)])]) {
        let mut log = Log::default();
        for (seen, expect) in rows {
            let said = log.news(3, seen);
            assert!(said.iter().all(|said| said.operation == Some(3)));
            assert_eq!(
                said.iter().map(|said| (said.text.as_str(), said.skipped)).collect::<Vec<_>>(),
                *expect,
                "{seen:?}"
            );
        }
    }

    #[test]
    fn each_whole_line_is_passed_on_once() {
        check(&[
            ("", &[]),
            ("half", &[]),
            ("half a line", &[]),
            ("half a line\nsecond\nthi", &[("half a line", 0), ("second", 0)]),
            ("half a line\nsecond\nthi", &[]),
            ("half a line\nsecond\nthird\n\n", &[("third", 0), ("", 0)]),
            ("half a line\nsecond\nthird\n\ncarriage\r\n", &[("carriage", 0)]),
            // The node started a new log: no line is known to be new.
            ("other\n", &[]),
        ]);
        // Bytes that are not UTF-8 are replaced in the same way each time.
        check(&[("a\u{fffd}\nb\u{fffd}", &[("a\u{fffd}", 0)]), ("a\u{fffd}\nbä\n", &[("bä", 0)])]);
    }

    #[test]
    fn size_number_and_rate_are_bounded() {
        let lines = |from: usize, to: usize| {
            (from..to).map(|number| format!("{number}\n")).collect::<String>()
        };
        let mut log = Log::default();
        let said = log.news(0, &lines(0, 50));
        assert_eq!((said.len(), said[0].text.as_str(), said[0].skipped), (NOTES_AT_ONCE, "30", 30));
        assert_eq!((said[1].skipped, said[19].text.as_str()), (0, "49"));
        let mut passed = said.len();
        for look in 2..60 {
            passed += log.news(0, &lines(0, look * 50)).len();
        }
        assert!(passed == LINES && log.is_over() && !log.is_overfull());

        let mut log = Log::default();
        let said = log.news(0, &format!("{}\n{}\n", "ü".repeat(NOTE), "ü".repeat(NOTE + 1)));
        assert_eq!(said[0].text, "ü".repeat(NOTE));
        assert_eq!(said[1].text, format!("{}…", "ü".repeat(NOTE - 1)));

        let mut log = Log::default();
        assert!(
            log.news(0, &"x".repeat(TASK_OUTPUT + 1)).is_empty()
                && log.is_over()
                && log.is_overfull()
        );
    }
}
