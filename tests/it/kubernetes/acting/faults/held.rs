//! The effect of an admission webhook of another owner: a different effect, a late one, or none.

use super::proxy::FaultProxy;
use super::table::{End, end, happened};
use super::webhook::Webhook;
use super::{TestNamespace, scale};
use crate::cluster::{Event, until};
use crate::kubernetes::acting::namespace::{connect, target};
use crate::kubernetes::client::{installed, rbac};
use cofferdam_backend::effect_error::EffectError;
use cofferdam_core::model::job::OperationRecord;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// The delay of the webhook. A read takes 20 seconds at most, and a webhook may take 30. Near the
/// lower limit, for a busy machine.
const LONGER_THAN_A_LOOK: Duration = Duration::from_secs(21);

/// A webhook that delays each change until the test releases it.
struct Hold {
    _webhook: Webhook,
    /// The identities of the delayed requests.
    reached: Mutex<Receiver<String>>,
    held: Arc<(Mutex<bool>, Condvar)>,
}

impl Hold {
    fn on(ns: &TestNamespace) -> Self {
        let held = Arc::new((Mutex::new(true), Condvar::new()));
        let (told, reached): (Sender<String>, _) = channel();
        let told = Mutex::new(told);
        let shared = Arc::clone(&held);
        let webhook = Webhook::about(ns.plane, &ns.name, move |request: &Value| {
            if request["dryRun"] != true && request["name"] == "web" {
                let _nobody_listens = told
                    .lock()
                    .unwrap()
                    .send(request["userInfo"]["username"].as_str().unwrap().to_owned());
                let (held, let_go) = &*shared;
                drop(let_go.wait_while(held.lock().unwrap(), |held| *held).unwrap());
            }
            None
        });
        Self { _webhook: webhook, reached: Mutex::new(reached), held }
    }

