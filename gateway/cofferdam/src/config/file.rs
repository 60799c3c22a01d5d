//! Reads `cofferdam.toml` key by key, so that unknown keys, wrong types and invalid values are
//! reported together, each with its line.

use super::error::ConfigError;
use super::toml_reader::{FILE, Section, line};
use super::{Config, Courier, Edge, LogFormat, Runner, Serve, Telemetry};
use super::{infrastructure, issuers, limits, links, notify, people, retention, store, tls};
use crate::config::home::Home;
use cofferdam_core::model::cidr::Block;
use cofferdam_core::model::relying_party::RelyingParty;
use std::net::SocketAddr;
use std::time::Duration;
use toml_edit::Document;

/// The largest `wait_seconds`: clients give up after 60 seconds.
const LONGEST_WAIT: i64 = 55;
/// The most runners: more on one machine only wait for the same disk.
const MOST_SEATS: i64 = 16;
/// The bounds of `lease_seconds`: with less, a busy machine loses leases; with more, a lost runner
/// is noticed too late.
const LEASE_SECONDS: (i64, i64) = (3, 300);
/// The bounds of `max_queued`: more jobs than the largest never run within the life of a permit.
const MAX_QUEUED: (i64, i64) = (1, 1_000_000);
/// The default of `max_queued`.
const QUEUED: i64 = cofferdam_recorder::QUEUED.cast_signed();
/// The bounds of `drain_seconds`: with less, hardly a job could finish; with more, a machine that
/// shuts down would not wait.
const DRAIN_SECONDS: (i64, i64) = (1, 600);
/// The most characters of an environment's name: every title and denial has it.
const ENVIRONMENT_NAME: usize = 40;
/// The shortest prefixes of blocks of proxies, for IPv4 and IPv6: those of the largest private
/// networks, 10.0.0.0/8 and fc00::/7.
const PROXY_PREFIXES: (u8, u8) = (8, 7);
/// The most characters of `behind_proxy`: a name and an address.
const PROXY: usize = 100;

/// Parses the text. Adds each error to `errors`; returns `None` if a required value is missing.
pub fn check(text: &str, home: &Home, errors: &mut Vec<ConfigError>) -> Option<Config> {
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let line = error.span().map(|span| line(text, span.start));
            let file = line.map_or(FILE.to_owned(), |line| format!("{FILE}:{line}"));
            errors.push(ConfigError::new(
                &file,
                "",
                format!("not TOML: {}", error.message()),
                "correct this line",
            ));
            return None;
        }
    };
    let mut root = Section::root(text, document.as_table(), errors);
    let environment = root.section("environment", |section| {
        let name = section.string(
            "name",
            "the name that people know this infrastructure by: name = \"staging\"",
        )?;
        let valid = (1..=ENVIRONMENT_NAME).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        section
            .hold(
                "name",
                valid,
                &format!("`{name}` is no name for an environment"),
                "use 1 to 40 of a-z, 0-9 and -",
            )
            .then_some(name)
    });
    // First: it decides which files this home has.
    let links = if root.has("links") {
        let (role, links) = root.section("links", |section| links::check(section, home))??;
        root.set_role(Some(role));
        Some(links)
    } else {
        None
    };
    let infrastructure = infrastructure::check(&mut root, home);
    let edge = root.optional("edge", |section| check_edge(section, home));
    let limits = root.optional("limits", limits::check);
    let serve = root.optional("serve", |section| {
        let drain = section.integer("drain_seconds", 30, DRAIN_SECONDS);
        Some(Serve { drain: seconds(drain) })
    });
    let runner = root.optional("runner", |section| {
        let seats = section.integer("seats", 2, (1, MOST_SEATS));
        let lease = section.integer("lease_seconds", 30, LEASE_SECONDS);
        let most = section.integer("max_queued", QUEUED, MAX_QUEUED);
        let max_queued = u64::try_from(most).unwrap_or(1);
        Some(Runner { max_queued, seats: u8::try_from(seats).unwrap_or(1), lease: seconds(lease) })
    });
    let store = if root.has("store") {
        root.optional("store", |section| store::check(section, home))
    } else {
        None
    };
    let retention = root.optional("retention", retention::check);
    let telemetry = root.optional("telemetry", check_telemetry);
    let notify = notify::check(&mut root, home);
    let people = if root.has("people") {
        let read = |section: &mut Section<'_>| {
            section.section("oidc", |section| people::check(section, home)).flatten()
        };
        root.optional("people", read)
    } else {
        None
    };
    root.unknown();
    let (edge, courier) = edge?;
    let without_address = people.is_some() && edge.people().is_none();
    root.hold(
        "people",
        !without_address,
        "people sign in on pages, and there is no address for them",
        "set `url` in `[edge]` to the https:// address at which people reach this server",
    );
    let courier = match Courier::joined(courier, people.as_ref()) {
        Ok(courier) => courier,
        Err((key, problem)) => {
            let remedy = "write it in one of the two places, or the same in both";
            root.report(&format!("people.oidc.{key}"), &problem, remedy);
            None
        }
    };
    Some(Config {
        environment: environment??,
        infrastructure: infrastructure?,
        edge,
        courier,
        people,
        limits: limits.as_ref()?.0,
        budgets: limits?.1,
        serve: serve?,
        runner: runner?,
        store,
        retention: retention?,
        telemetry: telemetry?,
        notify,
        links: links.map_or(Some(None), |links| links.map(Some))?,
    })
}

