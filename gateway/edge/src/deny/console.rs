//! The HTTP status of each refusal of the console. Its code says more.

use cofferdam_core::protocol::console::ConsoleRefusal;
use hyper::StatusCode;

/// The status of a refusal.
pub fn status(code: ConsoleRefusal) -> StatusCode {
    match code {
        ConsoleRefusal::NotEnrolled | ConsoleRefusal::NotForRole | ConsoleRefusal::MayNotCancel => {
            StatusCode::FORBIDDEN
        }
        ConsoleRefusal::UnknownCall => StatusCode::NOT_FOUND,
        ConsoleRefusal::NotOpen => StatusCode::CONFLICT,
        ConsoleRefusal::Invalid => StatusCode::BAD_REQUEST,
    }
}
