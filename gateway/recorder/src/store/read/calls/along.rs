//! The index along which a page reads: that of the part of the filter which the fewest calls match,
//! as far as a bounded count shows. Never reads rows that the index does not lead to.

use super::line::{CallLine, calls_by};
use super::{CallQuery, Place};
use crate::store::sql::{self, Connection};

/// The most calls that are counted for one part of a filter: all parts with more are equal.
const COUNTED: i64 = 2_000;

/// A part of a filter with an index of its own, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Along {
    /// All calls, by time.
    Time,
    /// The calls with an object.
    Object(String),
    /// The calls that a person signed.
    Signer(String),
    /// The calls for a person.
    Person(String),
    /// The calls of an agent.
    Agent(String),
    /// The calls of a tool.
    Tool(String),
    /// The calls in one state.
    State(String),
    /// The calls by their newest entries.
    Changes,
}

/// The statement that reads calls along an index: the value `?1`, from the time `?2`, before the
/// place `?3` and `?4`, at most `?5`.
const TIME: &str = calls_by!("calls AS c INDEXED BY calls_at", "?1 IS NULL", "c");
const PERSON: &str = calls_by!("calls AS c INDEXED BY calls_person", "c.person = ?1", "c");
const AGENT: &str = calls_by!("calls AS c INDEXED BY calls_principal", "c.principal = ?1", "c");
const TOOL: &str = calls_by!("calls AS c INDEXED BY calls_tool", "c.tool = ?1", "c");
const STATE: &str = calls_by!("calls AS c INDEXED BY calls_state", "c.state = ?1", "c");
const OBJECT: &str =
    calls_by!("call_objects AS o CROSS JOIN calls AS c", "c.seq = o.seq AND o.object = ?1", "o");
const SIGNER: &str =
    calls_by!("call_signers AS o CROSS JOIN calls AS c", "c.seq = o.seq AND o.signer = ?1", "o");

/// The statement that counts calls of an index, at most `?4`.
macro_rules! count {
    ($column:literal) => {
        concat!(
            "SELECT count(*) FROM (SELECT 1 FROM calls WHERE ",
            $column,
            " = ?1 AND at >= ?2 AND at <= ?3 LIMIT ?4) AS counted"
        )
    };
}

/// Every statement of a page, for the test of their plans.
#[cfg(test)]
pub(in crate::store) const STATEMENTS: [&str; 11] = [
    TIME,
    PERSON,
    AGENT,
    TOOL,
    STATE,
    OBJECT,
    SIGNER,
    count!("person"),
    count!("principal"),
    count!("tool"),
    count!("state"),
];

impl Along {
    /// The index for this query, for calls from the first time to the second.
    pub async fn choose(
        query: CallQuery<'_>,
        (since, until): (i64, i64),
        connection: &mut Connection,
    ) -> sqlx::Result<Self> {
        let filter = query.filter;
        // Few calls have an object or a signature.
        if let Some(object) = &filter.object {
            return Ok(Self::Object(object.as_str().to_owned()));
        }
        if let Some(signer) = query.signer {
            return Ok(Self::Signer(signer.to_owned()));
        }
        let state = match filter.states.as_slice() {
            [state] => Some(state.word().to_owned()),
            _ => None,
        };
        let parts = [
            filter.person.clone().map(Self::Person),
            filter.agent.clone().map(Self::Agent),
            filter.tool.clone().map(Self::Tool),
            state.map(Self::State),
        ];
        let mut parts: Vec<Self> = parts.into_iter().flatten().collect();
        if parts.len() < 2 {
            return Ok(parts.pop().unwrap_or(Self::Time));
        }
        let mut best = (i64::MAX, Self::Time);
        for part in parts {
            let count = part.count((since, until), connection).await?;
            if count < best.0 {
                best = (count, part);
            }
        }
        Ok(best.1)
    }

    async fn count(
        &self,
        (since, until): (i64, i64),
        connection: &mut Connection,
    ) -> sqlx::Result<i64> {
        let (sql, value) = match self {
            Self::Person(value) => (count!("person"), value),
            Self::Agent(value) => (count!("principal"), value),
            Self::Tool(value) => (count!("tool"), value),
            Self::State(value) => (count!("state"), value),
            Self::Time | Self::Object(_) | Self::Signer(_) | Self::Changes => return Ok(COUNTED),
        };
        sql::query_scalar(sql)
            .bind(value.clone())
            .bind(since)
            .bind(until)
            .bind(COUNTED)
            .fetch_one(connection)
            .await
    }

    /// The next calls before a place, newest first, at most `most`.
    pub async fn read(
        &self,
        since: i64,
        (at, seq): Place,
        most: usize,
        connection: &mut Connection,
    ) -> sqlx::Result<Vec<CallLine>> {
        let (sql, value) = match self {
            Self::Time | Self::Changes => (TIME, None),
            Self::Object(value) => (OBJECT, Some(value)),
            Self::Signer(value) => (SIGNER, Some(value)),
            Self::Person(value) => (PERSON, Some(value)),
            Self::Agent(value) => (AGENT, Some(value)),
            Self::Tool(value) => (TOOL, Some(value)),
            Self::State(value) => (STATE, Some(value)),
        };
        sql::query_as(sql)
            .bind(value.cloned())
            .bind(since)
            .bind(at)
            .bind(seq)
            .bind(i64::try_from(most).unwrap_or(i64::MAX))
            .fetch_all(connection)
            .await
    }
}
