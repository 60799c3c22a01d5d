//! Holds no code: the tests are in `it/`, one binary. Never a dependency of anything.
