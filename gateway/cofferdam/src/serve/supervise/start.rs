//! The start of roles: each gets its binary, its arguments and its settings. Never waits for a role.

use super::open_access::no_agent;
use super::{Name, State, Supervisor, seconds};
use crate::config::Infrastructure;
use crate::serve::{role_process, role_settings};
use anyhow::{Context as _, Result, bail};
use cofferdam_core::model::escape;
use std::time::Duration;
use tokio::time::Instant;

impl Supervisor<'_> {
    /// Starts every role whose pause is over.
    pub(super) fn begin_due(&mut self) -> Result<()> {
        let now = Instant::now();
        let due: Vec<Name> =
            self.due.iter().filter(|(_, due)| **due <= now).map(|(name, _)| *name).collect();
        for name in due {
            self.due.remove(&name);
            if let Err(error) = self.begin(name) {
                if self.first.contains(&name) {
                    return Err(error);
                }
                let pause = self.schedule_restart(name, Duration::ZERO, false);
                tracing::error!(role = %name, "restarting {name} in {}: {}", seconds(pause),
                escape::chain(error.as_ref()));
            }
        }
        Ok(())
    }

    /// Returns whether a runner may have claimed from the recorder before the next one.
    fn has_runners(&self) -> bool {
        !self.leaving.is_empty() || self.roles.keys().any(|name| name.is_runner())
    }

    fn begin(&mut self, name: Name) -> Result<()> {
        if let Name::Runner(seat) = name
            && let Some(next) = self.roles.remove(&Name::Next(seat))
        {
            let is_ready = next.state == State::Ready;
            self.roles.insert(name, next);
            if is_ready {
                self.ready(name);
            }
            return Ok(());
        }
        self.started += 1;
        let (one, events, installation) =
            ((name, self.started), self.events_sender.clone(), &self.installation);
        let role = match name {
            Name::Recorder => role_process::start(
                one,
                &self.this,
                &["role", "recorder"],
                &role_settings::recorder(installation, self.has_runners()),
                events,
            )?,
            Name::Gateway => {
                let settings = role_settings::gateway(
                    installation,
                    &self.guest,
                    self.anonymous && no_agent(installation),
                );
                role_process::start(one, &self.this, &["role", "gateway"], &settings, events)?
            }
            Name::Viewer => role_process::start(
                one,
                &self.runner,
                &[],
                &role_settings::viewer(installation),
                events,
            )?,
            Name::Runner(_) | Name::Next(_) => {
                // Only the first run is interrupted: the next one is the rehearsed recovery.
                let seen = self.fences.map(|seen| seen.elapsed());
                let settings =
                    role_settings::runner(installation, &self.guest, seen, self.drill.take());
                role_process::start(one, &self.runner, &[], &settings, events)?
            }
            Name::Reaper => {
                let Infrastructure::Kubernetes(cluster) = &installation.config.infrastructure
                else {
                    bail!("a directory has no reaper");
                };
                role_process::start(
                    one,
                    &self.runner,
                    &[],
                    &role_settings::reaper(installation, cluster),
                    events,
                )?
            }
            Name::Link => {
                let settings =
                    role_settings::link(installation).context("no link is configured")?;
                role_process::start(one, &self.this, &["role", "link"], &settings, events)?
            }
            Name::Courier => {
                let settings = role_settings::courier(installation)
                    .context("no issuer or receiver is configured")?;
                role_process::start(one, &self.courier, &[], &settings, events)?
            }
        };
        self.roles.insert(name, role);
        Ok(())
    }
}
