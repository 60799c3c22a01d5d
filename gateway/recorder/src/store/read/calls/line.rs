//! A stored row of the list of calls, and the row for people that it becomes. Never reads payloads.

use super::along::Along;
use super::{CallQuery, Place, has_object, has_signer};
use crate::store::batch::{ChangeError, to_u64};
use crate::store::read::LIST;
use crate::store::row::damaged;
use crate::store::sql::{self, Builder, Connection, FromRow, Row};
use cofferdam_core::model::call_filter::CallFilter;
use cofferdam_core::model::call_row::CallRow;
use cofferdam_core::model::call_state::CallState;
use cofferdam_core::model::id::CallId;
use cofferdam_core::model::job::Found;
use cofferdam_core::model::object_name::ObjectName;
use cofferdam_core::protocol::RoleError;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The columns of a line.
macro_rules! line_columns {
    () => {
        "SELECT c.seq, c.call, c.at, c.changed, c.ledger, c.principal, c.person, c.tool, c.summary, \
         c.state, c.resolved, c.code, c.rule, c.erased FROM "
    };
}
pub(super) use line_columns;

/// A statement that reads calls along an index, newest first.
macro_rules! calls_by {
    ($from:literal, $by:literal, $of:literal) => {
        concat!(
            crate::store::read::calls::line::line_columns!(),
            $from,
            " WHERE ",
            $by,
            " AND ",
            $of,
            ".at >= ?2 AND ",
            $of,
            ".at <= ?3 AND (",
            $of,
            ".at < ?3 OR ",
            $of,
            ".seq < ?4) ORDER BY ",
            $of,
            ".at DESC, ",
            $of,
            ".seq DESC LIMIT ?5"
        )
    };
}
pub(super) use calls_by;

/// A stored row.
#[derive(Debug, Clone)]
pub(super) struct CallLine {
    seq: i64,
    call: String,
    at: i64,
    changed: i64,
    ledger: i64,
    principal: String,
    person: Option<String>,
    tool: Option<String>,
    summary: Option<String>,
    state: String,
    resolved: Option<String>,
    rule: Option<String>,
    erased: bool,
}

impl FromRow for CallLine {
    fn from_row(row: &Row<'_>) -> sqlx::Result<Self> {
        let code: Option<String> = row.get("code")?;
        Ok(Self {
            seq: row.get("seq")?,
            call: row.get("call")?,
            at: row.get("at")?,
            changed: row.get("changed")?,
            ledger: row.get("ledger")?,
            principal: row.get("principal")?,
            person: row.get("person")?,
            tool: row.get("tool")?,
            summary: row.get("summary")?,
            state: row.get("state")?,
            resolved: row.get("resolved")?,
            rule: code.or(row.get("rule")?),
            erased: row.get("erased")?,
        })
    }
}

