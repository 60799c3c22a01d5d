//! The arguments of both programs, and the time that a run has. Measures nothing.

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest run of both programs together, without builds and the making of the filled store.
const LIMIT: Duration = Duration::from_mins(10);

/// The options of a run.
pub struct Options {
    pub quick: bool,
    /// Only make the parts that a later run keeps, and measure nothing.
    pub prepare: bool,
    pub json: Option<String>,
    /// The part of a name; all loads without one.
    pub only: Option<String>,
    /// A file to which the rows are appended, so that several programs print one table.
    pub rows: Option<PathBuf>,
    /// When the run ends, whatever was not measured.
    pub end: Instant,
}

impl Options {
    /// Reads the arguments. `None`: cargo runs the file as a test, and nothing is measured.
    pub fn read() -> Option<Self> {
        let mut arguments = std::env::args().skip(1);
        let mut measure = false;
        let mut options = Self {
            quick: false,
            prepare: false,
            json: None,
            only: None,
            rows: None,
            end: Instant::now() + LIMIT,
        };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => measure = true,
                "--quick" => options.quick = true,
                "--prepare" => options.prepare = true,
                "--json" => options.json = arguments.next(),
                "--only" => options.only = arguments.next(),
                "--rows" => options.rows = arguments.next().map(PathBuf::from),
                "--seconds" => {
                    let seconds = arguments.next().and_then(|text| text.parse().ok());
                    options.end = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
                }
                other => {
                    eprintln!("`{other}` is not an option; `scripts/bench --help` lists them");
                    std::process::exit(2);
                }
            }
        }
        measure.then_some(options)
    }

    /// Returns whether a load is asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }

    /// Returns whether a part that takes this long still ends in time.
    pub fn has_time(&self, needed: Duration) -> bool {
        Instant::now() + needed <= self.end
    }

    /// The time that is left, and at most this long.
    pub fn at_most(&self, longest: Duration) -> Duration {
        self.end.saturating_duration_since(Instant::now()).min(longest)
    }
}
