//! A test of the cluster's network plug-in: does it enforce network policies? Two Pods run in a run
//! namespace. Their connection has to be closed with `deny-all` alone, and open with
//! `allow-siblings` beside it. A run admits no Pod before `deny-all` exists. If the connection was
//! never open, or a Pod ended, the test says that it shows nothing. Removes everything afterwards.

use super::api::{ApiError, Cluster, Manager, Mode};
use super::error_text;
use super::labels::{MANAGER, Marks, RunName};
use super::namespace::{self, RIGHTS_WAIT};
use super::poll::Poll;
use super::run_objects;
use super::task::{self, CONTAINER, Place, Task};
use super::teardown::{self, TeardownError};
use cofferdam_backend::effect_error::EffectError;
use cofferdam_core::model::id::PlanDigest;
use cofferdam_core::model::limit::TASK_OUTPUT;
use cofferdam_core::model::operation::Egress;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// The reaper takes what a lost probe left after this.
const LIFETIME: SignedDuration = SignedDuration::from_mins(15);

/// Seconds its Pods live at most.
const SECONDS: u32 = 600;

/// How long a Pod may take to come to a node, to have its image and to reach the other.
const START: Duration = Duration::from_secs(120);

/// How long a policy may take to be enforced, and the tries that show it: plug-ins program it in a
/// second or two, and a try that fails takes up to three.
const ENFORCED: Duration = Duration::from_secs(90);

/// Tries in a row that have to find the way open, or the server answer itself: a single one may
/// fail for other reasons.
const STEADY: usize = 5;

/// Tries in a row that have to find it closed: a Pod's own network may come up some seconds after
/// the Pod.
const CLOSED: usize = 15;

/// Requests the word of a server. Uses `nc`, since `wget` looks names up even without a name
/// server, and crashes if it is linked statically.
fn ask(address: &str) -> String {
    format!(
        "[ \"$(printf 'GET /here HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 2 {address} 8080 \
         2>/dev/null | busybox tail -n 1)\" = here ]"
    )
}

/// Answers every client, and sends requests to itself, so that it is known to answer.
fn server() -> String {
    format!(
        "echo here >/tmp/here; busybox httpd -p 8080 -h /tmp; while true; do {} && echo served; \
         sleep 1; done",
        ask("127.0.0.1")
    )
}

/// Asks the server at an address, and says whether it answered.
fn client(address: &str) -> String {
    format!(
        "while true; do if {}; then echo open; else echo closed; fi; sleep 1; done",
        ask(address)
    )
}

/// The result of the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforcement {
    /// The way was closed, and open once a policy let it through.
    Enforced,
    /// It was open although all was denied.
    NotEnforced,
}

/// Why nothing was found.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The namespace cannot be made.
    #[error(transparent)]
    Namespace(#[from] EffectError),
    /// A request of the test failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// An object of the test cannot be removed.
    #[error(transparent)]
    Teardown(#[from] TeardownError),
    /// The Pods show neither result. The text has the cause.
    #[error("the probe shows nothing: {0}")]
    Unclear(String),
}

/// Probes as the provisioner, in a run of this name. The image is named by digest and has busybox.
pub async fn probe(
    provisioner: &Cluster,
    run: RunName,
    image: &str,
    now: Timestamp,
) -> Result<Enforcement, ProbeError> {
    let name = run.to_string();
    let probe = Probe { cluster: provisioner, run: &name };
    let found = probe.within(run.clone(), image, now).await;
    teardown::remove(provisioner, &name, &BTreeSet::new()).await?;
    found
}

struct Probe<'a> {
    cluster: &'a Cluster,
    run: &'a str,
}

