//! Questions that could not be carried out any more with what is served now. Never touches a job
//! that has a permit: its runner judges that by its own trust file.

use super::batch::{Batch, ChangeError};
use super::change::Done;
use super::expire::end;
use super::row::{JobRow, columns, stored};
use cofferdam_core::model::run::Outcome;
use cofferdam_core::model::trust::Trust;
use cofferdam_core::stage::outdated::outdated;
use sqlx::SqliteConnection;

/// Ends every question that was asked under other means than are served now.
pub(crate) async fn retire(
    trust: &Trust,
    batch: &mut Batch,
    connection: &mut SqliteConnection,
) -> Result<Done, ChangeError> {
    // The second condition is the one of the partial index `jobs_open`: without it SQLite reads
    // every closed job too.
    let waiting: Vec<JobRow> = sqlx::query_as(columns!(
        "WHERE phase = 'awaiting_approval' AND phase <> 'closed' ORDER BY seq"
    ))
    .fetch_all(&mut *connection)
    .await?;
    for row in waiting {
        // A job that cannot be read is for an operator who looks at the store; it keeps no other
        // from its end.
        let Ok(Some(job)) = stored(connection, &row).await else { continue };
        if let Some(why) = outdated(&job, trust) {
            end(&row, Outcome::Refused, &why, batch, connection).await?;
        }
    }
    Ok(Done::Noted)
}