fn check_edge(section: &mut Section<'_>, home: &Home) -> Option<(Edge, Option<Courier>)> {
    let listen = section.optional_string("listen").unwrap_or_else(|| "127.0.0.1:8620".to_owned());
    let address: Option<SocketAddr> = listen.parse().ok();
    section.hold(
        "listen",
        address.is_some(),
        &format!("`{listen}` is no address with a port"),
        "write it as \"127.0.0.1:8620\"",
    );
    let origins = section.strings("origins");
    for origin in &origins {
        let scheme = origin
            .split_once("://")
            .filter(|(scheme, rest)| ["http", "https"].contains(scheme) && !rest.is_empty());
        let bare = scheme.is_some_and(|(_, rest)| !rest.contains(['/', '?', '#']));
        section.hold(
            "origins",
            bare,
            &format!("`{origin}` is no origin"),
            "write scheme, host and port alone: \"https://console.example.com\"",
        );
    }
    let hosts = section.strings("hosts");
    for host in &hosts {
        let bare = !host.is_empty() && !host.contains(['/', ' ', '@']);
        section.hold(
            "hosts",
            bare,
            &format!("`{host}` is no host"),
            "write host and port alone: \"cofferdam.example.com:443\"",
        );
    }
    let trusted_proxies = section.strings("trusted_proxies");
    for proxy in &trusted_proxies {
        check_proxy(section, proxy);
    }
    let wait = section.integer("wait_seconds", 45, (1, LONGEST_WAIT));
    let tls = tls::check(section, home);
    let behind_proxy = section.optional_string("behind_proxy");
    if let Some(proxy) = &behind_proxy {
        let named = !proxy.trim().is_empty()
            && proxy.chars().count() <= PROXY
            && !proxy.chars().any(char::is_control);
        section.hold(
            "behind_proxy",
            named,
            &format!("`{proxy}` names no proxy"),
            "name the proxy that speaks TLS in front of this server: \"nginx at 10.0.0.5\"",
        );
    }
    let url = section.optional_string("url");
    let people = url.as_deref().map(RelyingParty::read).transpose();
    if let (Some(url), Err(error)) = (&url, &people) {
        section.report("url", &format!("`{url}` is no address for people"), &error.to_string());
    }
    let issuers = if section.has("oauth") {
        section.optional("oauth", |section| issuers::check(section, home))
    } else {
        None
    };
    let (courier, oauth) = issuers.unzip();
    let edge = Edge {
        listen: address?,
        tls,
        behind_proxy,
        origins,
        hosts,
        trusted_proxies,
        url: people.ok().flatten(),
        wait: seconds(wait),
        oauth,
    };
    Some((edge, courier))
}

/// Checks one entry of `trusted_proxies`.
fn check_proxy(section: &mut Section<'_>, proxy: &str) {
    let key = "trusted_proxies";
    let block = Block::parse_address(proxy);
    section.hold(
        key,
        block.is_some(),
        &format!("`{proxy}` is no address and no block of addresses"),
        "write \"192.0.2.7\" or \"10.0.0.0/8\"",
    );
    let Some(block) = block else { return };
    section.hold(
        key,
        !block.is_mapped(),
        &format!("`{proxy}` is an IPv4 address within IPv6, and no client has such an address"),
        "write it as IPv4: \"192.0.2.7\" or \"10.0.0.0/8\"",
    );
    let least = if block.is_v4() { PROXY_PREFIXES.0 } else { PROXY_PREFIXES.1 };
    section.hold(
        key,
        block.is_mapped() || block.prefix() >= least,
        &format!("`{proxy}` has clients in it too, and each of them could name any address"),
        &format!("name the proxies alone, in blocks of /{least} or smaller"),
    );
}

fn check_telemetry(section: &mut Section<'_>) -> Option<Telemetry> {
    let otlp = section.optional_string("otlp").filter(|url| !url.is_empty());
    if let Some(url) = &otlp {
        let http = url.strip_prefix("http://").is_some_and(|rest| !rest.is_empty());
        section.hold(
            "otlp",
            http,
            &format!("`{url}` is no collector this build can reach"),
            "write \"http://127.0.0.1:4318\", a collector beside it",
        );
    }
    let format = section.optional_string("log_format").unwrap_or_else(|| "text".to_owned());
    let known = match format.as_str() {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    };
    section.hold(
        "log_format",
        known.is_some(),
        &format!("`{format}` is no format"),
        "write \"text\" or \"json\"",
    );
    let level = section.optional_string("log_level").unwrap_or_else(|| "info".to_owned());
    Some(Telemetry { otlp, format: known?, level })
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(1))
}