impl Probe<'_> {
    async fn within(
        &self,
        name: RunName,
        image: &str,
        now: Timestamp,
    ) -> Result<Enforcement, ProbeError> {
        let expires =
            now.checked_add(LIFETIME).map_err(|error| ProbeError::Unclear(error.to_string()))?;
        let marks = Marks { name, expires, plan: PlanDigest::of(b"probe-network") };
        let pods = [0, 1].map(|index| format!("v1/pods/cofferdam-task-{index}"));
        namespace::create_namespace(self.cluster, &run_objects::namespace(&marks, &[], &pods))
            .await?;
        for guard in run_objects::guards(&marks).iter().chain([&run_objects::in_run(&marks)]) {
            namespace::own_apply(self.cluster, &guard.path, &guard.object).await?;
        }
        namespace::wait_quota(self.cluster, self.run).await?;

        let server = self.start(&marks, 0, image, &server()).await?;
        let address = self.until(START, "the server has no address", async |probe: &Self| {
            let pod = probe.cluster.get(&server).await?;
            let address =
                pod.as_ref().and_then(|pod| pod.pointer("/status/podIP")).and_then(Value::as_str);
            Ok(address.map(str::to_owned))
        });
        let address = address.await?;
        let silent = "the server did not reach itself";
        self.until(START, silent, async |probe: &Self| {
            probe.steady(&server, "served", STEADY).await
        })
        .await?;
        let client = self.start(&marks, 1, image, &client(&address)).await?;
        self.until(START, "the client printed nothing", async |probe: &Self| {
            Ok((!probe.lines(&client).await?.is_empty()).then_some(()))
        })
        .await?;
        let closed = self.until(ENFORCED, "", async |probe: &Self| {
            probe.steady(&client, "closed", CLOSED).await
        });
        if let Err(error) = closed.await {
            let ProbeError::Unclear(_) = error else { return Err(error) };
            let open = self.steady(&client, "open", STEADY).await?.is_some();
            let neither = "the connection was not steadily open or closed while all was denied";
            return if open {
                Ok(Enforcement::NotEnforced)
            } else {
                Err(ProbeError::Unclear(neither.to_owned()))
            };
        }
        let siblings =
            run_objects::egress::policy(&marks, &BTreeSet::new(), &Egress::Siblings, None);
        namespace::own_apply(self.cluster, &siblings.path, &siblings.object).await?;
        let never = "one Pod did not steadily reach the other although a policy allows it";
        self.until(ENFORCED, never, async |probe: &Self| {
            probe.steady(&client, "open", STEADY).await
        })
        .await?;
        Ok(Enforcement::Enforced)
    }

    /// Starts a Pod that runs a script; its path.
    async fn start(
        &self,
        marks: &Marks,
        index: u32,
        image: &str,
        script: &str,
    ) -> Result<String, ProbeError> {
        let arguments = ["sh", "-c", script].map(str::to_owned);
        let task = Task {
            index,
            name: "probe-network",
            image,
            arguments: &arguments,
            input: "",
            seconds: SECONDS,
        };
        let labels = marks.name.labels();
        let place = Place {
            namespace: self.run,
            labels: &labels,
            user_namespace: false,
            runtime_class: None,
        };
        let at = |kind: &str| format!("/api/v1/namespaces/{}/{kind}/{}", self.run, task.object());
        for (path, object) in
            [(at("configmaps"), task::input(&task, &place)), (at("pods"), task::pod(&task, &place))]
        {
            // The API server does not see new rights and guards at once.
            let mut poll = Poll::within(RIGHTS_WAIT);
            while let Err(error) = self
                .cluster
                .apply(&path, &object, Manager { name: MANAGER, force: true }, Mode::Real)
                .await
            {
                if !(error.is_forbidden() || error_text::is_unguarded(&error))
                    || !poll.again().await
                {
                    return Err(error.into());
                }
            }
        }
        Ok(at("pods"))
    }

    /// The output of a Pod so far, as lines; empty before its container runs.
    async fn lines(&self, pod: &str) -> Result<Vec<String>, ProbeError> {
        match self
            .cluster
            .text(&format!("{pod}/log"), &format!("container={CONTAINER}&limitBytes={TASK_OUTPUT}"))
            .await
        {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(ApiError::Refused { status: 400, .. }) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns `Some` if the last `times` lines of a Pod all have this word.
    async fn steady(&self, pod: &str, word: &str, times: usize) -> Result<Option<()>, ProbeError> {
        let lines = self.lines(pod).await?;
        Ok((lines.iter().rev().take_while(|line| *line == word).count() >= times).then_some(()))
    }

    /// Reads until there is a value. Fails with the name of the missing value.
    async fn until<T>(
        &self,
        limit: Duration,
        missing: &str,
        look: impl AsyncFn(&Self) -> Result<Option<T>, ProbeError>,
    ) -> Result<T, ProbeError> {
        let mut poll = Poll::within(limit);
        loop {
            if let Some(found) = look(self).await? {
                return Ok(found);
            }
            if !poll.again().await {
                return Err(ProbeError::Unclear(missing.to_owned()));
            }
        }
    }
}
