//! The connections between roles: the sockets of `docs/threat-model.md`. On one host they are pairs;
//! between hosts the link process makes them, and this table decides their names. A role gets no
//! other socket.

use super::{Name, RoleProcess, State, Supervisor};
use cofferdam_core::protocol::link::{LinkOrder, LinkRole, Linked};
use cofferdam_process::control::Order;
use cofferdam_process::tether::Parcel;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

/// One connection: the role that opens it, the name that this role has for the other, the other
/// role, and the name that the other has for the first.
type Connection = (LinkRole, &'static str, LinkRole, &'static str);

/// The connections between roles. Between hosts the first role connects to the second.
const LINKS: [Connection; 10] = [
    (LinkRole::Gateway, "recorder", LinkRole::Recorder, "gateway"),
    (LinkRole::Gateway, "viewer", LinkRole::Viewer, "gateway"),
    (LinkRole::Gateway, "courier", LinkRole::Courier, "gateway"),
    (LinkRole::Courier, "recorder", LinkRole::Recorder, "courier"),
    (LinkRole::Runner, "recorder", LinkRole::Recorder, "runner"),
    (LinkRole::Recorder, "telemetry", LinkRole::Gateway, "telemetry/recorder"),
    (LinkRole::Viewer, "telemetry", LinkRole::Gateway, "telemetry/viewer"),
    (LinkRole::Runner, "telemetry", LinkRole::Gateway, "telemetry/runner"),
    (LinkRole::Reaper, "telemetry", LinkRole::Gateway, "telemetry/reaper"),
    (LinkRole::Courier, "telemetry", LinkRole::Gateway, "telemetry/courier"),
];

/// The name of the socket that this role gets: for a connection that it opened to `peer`, or for
/// one that `peer` opened. `None` if there is no such connection.
fn socket_name(own: LinkRole, peer: LinkRole, opened: bool) -> Option<&'static str> {
    LINKS.iter().find_map(|(from, from_knows, to, to_knows)| match opened {
        true => (*from == own && *to == peer).then_some(*from_knows),
        false => (*from == peer && *to == own).then_some(*to_knows),
    })
}

/// Returns whether a process of a role is one that peers may be connected to: a recorder that stands
/// by gets no socket, and the next runner of a seat has no seat yet.
fn serves(name: Name, child: &RoleProcess) -> bool {
    name.role().is_some()
        && !matches!(child.state, State::Starting | State::StandsBy)
        && !matches!(name, Name::Next(_))
}