    fn let_go(&self) {
        *self.held.0.lock().unwrap() = false;
        self.held.1.notify_all();
    }
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn an_effect_that_admission_held_up_is_seen_after_its_runner_was_lost() {
    let plane = installed();
    let proxy = FaultProxy::before(plane);
    let mut ns = TestNamespace::on(plane, "acting-held", &proxy.kubeconfig);
    // The longest time of a webhook.
    let write = Duration::from_secs(30);
    ns.kubernetes = ns.runtime.block_on(connect(&proxy.kubeconfig, write));
    ns.deployment("web");
    let mut job = ns.begin(1, json!([scale("acting-held", "web", 5)]), true);
    let (run, preview, host) = (job.namespace.name().to_owned(), job.preview.clone(), ns.host());
    let hold = Hold::on(&ns);
    let began = OperationRecord { index: 0, undo: false, before: BTreeMap::new(), after: None };

    // The runner is lost during the delay of its request. The proxy does not notice it, as with a
    // machine that is gone.
    let performing = ns.runtime.spawn(async move {
        let (told, _heard) = tokio::sync::mpsc::channel(1);
        job.namespace
            .perform(&job.steps[0].operation, &job.preview.operations[0], &host, &told)
            .await
    });
    assert_eq!(
        hold.reached.lock().unwrap().recv().unwrap(),
        format!("system:serviceaccount:{run}:job")
    );
    performing.abort();

    // The next runner removes the rights and reads the state: nothing has happened yet.
    ns.kubernetes =
        ns.runtime.block_on(connect(&plane.kubeconfig("cofferdam-system", "provisioner"), write));
    assert_eq!(ns.sweep(2, &[]), Ok(Some(run.clone())));
    ns.nothing_of(&run);
    assert_eq!(ns.object("deployments", "web")["spec"]["replicas"], 3);
    let looks = || {
        let is_look = |event: &&Event| {
            event["objectRef"]["namespace"] == "acting-held"
                && event["objectRef"]["resource"] == "deployments"
                && event["user"]["username"] == "system:serviceaccount:cofferdam-system:provisioner"
        };
        plane.audit().iter().filter(is_look).count()
    };
    let before = looks();
    let fate = std::thread::scope(|scope| {
        scope.spawn(|| {
            until("a look at what has not happened", || (looks() > before).then_some(()));
            assert_eq!(
                ns.object("deployments", "web")["spec"]["replicas"],
                3,
                "it was not held up"
            );
            hold.let_go();
        });
        ns.runtime.block_on(ns.kubernetes.fate(&preview, std::slice::from_ref(&began))).unwrap()
    });
    assert_eq!(ns.object("deployments", "web")["spec"]["replicas"], 5);
    assert!(fate.is_complete(), "{fate:?}");
    // The object may show the change before the server has finished the request.
    until("the effect in the audit log", || (happened(plane, &run, "web") > 0).then_some(()));
    assert_eq!(happened(plane, &run, "web"), 1);
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn what_takes_longer_than_it_was_given_the_server_itself_gives_up() {
    let mut ns = TestNamespace::of("acting-slow");
    ns.kubernetes = ns.runtime.block_on(connect(
        &ns.plane.kubeconfig("cofferdam-system", "provisioner"),
        Duration::from_secs(4),
    ));
    ns.deployment("web");
    let mut job = ns.begin(1, json!([scale("acting-slow", "web", 5)]), true);
    let hold = Hold::on(&ns);
    let asked = Instant::now();
    let said = ns.perform(&mut job, 0);
    println!("held up for good: {said:?} after {:?}", asked.elapsed());
    assert!(End::Unknown("no attempt got a clear answer").holds(&said), "{said:?}");
    // These are responses of the server, and not the client's time limit.
    assert!(
        !said.unwrap_err().to_string().contains("no answer within"),
        "the server did not end it"
    );
    hold.let_go();
    // The change that was released too late does not arrive before the end of the run: the API
    // server ended it at its time limit.
    end(&ns, &job);
    assert_eq!(ns.object("deployments", "web")["spec"]["replicas"], 3);
    assert_eq!(happened(ns.plane, job.namespace.name(), "web"), 0);
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn a_webhook_that_takes_longer_than_a_look_is_waited_for() {
    let mut ns = TestNamespace::of("acting-patient");
    ns.kubernetes = ns.runtime.block_on(connect(
        &ns.plane.kubeconfig("cofferdam-system", "provisioner"),
        Duration::from_secs(60),
    ));
    ns.deployment("web");
    let mut job = ns.begin(1, json!([scale("acting-patient", "web", 5)]), true);
    let hold = Hold::on(&ns);
    let said = std::thread::scope(|scope| {
        scope.spawn(|| {
            hold.reached.lock().unwrap().recv().unwrap();
            std::thread::sleep(LONGER_THAN_A_LOOK);
            hold.let_go();
        });
        ns.perform(&mut job, 0)
    });
    assert!(End::Done.holds(&said), "{said:?}");
    assert!(hold.reached.lock().unwrap().try_recv().is_err(), "it was asked for twice");
    end(&ns, &job);
    assert_eq!(happened(ns.plane, job.namespace.name(), "web"), 1);
}

#[test]
#[cfg_attr(without_cluster, ignore = "no control plane: COFFERDAM_WITHOUT_CLUSTER is set")]
fn what_a_webhook_makes_of_it_is_told_apart_from_what_was_approved() {
    let ns = TestNamespace::of("acting-webhook");
    for name in ["web", "old"] {
        ns.deployment(name);
    }
    let delete = json!({"action": "delete", "target": target("acting-webhook", "apps",
        "Deployment", "old"), "reversible": true});
    let mut job = ns.begin(1, json!([scale("acting-webhook", "web", 5), delete]), true);
    // The state while no other client writes.
    let _webhook = Webhook::about(ns.plane, "acting-webhook", |_| {
        Some(json!([{"op": "replace", "path": "/spec/replicas", "value": 2}]))
    });
    let said = ns.perform(&mut job, 0);
    assert!(
        matches!(&said, Err(EffectError::Differs(why)) if why.contains(
            "`spec.replicas` is 2 instead of 5")),
        "{said:?}"
    );
    assert_eq!(ns.object("deployments", "web")["spec"]["replicas"], 2);

    // The deleted object is created again, and differs from the old one.
    assert_eq!(ns.perform(&mut job, 1).unwrap(), BTreeMap::new());
    until("the object's end", || (ns.status("deployments", "old") == 404).then_some(()));
    let said = ns.undo(&mut job, 1);
    assert!(
        matches!(&said, Err(EffectError::Differs(why)) if why.ends_with(
            "is not what it was in `spec.replicas`")),
        "{said:?}"
    );
    assert_eq!(ns.object("deployments", "old")["spec"]["replicas"], 2);
    end(&ns, &job);
    assert_eq!(
        ns.plane
            .request(
                "GET",
                &rbac("acting-webhook", &format!("roles/{}", job.namespace.name())),
                None
            )
            .status,
        404
    );
}
