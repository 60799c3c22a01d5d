//! Spans and lines put together for one role. Clock and randomness are passed in, nothing is read
//! from the environment.

use crate::layer::SpanLayer;
use crate::log_format::{LineFormat, Lines};
use crate::outlet::Outlet;
use crate::signal::Role;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;
use tracing::Dispatch;
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry};

/// Where time and ids come from.
#[derive(Clone)]
pub struct Sources {
    /// The clock.
    pub now: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    /// 128 random bits.
    pub random: Arc<dyn Fn() -> u128 + Send + Sync>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources")
    }
}

/// What one role wants.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Which role.
    pub role: Role,
    /// How log lines look.
    pub format: LineFormat,
    /// Which lines are shown: `info`, or `warn,cofferdam_runner=debug`. Spans are collected
    /// whatever it says.
    pub filter: String,
    /// Where time and ids come from.
    pub sources: Sources,
}

/// Why a role cannot log.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The filter is invalid.
    #[error(
        "the log filter `{given}` is not readable; write a level such as `info`, or \
         `warn,cofferdam_runner=debug`"
    )]
    Filter {
        /// What was given.
        given: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// There is one already.
    #[error("this process has a subscriber already; install one only once")]
    Twice,
}

/// Libraries whose failures come back as values, which roles tell with what was asked for. A filter
/// that names one shows it.
const SILENT: [&str; 1] = ["kube_client"];

/// The subscriber of a role: its spans go to `outlet`, its lines to `writer`.
pub fn dispatch<W>(setup: Setup, outlet: Outlet, writer: W) -> Result<Dispatch, SetupError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let Setup { role, format, filter, sources } = setup;
    let targets: Targets =
        filter.parse().map_err(|source| SetupError::Filter { given: filter.clone(), source })?;
    let quiet = SILENT.into_iter().filter(|source| !filter.contains(source));
    let targets =
        quiet.fold(targets, |targets, source| targets.with_target(source, LevelFilter::OFF));
    let lines = Lines { role, format, sources: sources.clone() };
    // A terminal that was closed takes no line; telling that on the same terminal would end the
    // process.
    let people = tracing_subscriber::fmt::layer()
        .log_internal_errors(false)
        .event_format(lines)
        .with_writer(writer)
        .with_filter(targets);
    Ok(Dispatch::new(Registry::default().with(SpanLayer::new(outlet, sources)).with(people)))
}

/// The same for the whole process, with lines on standard error.
pub fn install(setup: Setup, outlet: Outlet) -> Result<(), SetupError> {
    let dispatch = dispatch(setup, outlet, std::io::stderr)?;
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| SetupError::Twice)
}
