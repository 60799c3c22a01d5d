//! The session of an answer that lasts: a stream or a file. It is looked at between two parts, so that
//! nothing is sent after its end.

use super::Visit;
use crate::deny::Deny;
use crate::edge::Edge;
use crate::people::session::keeper;
use cofferdam_core::journey::ports::Front;
use cofferdam_core::model::console_role::ConsolePerson;
use cofferdam_core::model::sign_in::SessionKeeper;

/// The session of a person in one role.
pub(super) struct Held {
    /// The person, in the role of the answer.
    pub person: ConsolePerson,
    session: String,
    keeper: SessionKeeper,
}

/// The state of a session at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// It counts, and the person has the role.
    Yes,
    /// It is over.
    No,
    /// The trust file cannot be read at present.
    Unknown,
}

impl Held {
    /// The session of a visit.
    pub fn of<F: Front>(edge: &Edge<F>, visit: &Visit<'_>) -> Result<Self, Deny> {
        let party = edge.required_party(visit.parts)?;
        let session = Edge::<F>::session_secret(visit.parts, party)?.ok_or(Deny::Broken)?;
        Ok(Self { person: visit.person.clone(), session, keeper: keeper(party) })
    }

    /// Looks at the session.
    pub fn holds(&self, front: &impl Front) -> Holds {
        let Ok(found) = front.person(&self.session, self.keeper) else { return Holds::Unknown };
        let acting = found.and_then(|person| person.acting_as(self.person.role));
        if acting.as_ref() == Some(&self.person) { Holds::Yes } else { Holds::No }
    }
}
