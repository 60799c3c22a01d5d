//! The courier against real servers on loopback, with and without TLS, as the process that its
//! supervisor starts, and as a process that was taken over.

#[cfg(test)]
mod causes;
#[cfg(test)]
mod confined;
#[cfg(test)]
mod fetches;
#[cfg(test)]
mod mail_server;
#[cfg(test)]
mod notify;
#[cfg(test)]
mod process;
#[cfg(test)]
mod server;
#[cfg(test)]
mod sign_ins;
