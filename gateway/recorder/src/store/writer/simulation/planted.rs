//! Wrong rules, at least one for each promise: the simulation has to find each. Never part of a
//! usual history.

/// A wrong rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Planted {
    /// None: each part follows its rules.
    Nothing,
    /// An effect comes before its durable intent.
    EffectFirst,
    /// The rights of a lost runner are kept.
    KeptRights,
    /// A runner repeats an effect without an answer, and no precondition stops it.
    Repeats,
    /// A run is not removed.
    NoTeardown,
    /// The recorder answers before its commit.
    EarlyAnswer,
    /// A runner that recovers a job does not look, and reports success.
    Guesses,
    /// A runner that recovers a job does not look, and reports that nothing is known.
    Doubts,
    /// The sequencer does not check its term.
    OldTerm,
    /// The recorder does not read what a commit without an answer left.
    OldHead,
    /// An entry of the ledger changes after its commit.
    Tampers,
    /// Queued jobs keep their permits of a policy that no gateway serves.
    KeptPermits,
}

impl Planted {
    /// Each wrong rule, with words of the promise that it breaks.
    pub const ALL: [(Self, &str); 11] = [
        (Self::EffectFirst, "an effect without a durable intent"),
        (Self::KeptRights, "an effect under an older lease"),
        (Self::Repeats, "a second effect"),
        (Self::NoTeardown, "a closed job has its run"),
        (Self::EarlyAnswer, "an acknowledged job is lost"),
        (Self::Guesses, "an outcome differs from the effects"),
        (Self::Doubts, "indeterminate without an unknown effect"),
        (Self::OldTerm, "a commit fails"),
        (Self::OldHead, "a commit fails"),
        (Self::Tampers, "the ledger does not verify"),
        (Self::KeptPermits, "a runner got a job of a policy that no gateway serves"),
    ];
}
