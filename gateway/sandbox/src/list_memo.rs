//! List decisions that were given already. A policy gets no answer from the host and a fresh memory
//! each time, so its answer is a function of the bytes of its question. The key is all of these
//! bytes, and the time of a question is in whole minutes. Never keeps an error, which says something
//! about the machine, and never a decision over a plan.

use crate::limit;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The kept answers. Another policy is another memo.
pub(crate) struct ListMemo {
    kept: Mutex<Kept>,
}

struct Kept {
    /// The answer to each question, with the number of its last use.
    answers: HashMap<Arc<str>, (Box<str>, u64)>,
    /// The same questions by the number of their last use: the oldest first.
    used: BTreeMap<u64, Arc<str>>,
    uses: u64,
    /// Bytes of all questions and answers.
    bytes: usize,
    most_entries: usize,
    most_bytes: usize,
}

impl ListMemo {
    pub(crate) fn new() -> Self {
        Self::within(limit::MEMO_ENTRIES, limit::MEMO_BYTES)
    }

    fn within(most_entries: usize, most_bytes: usize) -> Self {
        Self {
            kept: Mutex::new(Kept {
                answers: HashMap::new(),
                used: BTreeMap::new(),
                uses: 0,
                bytes: 0,
                most_entries,
                most_bytes,
            }),
        }
    }

    /// Returns the kept answer to exactly this question, or asks and keeps the answer.
    pub(crate) async fn answer<E>(
        &self,
        question: &str,
        ask: impl Future<Output = Result<String, E>>,
    ) -> Result<String, E> {
        if let Some(answer) = self.kept().find(question) {
            return Ok(answer);
        }
        let answer = ask.await?;
        self.kept().keep(question, &answer);
        Ok(answer)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn find(&mut self, question: &str) -> Option<String> {
        let (answer, last) = self.answers.get_mut(question)?;
        self.uses = self.uses.wrapping_add(1);
        if let Some(question) = self.used.remove(last) {
            self.used.insert(self.uses, question);
        }
        *last = self.uses;
        Some(answer.to_string())
    }

    fn keep(&mut self, question: &str, answer: &str) {
        let size = question.len().saturating_add(answer.len());
        // One question must not drive out all others. Another caller may have kept it meanwhile.
        if size > self.most_bytes / 4 || self.answers.contains_key(question) {
            return;
        }
        let question: Arc<str> = question.into();
        self.uses = self.uses.wrapping_add(1);
        self.bytes = self.bytes.saturating_add(size);
        self.used.insert(self.uses, Arc::clone(&question));
        self.answers.insert(question, (answer.into(), self.uses));
        while self.bytes > self.most_bytes || self.answers.len() > self.most_entries {
            let Some((_, oldest)) = self.used.pop_first() else { return };
            if let Some((answer, _)) = self.answers.remove(&oldest) {
                self.bytes = self.bytes.saturating_sub(oldest.len().saturating_add(answer.len()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// A policy whose answer is a function of the question, and which counts its evaluations.
    fn policy(question: &str) -> String {
        format!("[\"{}\"]", question.len() % 7)
    }

    /// The result of a future that waits for nothing.
    fn now<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("it waits"),
        }
    }

    fn asked(memo: &ListMemo, question: &str, evaluations: &Cell<usize>) -> Result<String, String> {
        let ask = async {
            evaluations.set(evaluations.get() + 1);
            Ok(policy(question))
        };
        now(memo.answer(question, ask))
    }

    #[test]
    fn the_answer_is_always_that_of_the_policy() {
        let (memo, evaluations) = (ListMemo::within(8, 400), Cell::new(0));
        let mut random = 7_usize;
        for _ in 0..5_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            // Questions that differ in their last byte alone, and in their length.
            let question = format!("{}{}", "q".repeat(random >> 33 & 15), random >> 40 & 1);
            assert_eq!(asked(&memo, &question, &evaluations), Ok(policy(&question)));
            let kept = memo.kept();
            let sum: usize = kept.answers.iter().map(|(q, (a, _))| q.len() + a.len()).sum();
            assert_eq!(kept.answers.len(), kept.used.len());
            assert_eq!(kept.bytes, sum);
            assert!(kept.bytes <= 400 && kept.answers.len() <= 8);
        }
        // It remembers, and it forgets.
        assert!((500..4_900).contains(&evaluations.get()), "{}", evaluations.get());
    }

    #[test]
    fn a_question_is_asked_once_and_each_other_byte_is_another_question() {
        let (memo, evaluations) = (ListMemo::new(), Cell::new(0));
        for (question, expect) in [("a 10:07", 1), ("a 10:07", 1), ("a 10:08", 2), ("b 10:08", 3)] {
            asked(&memo, question, &evaluations).unwrap();
            assert_eq!(evaluations.get(), expect, "{question}");
        }
    }

    #[test]
    fn an_error_is_not_kept() {
        let (memo, evaluations) = (ListMemo::new(), Cell::new(0));
        let fails = async { Err("busy".to_owned()) };
        let failed = now(memo.answer("q", fails));
        assert_eq!(failed, Err("busy".to_owned()));
        assert_eq!(asked(&memo, "q", &evaluations), Ok(policy("q")));
        assert_eq!(evaluations.get(), 1);
    }

    #[test]
    fn the_oldest_answers_make_room_and_a_huge_one_is_not_kept() {
        let (memo, evaluations) = (ListMemo::within(2, 1_000), Cell::new(0));
        for question in ["a", "b", "a", "c", "a"] {
            asked(&memo, question, &evaluations).unwrap();
        }
        assert_eq!(evaluations.get(), 3, "`b` made room for `c`");
        asked(&memo, "b", &evaluations).unwrap();
        assert_eq!(evaluations.get(), 4);
        let huge = "x".repeat(300);
        for _ in 0..2 {
            asked(&memo, &huge, &evaluations).unwrap();
        }
        assert_eq!(evaluations.get(), 6);
    }
}
