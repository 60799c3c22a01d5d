//! The edge over real HTTP: a Front whose replies depend on the tool's name, real sockets on
//! loopback, and requests written byte by byte, so that they can be as wrong as those of an
//! attacker. `UPDATE_EXPECT=1` updates snapshots; read the changes.

#[cfg(test)]
mod approvers;
#[cfg(test)]
mod bounds;
#[cfg(test)]
mod call_page;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod console;
#[cfg(test)]
mod console_front;
#[cfg(test)]
mod denials;
#[cfg(test)]
mod doors;
#[cfg(test)]
mod enrol;
#[cfg(test)]
mod front;
#[cfg(test)]
mod legacy;
#[cfg(test)]
mod limit_rows;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod listen;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod oauth;
#[cfg(test)]
mod people;
#[cfg(test)]
mod plain;
#[cfg(test)]
mod progress;
#[cfg(test)]
mod questions;
#[cfg(test)]
mod resources;
#[cfg(test)]
mod roles;
#[cfg(test)]
mod spans;
#[cfg(test)]
mod strict;
#[cfg(test)]
mod tasks;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod wire;