impl Supervisor<'_> {
    /// Gives the role and each of its running peers on this host a new pair of sockets. A new recorder
    /// also gets the runners that clean up: their leases go on.
    pub(super) fn connect(&self, name: Name) {
        if let (Name::Recorder, Some(recorder)) = (name, self.roles.get(&Name::Recorder)) {
            for runner in &self.leaving {
                pair((runner, "recorder"), (recorder, "runner"));
            }
        }
        for (from, from_knows, to, to_knows) in LINKS {
            for (a, b) in self.pairs(from, to).filter(|(a, b)| *a == name || *b == name) {
                if let (Some(a), Some(b)) = (self.roles.get(&a), self.roles.get(&b)) {
                    pair((a, from_knows), (b, to_knows));
                }
            }
        }
    }

    fn pairs(&self, from: LinkRole, to: LinkRole) -> impl Iterator<Item = (Name, Name)> {
        let of = |role: LinkRole| {
            let there = self
                .roles
                .iter()
                .filter(|(_, child)| !matches!(child.state, State::Starting | State::StandsBy))
                .map(|(name, _)| *name);
            // The next runner of a seat has no seat yet.
            there.filter(move |name| name.role() == Some(role) && !matches!(name, Name::Next(_)))
        };
        of(from).flat_map(move |a| of(to).map(move |b| (a, b)).collect::<Vec<_>>())
    }

    /// Tells the link which processes of this host it connects: those of this name, or all if the
    /// link itself became ready.
    pub(super) fn link(&self, name: Name) {
        let (Some(links), Some(link)) = (&self.installation.config.links, self.ready_link()) else {
            return;
        };
        let serving = |(name, child): &(&Name, &RoleProcess)| serves(**name, child);
        let roles = self.roles.iter().filter(serving);
        let concerned = roles.filter(|(own, _)| name == Name::Link || **own == name);
        let leaving = self.leaving.iter().filter(|_| name == Name::Link);
        let processes = concerned.map(|(_, child)| child.serial);
        for process in processes.chain(leaving.map(|child| child.serial)) {
            for (peer, _) in &links.peers {
                let order = LinkOrder::Connect { process, peer: *peer };
                link.put(Parcel::Order(Order::Link(order)));
            }
        }
        self.accept(link);
    }

    /// Tells the link whether peers may open links: while the role serves, and until the stop begins.
    fn accept(&self, link: &RoleProcess) {
        let is_serving = |(name, child): (&Name, &RoleProcess)| serves(*name, child);
        let accepts = self.ending.is_none() && self.roles.iter().any(is_serving);
        link.put(Parcel::Order(Order::Link(LinkOrder::Accept(accepts))));
    }

    /// Tells the link that the stop began: peers get `link-standby`, and take another address.
    pub(super) fn refuse_links(&self) {
        if let Some(link) = self.ready_link() {
            self.accept(link);
        }
    }

    /// Tells the link that this process ended.
    pub(super) fn unlink(&self, process: u64) {
        let Some(link) = self.ready_link() else { return };
        link.put(Parcel::Order(Order::Link(LinkOrder::Forget { process })));
        self.accept(link);
    }

    /// Returns whether this home may have a link with this peer, by its configuration and not by the
    /// word of the link.
    fn expects(&self, peer: LinkRole, opened: bool) -> bool {
        let links = self.installation.config.links.as_ref();
        links.is_some_and(|links| links.expects(peer, opened))
    }

    fn ready_link(&self) -> Option<&RoleProcess> {
        self.roles.get(&Name::Link).filter(|link| link.state != State::Starting)
    }

    /// Gives the socket of a new link to its process. Its name is that of the peer's certificate. A
    /// link without a process is closed with its socket.
    pub(super) fn handle_linked(&self, linked: Linked, socket: Option<OwnedFd>) {
        let Linked { process, peer } = linked;
        let (Some(own), Some(socket)) = (self.installation.config.role(), socket) else { return };
        if !self.expects(peer, process.is_some()) {
            tracing::error!(role = "link", %peer, "the link reports a connection that is not its own");
            return;
        }
        let Some(name) = socket_name(own, peer, process.is_some()) else { return };
        let named = self.roles.iter().filter(|(name, child)| serves(**name, child));
        let mut all = named.map(|(_, child)| child).chain(&self.leaving);
        let found = match process {
            Some(serial) => all.find(|child| child.serial == serial),
            None => all.next(),
        };
        if let Some(child) = found {
            child.put(Parcel::Socket(name, socket));
        }
    }
}

/// Gives two roles a pair of sockets, each with the name that it has for the other.
fn pair(
    (one, one_knows): (&RoleProcess, &'static str),
    (other, other_knows): (&RoleProcess, &'static str),
) {
    match UnixStream::pair() {
        Ok((left, right)) => {
            one.put(Parcel::stream(one_knows, left));
            other.put(Parcel::stream(other_knows, right));
        }
        Err(error) => {
            tracing::error!(role = other_knows, peer = one_knows, error = %error,
            "cannot connect the {other_knows} and the {one_knows}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::links::CONNECTS;
    use cofferdam_core::protocol::link::LINK_ROLES;

    #[test]
    fn between_hosts_there_are_the_connections_of_one_host_and_no_others() {
        let pairs = LINKS.map(|(from, _, to, _)| (from, to));
        assert_eq!(pairs, CONNECTS);
        for own in LINK_ROLES {
            for peer in LINK_ROLES {
                let opens = CONNECTS.contains(&(own, peer));
                assert_eq!(socket_name(own, peer, true).is_some(), opens, "{own} {peer}");
                let comes = CONNECTS.contains(&(peer, own));
                assert_eq!(socket_name(own, peer, false).is_some(), comes, "{own} {peer}");
            }
        }
    }

    #[test]
    fn a_socket_is_named_after_the_role_of_the_certificate() {
        use LinkRole::{Gateway, Recorder, Runner, Viewer};
        assert_eq!(socket_name(Recorder, Runner, false), Some("runner"));
        assert_eq!(socket_name(Recorder, Gateway, false), Some("gateway"));
        assert_eq!(socket_name(Recorder, Gateway, true), Some("telemetry"));
        assert_eq!(socket_name(Gateway, Recorder, true), Some("recorder"));
        assert_eq!(socket_name(Gateway, Recorder, false), Some("telemetry/recorder"));
        assert_eq!(socket_name(Recorder, Viewer, false), None);
    }
}
