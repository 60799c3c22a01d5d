//! Reads of the payloads of signatures, for an export. Bounded in entries and in bytes; a caller
//! asks again for the rest.

use super::{LIST, Reader};
use crate::ledger::leaf::Leaf;
use crate::store::batch::{ChangeError, to_i64, to_u64};
use crate::store::row::parse;
use crate::store::sql;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_core::model::record::Event;
use cofferdam_core::protocol::operator_recorder::ApprovalPayload;
use std::collections::BTreeMap;

/// Entries that one request looks through: some milliseconds of reading.
const LOOK: i64 = 20_000;

/// A signature's entry with key and payloads.
type Row = (i64, String, Option<Vec<u8>>, Option<String>);

impl Reader {
    /// The payloads of signatures from an entry on, before `end`, and the entry with which the next
    /// request begins.
    pub async fn approval_payloads(
        &self,
        from: u64,
        end: u64,
    ) -> Result<(Vec<ApprovalPayload>, Option<u64>), ChangeError> {
        let mut connection = self.readers()?.begin().await?;
        let (from, end) = (to_i64(from), to_i64(end));
        let until = from.saturating_add(LOOK).min(end);
        let rows: Vec<Row> = sql::query_as(
            "SELECT idx, entry, key, payloads FROM leaves WHERE idx >= ? AND idx < ? AND entry \
             LIKE '%\"kind\":\"signed\"%' ORDER BY idx",
        )
        .bind(from)
        .bind(until)
        .fetch_all(&mut *connection)
        .await?;
        let (mut found, mut size) = (Vec::new(), 0);
        for (index, entry, key, own) in rows {
            let leaf: Leaf = parse(&entry, "ledger entry")?;
            if !matches!(leaf.event, Event::Signed { .. }) {
                continue;
            }
            let (key, payloads) = match (key, own) {
                (Some(key), Some(own)) => (key, parse(&own, "payload")?),
                // Entries of older versions have their payloads in a table of their own.
                _ => {
                    let rows: Vec<(Vec<u8>, String, String)> =
                        sql::query_as("SELECT key, name, body FROM payloads WHERE leaf = ?")
                            .bind(index)
                            .fetch_all(&mut *connection)
                            .await?;
                    let Some((key, _, _)) = rows.first() else { continue };
                    let key = key.clone();
                    (key, rows.into_iter().map(|(_, name, body)| (name, body)).collect())
                }
            };
            let payloads: BTreeMap<String, String> = payloads;
            size += payloads.values().map(String::len).sum::<usize>();
            if size > LIST && !found.is_empty() {
                return Ok((found, Some(to_u64(index))));
            }
            let key = STANDARD.encode(key);
            found.push(ApprovalPayload { index: to_u64(index), key, payloads });
        }
        Ok((found, (until < end).then(|| to_u64(until))))
    }
}
