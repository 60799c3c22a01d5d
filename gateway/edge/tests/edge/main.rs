//! The edge over real HTTP: a real Front that behaves by a tool's name, real sockets on loopback,
//! requests written byte by byte so that they can be as wrong as an attacker's. Snapshots are
//! renewed with `UPDATE_EXPECT=1` and then read.

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod denials;
#[cfg(test)]
mod doors;
#[cfg(test)]
mod front;
#[cfg(test)]
mod legacy;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod plain;
#[cfg(test)]
mod progress;
#[cfg(test)]
mod spans;
#[cfg(test)]
mod strict;
#[cfg(test)]
mod wire;
