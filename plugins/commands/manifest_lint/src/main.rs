//! `manifest_lint`: manifests on standard input, findings on standard output, as JSON. Reads and
//! writes nothing else.

mod lint;

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut text = String::new();
    if let Err(fault) = io::stdin().read_to_string(&mut text) {
        return failed(&format!("the input cannot be read: {fault}"));
    }
    let report = match lint::lint(&text) {
        Ok(report) => report,
        Err(fault) => return failed(&fault),
    };
    if let Err(fault) = writeln!(io::stdout(), "{}", report.json()) {
        return failed(&format!("the findings cannot be written: {fault}"));
    }
    match report.errors() {
        0 => ExitCode::SUCCESS,
        errors => failed(&format!("{errors} of {} findings are errors", report.findings.len())),
    }
}

fn failed(why: &str) -> ExitCode {
    // There is no other place to report an error of standard error.
    let _told = writeln!(io::stderr(), "{why}");
    ExitCode::FAILURE
}
