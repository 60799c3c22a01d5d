//! Whole journeys, errors, compromise and the repository's own rules, in one binary. Real
//! processes, real files, real keys. Each module has `cfg(test)`, so that the lints about panics
//! ignore it.

#[cfg(test)]
mod again;
#[cfg(test)]
mod agent;
#[cfg(test)]
mod approver;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod author;
#[cfg(test)]
mod benchmarks;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod compromise;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod connect;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod counts;
#[cfg(test)]
mod courier;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod fault_matrix;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod installation;
#[cfg(test)]
mod journey;
#[cfg(test)]
mod kubernetes;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod links;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod notify;
#[cfg(test)]
mod oauth;
#[cfg(test)]
mod overlays;
#[cfg(test)]
mod passkeys;
#[cfg(test)]
mod people;
#[cfg(test)]
mod people_issuer;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod progress;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod remote;
#[cfg(test)]
mod resolve;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod start;
#[cfg(test)]
mod stop;
#[cfg(test)]
mod supervise;
#[cfg(test)]
mod tasks;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod trace;
#[cfg(test)]
mod transcript;
#[cfg(test)]
mod unwritable;
#[cfg(test)]
mod views;
mod words;
