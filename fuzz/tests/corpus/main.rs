//! The part of fuzzing that every run of the tests does. `cargo fuzz` searches longer.
//! The module says `cfg(test)` so that the lints about panics know it for what it is.

#[cfg(test)]
mod search;
