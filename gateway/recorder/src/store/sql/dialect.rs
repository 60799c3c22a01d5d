//! A statement of SQLite as PostgreSQL takes it. Never changes a bound value, or a text between
//! quotation marks.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The hint for the index of a table, which PostgreSQL does not have.
const INDEXED: &str = "INDEXED BY ";

/// The function that reads a member of a JSON text.
const MEMBER: &str = "json_extract(";

/// The rewritten statements, by their texts. The texts are constants of this crate: few.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rewritten(Arc<Mutex<HashMap<&'static str, Arc<str>>>>);

impl Rewritten {
    /// The statement for PostgreSQL.
    pub fn of(&self, text: Cow<'static, str>) -> Arc<str> {
        match text {
            Cow::Borrowed(text) => {
                let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                Arc::clone(known.entry(text).or_insert_with(|| rewrite(text).into()))
            }
            Cow::Owned(text) => rewrite(&text).into(),
        }
    }
}

/// Rewrites a statement: numbered values, no hints, and the operators of JSON.
fn rewrite(text: &str) -> String {
    let mut rewritten = String::with_capacity(text.len() + 64);
    let mut newest = 0_usize;
    let mut rest = text;
    while let Some(at) = rest.find(['?', '\'', 'I', 'j']) {
        let (before, from) = rest.split_at(at);
        rewritten.push_str(before);
        let taken = if from.starts_with('?') {
            let digits = from.chars().skip(1).take_while(char::is_ascii_digit).count();
            let number = from.get(1..=digits).and_then(|digits| digits.parse().ok());
            let number = number.unwrap_or(newest + 1);
            newest = newest.max(number);
            rewritten.push('$');
            rewritten.push_str(&number.to_string());
            1 + digits
        } else if from.starts_with('\'') {
            let length =
                from.get(1..).and_then(|text| text.find('\'')).map_or(from.len(), |end| end + 2);
            rewritten.push_str(from.get(..length).unwrap_or(from));
            length
        } else if let Some(named) = from.strip_prefix(INDEXED) {
            let name = named.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let name = name.unwrap_or(named.len());
            INDEXED.len() + name
        } else if let Some((length, column, member)) = member(from) {
            rewritten.push_str("(CAST(");
            rewritten.push_str(column);
            rewritten.push_str(" AS json) ->> '");
            rewritten.push_str(member);
            rewritten.push_str("')");
            length
        } else {
            rewritten.push_str(from.get(..1).unwrap_or_default());
            1
        };
        rest = from.get(taken..).unwrap_or_default();
    }
    rewritten.push_str(rest);
    rewritten
}

/// The length, the column and the member of `json_extract(COLUMN, '$.MEMBER')` at the beginning.
fn member(text: &str) -> Option<(usize, &str, &str)> {
    let (column, rest) = text.strip_prefix(MEMBER)?.split_once(", '$.")?;
    let (member, _) = rest.split_once("')")?;
    Some((MEMBER.len() + column.len() + 5 + member.len() + 2, column, member))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_of_sqlite_becomes_one_of_postgresql() {
        for (sqlite, postgres) in [
            ("SELECT a FROM t WHERE b = ? AND c = ?", "SELECT a FROM t WHERE b = $1 AND c = $2"),
            ("SELECT ?2, ?1, ?", "SELECT $2, $1, $3"),
            ("SELECT '?', 'INDEXED BY i' WHERE a = ?", "SELECT '?', 'INDEXED BY i' WHERE a = $1"),
            (
                "SELECT a FROM t AS o INDEXED BY t_a WHERE b IS NULL",
                "SELECT a FROM t AS o  WHERE b IS NULL",
            ),
            (
                "WHERE CAST(json_extract(stuck, '$.tries') AS BIGINT) >= 8 AND jobs.a = ?",
                "WHERE CAST((CAST(stuck AS json) ->> 'tries') AS BIGINT) >= 8 AND jobs.a = $1",
            ),
            ("INSERT INTO jobs (a) VALUES (?)", "INSERT INTO jobs (a) VALUES ($1)"),
        ] {
            assert_eq!(rewrite(sqlite), postgres);
            assert_eq!(&*Rewritten::default().of(sqlite.into()), postgres);
        }
    }
}
