//! The process of the role: reads certificates and secrets, confines itself, then answers the
//! gateway and sends notifications until the supervisor ends. Reads no further file of its own, and
//! serves no port.

use crate::courier::{Courier, Times};
use crate::notify::{Outbox, Pauses, Receiver, Teller};
use crate::trust;
use anyhow::{Result, bail};
use cofferdam_core::model::web_address::Place;
use cofferdam_core::protocol::courier::Fetch;
use cofferdam_core::protocol::role_settings::CourierSettings;
use cofferdam_process::answering;
use cofferdam_process::confine::{self, Calls, Confined, Files, NewSockets};
use cofferdam_process::control::{Inherited, Report};
use cofferdam_telemetry::bootstrap::{self, PendingSink};
use cofferdam_telemetry::{Intake, Role};
use jiff::Timestamp;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// Files that the lookup of a name reads. Absent ones are left out.
const NAMES: [&str; 4] = ["/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/host.conf"];

/// The limit of file descriptors: a link of each gateway, and connections to servers.
const DESCRIPTORS: u64 = 2_048;

/// A courier that has read what it needs and confined itself.
pub struct Ready {
    courier: Courier,
    teller: Teller,
    links: bool,
    confined: Confined,
    intake: Intake,
}

/// Reads certificates and secrets, then gives up everything else.
///
/// # Errors
/// A file is missing or wrong, or the kernel refuses the confinement.
pub fn prepare(settings: CourierSettings) -> Result<Ready> {
    let (_, intake) = bootstrap::start(Role::Courier, &settings.voice)?;
    confine::descriptors(DESCRIPTORS)?;
    let CourierSettings { voice: _, ca_file, issuers, environment, base, receivers, links } =
        settings;
    let tls = match issuers.is_empty() {
        true => trust::no_servers()?,
        false => trust::tls(ca_file.as_deref())?,
    };
    let courier = Courier::new(issuers, tls, Times::USUAL)?;
    let receivers = receivers
        .into_iter()
        .map(|receiver| Receiver::read(receiver, (&environment, &base), Times::NOTIFICATION))
        .collect::<Result<Vec<_>>>()?;
    let places: Vec<&Place> =
        courier.places().chain(receivers.iter().map(Receiver::place)).collect();
    let confined = confine(&places)?;
    let teller = Teller::new(receivers, Pauses::USUAL, Timestamp::now);
    Ok(Ready { courier, teller, links, confined, intake })
}

/// Confines this process to the lookup of names, if a server has one, and to connections to these
/// servers' ports.
///
/// # Errors
/// The kernel refuses.
pub fn confine(places: &[&Place]) -> Result<Confined> {
    let by_name = places.iter().any(|place| place.address().is_none());
    let read: Vec<&Path> =
        NAMES.iter().map(Path::new).filter(|path| by_name && path.exists()).collect();
    let connect: Vec<u16> = places.iter().map(|place| place.port).collect();
    let confined = confine::files(Files { read: &read, connect: &connect, ..Files::default() })?;
    if !confine::knows_ports() {
        tracing::warn!(
            what = "TCP ports",
            "this kernel does not confine TCP ports: a courier that is taken over could connect \
             to any; Linux 6.7 or newer does"
        );
    }
    confine::new_sockets(if by_name { NewSockets::Internet } else { NewSockets::Tcp })?;
    confine::calls(Calls::Courier)?;
    Ok(confined)
}

impl Ready {
    /// Answers until the supervisor closes the control socket.
    ///
    /// # Errors
    /// The supervisor is gone before the role is ready.
    pub async fn serve(self, inherited: Arc<Inherited>) -> Result<ExitCode> {
        let Self { courier, teller, links, confined, intake } = self;
        let courier = Arc::new(courier);
        let outbox = Arc::new(Outbox::new());
        inherited.report(&Report::Ready { confined, checked: false })?;
        let mut telemetry = PendingSink::new(intake);
        let handler = move |ask: Fetch| {
            let courier = Arc::clone(&courier);
            async move { Ok(courier.fetch(ask).await) }
        };
        let tasks = teller.start(&outbox);
        let recorder = Arc::clone(&outbox);
        let others = move |name: &str, stream: UnixStream| match name {
            "telemetry" => telemetry.take(stream),
            "recorder" => {
                if let Err(error) = recorder.connect(stream) {
                    tracing::error!(what = "recorder", %error, "the recorder cannot be connected");
                }
            }
            _ => {}
        };
        let told = links.then_some(broken as _);
        let answering = answering::answer(inherited, told, others, handler);
        tokio::pin!(answering);
        let code = loop {
            tokio::select! {
                code = &mut answering => break code?,
                why = outbox.broken() => match told {
                    Some(told) => told(&io::Error::other(why)),
                    // The supervisor starts this role again, and connects it.
                    None => bail!("the socket to the recorder is broken: {why}"),
                },
            }
        };
        drop(tasks);
        Ok(code)
    }
}

/// Tells of a socket to another host that was closed alone.
fn broken(error: &io::Error) {
    tracing::error!(what = "links", %error, "a socket to a gateway or a recorder is broken; closed");
}
