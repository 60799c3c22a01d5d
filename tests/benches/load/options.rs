//! The arguments of both programs. Measures nothing.

/// The options of a run.
#[derive(Default)]
pub struct Options {
    pub quick: bool,
    pub json: Option<String>,
    /// The part of a name; all loads without one.
    pub only: Option<String>,
}

impl Options {
    /// Reads the arguments. `None`: cargo runs the file as a test, and nothing is measured.
    pub fn read() -> Option<Self> {
        let mut arguments = std::env::args().skip(1);
        let (mut options, mut measure) = (Self::default(), false);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => measure = true,
                "--quick" => options.quick = true,
                "--json" => options.json = arguments.next(),
                "--only" => options.only = arguments.next(),
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
}
