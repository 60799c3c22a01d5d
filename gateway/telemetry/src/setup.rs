//! The subscriber of one role: spans and log lines. Clock and randomness are passed in; nothing is
//! read from the environment.

use crate::layer::{SpanLayer, is_made};
use crate::log_format::{LineFormat, Lines};
use crate::outlet::Outlet;
use crate::signal::Role;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;
use tracing::Dispatch;
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, ParseError, Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry};

/// The sources of time and of ids.
#[derive(Clone)]
pub struct Sources {
    /// Returns the present time.
    pub now: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    /// Returns 128 random bits.
    pub random: Arc<dyn Fn() -> u128 + Send + Sync>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources")
    }
}

/// The telemetry settings of one role.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The role of the process.
    pub role: Role,
    /// The form of log lines.
    pub format: LineFormat,
    /// The filter of log lines: `info`, or `warn,cofferdam_runner=debug`. It holds for no span.
    pub filter: String,
    /// True if spans are collected: a collector reads them.
    pub spans: bool,
    /// The sources of time and of ids.
    pub sources: Sources,
}

/// Errors of setting up telemetry.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The log filter is not valid.
    #[error(
        "the log filter `{given}` is not readable; write a level such as `info`, or \
         `warn,cofferdam_runner=debug`"
    )]
    Filter {
        /// The configured filter.
        given: String,
        /// The error of the parser.
        source: ParseError,
    },
    /// The process has a subscriber already. The program installs two.
    #[error("this process has a subscriber already; install one only once")]
    Twice,
}

/// Libraries without log lines: roles report the errors of these libraries themselves, with their
/// subject. A filter that names a library shows its lines.
const SILENT: [&str; 1] = ["kube_client"];

/// Creates the subscriber of a role: spans go to `outlet`, log lines to `writer`.
/// # Errors
/// The log filter is not valid.
pub fn dispatch<W>(setup: Setup, outlet: Outlet, writer: W) -> Result<Dispatch, SetupError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let Setup { role, format, filter, spans, sources } = setup;
    let targets: Targets =
        filter.parse().map_err(|source| SetupError::Filter { given: filter.clone(), source })?;
    let quiet = SILENT.into_iter().filter(|source| !filter.contains(source));
    let targets =
        quiet.fold(targets, |targets, source| targets.with_target(source, LevelFilter::OFF));
    let lines = Lines { role, format, sources: sources.clone() };
    // Log lines show no span, so this layer asks for none.
    let events = targets.and(filter_fn(|metadata| metadata.is_event()));
    // A closed terminal takes no log line. An error message on the same terminal would end the
    // process.
    let people = tracing_subscriber::fmt::layer()
        .log_internal_errors(false)
        .event_format(lines)
        .with_writer(writer)
        .with_filter(events);
    let collecting = SpanLayer::new(outlet, sources, spans)
        .with_filter(filter_fn(move |metadata| is_made(metadata, spans)));
    Ok(Dispatch::new(Registry::default().with(collecting).with(people)))
}

/// Installs the subscriber for the whole process, with log lines on standard error.
/// # Errors
/// The log filter is not valid, or the process has a subscriber already.
pub fn install(setup: Setup, outlet: Outlet) -> Result<(), SetupError> {
    let dispatch = dispatch(setup, outlet, std::io::stderr)?;
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| SetupError::Twice)
}