/// The calls with an entry from the index `beyond`, by their newest entries, at most `most`.
pub(super) async fn changed(
    beyond: i64,
    most: usize,
    connection: &mut Connection,
) -> sqlx::Result<Vec<CallLine>> {
    sql::query_as(concat!(
        line_columns!(),
        "calls AS c INDEXED BY calls_ledger WHERE c.ledger >= ? ORDER BY c.ledger LIMIT ?"
    ))
    .bind(beyond)
    .bind(i64::try_from(most).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await
}

impl CallLine {
    /// The place in the list.
    pub fn place(&self) -> Place {
        (self.at, self.seq)
    }

    /// The entry after its newest one.
    pub fn beyond(&self) -> u64 {
        to_u64(self.ledger).saturating_add(1)
    }

    /// The id of the call.
    pub fn id(&self) -> Result<CallId, RoleError> {
        CallId::parse(&self.call).map_err(|_| damaged("call id"))
    }

    /// Returns whether the call has one of the filter's states.
    pub fn has_state(&self, filter: &CallFilter) -> bool {
        filter.states.is_empty() || filter.states.iter().any(|state| state.word() == self.state)
    }

    /// Returns whether the call is wanted. The time and the index `along` are not looked at again.
    pub async fn matches(
        &self,
        query: CallQuery<'_>,
        along: &Along,
        connection: &mut Connection,
    ) -> sqlx::Result<bool> {
        Ok(self.has_state(query.filter) && self.matches_but_state(query, along, connection).await?)
    }

    /// The same without the states.
    pub async fn matches_but_state(
        &self,
        query: CallQuery<'_>,
        along: &Along,
        connection: &mut Connection,
    ) -> sqlx::Result<bool> {
        let CallFilter { agent, person, tool, object, .. } = query.filter;
        let is = |wanted: &Option<String>, value: Option<&String>| {
            wanted.is_none() || wanted.as_ref() == value
        };
        if !is(agent, Some(&self.principal))
            || !is(person, self.person.as_ref())
            || !is(tool, self.tool.as_ref())
        {
            return Ok(false);
        }
        if let Some(object) = object
            && !matches!(along, Along::Object(_))
            && !has_object(object.as_str(), self.place(), connection).await?
        {
            return Ok(false);
        }
        match query.signer {
            Some(signer) if !matches!(along, Along::Signer(_)) => {
                has_signer(signer, self.place(), connection).await
            }
            _ => Ok(true),
        }
    }

    fn row(
        self,
        environment: &str,
        objects: Vec<String>,
        signers: Vec<String>,
    ) -> Result<CallRow, RoleError> {
        let time = |ms| Timestamp::from_millisecond(ms).map_err(|_| damaged("time"));
        let found = |word: String| {
            let found = [Found::Succeeded, Found::Failed];
            found.into_iter().find(|found| found.to_string() == word)
        };
        let name = |object| ObjectName::try_from(object).map_err(|_| damaged("name of an object"));
        Ok(CallRow {
            call: self.id()?,
            at: time(self.at)?,
            changed: time(self.changed)?,
            agent: self.principal,
            person: self.person,
            tool: self.tool,
            summary: self.summary,
            environment: environment.to_owned(),
            objects: objects.into_iter().map(name).collect::<Result<_, _>>()?,
            state: CallState::from_word(&self.state).ok_or_else(|| damaged("state of a call"))?,
            resolved: self.resolved.and_then(found),
            rule: self.rule,
            signers,
            first: to_u64(self.seq),
            ledger: to_u64(self.ledger),
            erased: self.erased,
        })
    }
}

/// The rows for people, up to the limit of one answer, and whether some were left out.
pub(super) async fn rows_of(
    lines: Vec<CallLine>,
    environment: &str,
    connection: &mut Connection,
) -> Result<(Vec<CallRow>, bool), ChangeError> {
    let calls: Vec<i64> = lines.iter().map(|line| line.seq).collect();
    let objects = "SELECT seq, object FROM call_objects WHERE seq IN (";
    let mut objects = of_calls(objects, &calls, ") ORDER BY seq, object", connection).await?;
    let signers = "SELECT seq, signer FROM call_signers WHERE seq IN (";
    let mut signers = of_calls(signers, &calls, ") ORDER BY seq, leaf", connection).await?;
    let (mut rows, mut size) = (Vec::with_capacity(lines.len()), 0);
    for line in lines {
        let seq = line.seq;
        let row = line.row(
            environment,
            objects.remove(&seq).unwrap_or_default(),
            signers.remove(&seq).unwrap_or_default(),
        )?;
        size += serde_json::to_vec(&row).map_or(usize::MAX, |text| text.len());
        if size > LIST && !rows.is_empty() {
            return Ok((rows, true));
        }
        rows.push(row);
    }
    Ok((rows, false))
}

/// The texts of calls, by call.
async fn of_calls(
    begin: &str,
    calls: &[i64],
    end: &str,
    connection: &mut Connection,
) -> sqlx::Result<BTreeMap<i64, Vec<String>>> {
    let mut of: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    if calls.is_empty() {
        return Ok(of);
    }
    let mut query = Builder::new(begin);
    let query = query.push_list(calls.iter().copied()).push(end);
    let rows: Vec<(i64, String)> = query.build_query_as().fetch_all(connection).await?;
    for (seq, text) in rows {
        of.entry(seq).or_default().push(text);
    }
    Ok(of)
}
