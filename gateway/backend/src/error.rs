//! Errors of a backend, and of a preview. An operator reads these errors; an agent reads a
//! [`Refusal`].

use crate::refusal::Refusal;
use cofferdam_core::model::job::Obstacle;
use std::error::Error;
use std::fmt;

/// Why the infrastructure cannot be used. An operator reads it; another runner takes the job over.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// Another runner has taken the job over.
    #[error("the lease was lost; another runner takes the job over")]
    Lost,
    /// Files of this machine: the tree's or the runner's own.
    #[error(transparent)]
    Here(#[from] Obstacle),
    /// The infrastructure does not do its part.
    #[error(transparent)]
    Infrastructure(#[from] InfrastructureError),
}

impl BackendError {
    /// The obstacle of a job, with cause and remedy. `None` if another runner has the job by now.
    pub fn obstacle(&self) -> Option<Obstacle> {
        match self {
            Self::Lost => None,
            Self::Here(obstacle) => Some(obstacle.clone()),
            Self::Infrastructure(error) => Some(Obstacle::new(chain(error), error.remedy.clone())),
        }
    }
}

/// An error of the infrastructure itself, with the remedy that its backend knows.
#[derive(Debug)]
pub struct InfrastructureError {
    error: Box<dyn Error + Send + Sync>,
    remedy: String,
}

impl InfrastructureError {
    /// Wraps an error of a backend. An operator reads `remedy`.
    pub fn new(error: impl Error + Send + Sync + 'static, remedy: impl Into<String>) -> Self {
        Self { error: Box::new(error), remedy: remedy.into() }
    }
}

impl fmt::Display for InfrastructureError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(formatter)
    }
}

impl Error for InfrastructureError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// An error with its causes, in one sentence.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// An object of the plan is absent, or cannot be changed in this way.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The backend cannot read the infrastructure.
    #[error(transparent)]
    Backend(#[from] BackendError),
}
