//! The rules of a job's lease as pure functions: which writes it permits, the result of its loss,
//! the end of a job without one. The recorder's changes and the model check call the same
//! functions. Knows nothing of stores or clocks.

use super::id::Fence;
use super::run::{ATTEMPTS, Event, IllegalEvent, Outcome, Phase};

/// Returns whether a runner may claim a job: it is not leased, and its phase allows a lease.
pub fn is_claimable(phase: Phase, leased: bool) -> bool {
    !leased && phase.next(Event::Lease).is_ok()
}

/// Returns whether a write under the lease epoch `given` may change a job. `newest` is the newest
/// lease epoch of the job.
pub fn is_held(leased: bool, newest: Fence, given: Fence) -> bool {
    leased && newest == given
}

/// Returns whether an operation may begin or end in this phase: only after the permit is consumed.
pub fn is_operating(phase: Phase) -> bool {
    phase == Phase::Acting
}

/// Returns whether a runner may report this outcome of a job in this phase. Outcomes of people and
/// of the recorder are not a runner's, and nothing succeeds before the permit is consumed.
pub fn is_reportable(phase: Phase, outcome: Outcome) -> bool {
    match outcome {
        Outcome::Failed | Outcome::Refused | Outcome::Cancelled | Outcome::Expired => true,
        Outcome::Succeeded | Outcome::Indeterminate | Outcome::Held => phase == Phase::Acting,
        Outcome::Rejected | Outcome::Dead => false,
    }
}

/// Returns whether the outcome of a job may be written: it has none.
pub fn is_writable(outcome: Option<Outcome>) -> bool {
    outcome.is_none()
}

/// The phase after a lost lease, and the outcome if the loss ends the job. `attempts` is the number
/// of leases before acting, this one included. A job that ends goes through teardown, because an
/// unrecorded namespace may exist.
///
/// # Errors
/// The phase has no lease that can be lost.
pub fn lost(
    phase: Phase,
    attempts: u32,
    cancelled: bool,
) -> Result<(Phase, Option<Outcome>), IllegalEvent> {
    let before_acting = matches!(phase, Phase::Leased | Phase::Prepared);
    let outcome = if before_acting && attempts >= ATTEMPTS {
        Some(Outcome::Dead)
    } else if before_acting && cancelled {
        Some(Outcome::Cancelled)
    } else {
        None
    };
    let event = if outcome.is_some() { Event::Finish } else { Event::Lose };
    Ok((phase.next(event)?, outcome))
}

/// The phase after the end of a job without a lease. `attempts` is the number of its leases so far:
/// without any, it is closed; otherwise it may have a namespace, and goes through teardown.
///
/// # Errors
/// The job has a lease, or its effects may have begun.
pub fn ended(phase: Phase, attempts: u32) -> Result<Phase, IllegalEvent> {
    if attempts == 0 {
        return phase.next(Event::Withdraw);
    }
    let queued = if phase == Phase::AwaitingApproval { phase.next(Event::Approve)? } else { phase };
    if queued != Phase::Queued {
        return Err(IllegalEvent { phase, event: Event::Withdraw });
    }
    queued.next(Event::Lease)?.next(Event::Finish)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::run::{OUTCOMES, PHASES};

    #[test]
    fn a_write_needs_the_newest_lease() {
        for (leased, newest, given, expect) in
            [(true, 2, 2, true), (true, 2, 1, false), (true, 1, 2, false), (false, 2, 2, false)]
        {
            assert_eq!(is_held(leased, Fence(newest), Fence(given)), expect);
        }
        let claimable: Vec<_> =
            PHASES.into_iter().filter(|phase| is_claimable(*phase, false)).collect();
        assert_eq!(claimable, [Phase::Queued, Phase::Acting, Phase::TearingDown]);
        assert!(!PHASES.into_iter().any(|phase| is_claimable(phase, true)));
    }

    #[test]
    fn a_lost_lease_requeues_ends_or_recovers() {
        use Outcome::{Cancelled, Dead};
        use Phase::{Acting, Leased, Prepared, Queued, TearingDown};
        for (phase, attempts, cancelled, expect) in [
            (Leased, 1, false, (Queued, None)),
            (Prepared, ATTEMPTS - 1, false, (Queued, None)),
            (Leased, ATTEMPTS, true, (TearingDown, Some(Dead))),
            (Prepared, 1, true, (TearingDown, Some(Cancelled))),
            (Acting, ATTEMPTS, true, (Acting, None)),
            (TearingDown, 1, true, (TearingDown, None)),
        ] {
            assert_eq!(lost(phase, attempts, cancelled), Ok(expect), "{phase}");
        }
        for phase in [Phase::AwaitingApproval, Queued, Phase::Closed] {
            assert!(lost(phase, 1, false).is_err());
        }
    }

    #[test]
    fn a_job_without_a_lease_closes_only_if_it_never_had_one() {
        for phase in PHASES {
            let open = matches!(phase, Phase::AwaitingApproval | Phase::Queued);
            assert_eq!(ended(phase, 0).ok(), open.then_some(Phase::Closed), "{phase}");
            assert_eq!(ended(phase, 1).ok(), open.then_some(Phase::TearingDown), "{phase}");
        }
    }

    #[test]
    fn a_runner_reports_no_outcome_of_people_and_no_success_before_acting() {
        for outcome in OUTCOMES {
            let before = is_reportable(Phase::Prepared, outcome);
            let acting = is_reportable(Phase::Acting, outcome);
            use Outcome::{Cancelled, Dead, Expired, Failed, Refused, Rejected};
            assert_eq!(before, matches!(outcome, Failed | Refused | Cancelled | Expired));
            assert_eq!(acting, !matches!(outcome, Rejected | Dead), "{outcome}");
        }
    }
}
