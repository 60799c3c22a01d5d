"""The demo over a cluster: seven scenes, each step checked, with the output of kubectl before, during and
after. It uses the command line, the official MCP client and ssh-keygen, as a user does, and for the
attacks the tokens, as an attacker does. Started by scripts/demo."""

import demo_parts as parts
from control_plane_client import Client, ClientFault
from demo_cluster import DEPLOYMENTS, PATIENCE, RBAC, RUNS, TARGET, Cluster, Watch, refused, table, until
from demo_parts import DIM, END, Deviation, Installation, arguments, call_id, expect, left_waiting, plan_of, scene, tell, told, until_closed


class Stage(Installation):
    """An installation beside a cluster."""

    def __init__(self, options):
        super().__init__(options)
        self.cluster = Cluster(options, self.place)

    def prepare(self):
        scene(0, "An administrator installs deploy/ and opts a namespace in")
        self.cluster.start()
        self.cluster.install()
        self.cluster.opt_in()
        table("kubectl get namespaces -l cofferdam.dev/target=true", [{"NAME": item["metadata"]["name"], "STATUS": item["status"]["phase"]} for item in self.cluster.items("/api/v1/namespaces?labelSelector=cofferdam.dev%2Ftarget%3Dtrue")])
        files = [word for who, path in self.cluster.identities.items() for word in (f"--{who}", path)]
        self.install("--kubernetes", "--name", "shop", *files)

    def end(self):
        self.stop()
        self.cluster.end()
        super().end()

    def nothing_left(self, call):
        """Nothing that bears the call's label is there."""
        label = f"?labelSelector=cofferdam.dev%2Fcall%3D{call}"
        everywhere = "/apis/rbac.authorization.k8s.io/v1"
        left = [item["metadata"]["name"] for path in ("/api/v1/namespaces", f"{everywhere}/roles", f"{everywhere}/rolebindings") for item in self.cluster.items(path + label)]
        expect(not left, "no namespace, Role or RoleBinding of it is left")


async def look_around(stage):
    scene(1, "Two agents discover tools, and one looks around")
    before = stage.cluster.versions()
    async with stage.agent("triage") as triage, stage.agent("release") as release:
        few, all_of_them = await triage.tools(), await release.tools()
        told("triage sees ", ", ".join(few))
        told("release sees", ", ".join(all_of_them))
        expect(set(few) < set(all_of_them), "the list of the one with fewer rights is a part of the other's")
        _, text = await triage.call("workloads_list", {"namespace": TARGET})
        expect("web" in text and "api" in text, "it lists the workloads of the namespace")
        answer, text = await triage.call("workload_status", {"namespace": TARGET, "name": "web"})
        expect(not answer.is_error and "4.12.1" in text, "it reads the named fields of one workload")
        answer, text = await triage.call("workload_status", {"namespace": "default", "name": "web"})
        expect(answer.is_error and "deploy/README.md" in text, "a namespace that did not opt in cannot be looked at, and it says who could change that")
    expect(stage.cluster.versions() == before, "nothing was changed")


def derived(role, binding, run):
    """The rights are the plan's, and no more."""
    rules = [{"verbs": sorted(rule["verbs"]), "resources": rule["resources"], "names": rule.get("resourceNames")} for rule in role["rules"]]
    expect(rules == [{"verbs": ["get", "patch"], "resources": ["deployments"], "names": ["web"]}], "the derived Role says just: get and patch the Deployment web")
    subjects = [(who["kind"], who.get("namespace"), who["name"]) for who in binding["subjects"]]
    expect(subjects == [("ServiceAccount", run, "job")], "it is bound to the ServiceAccount `job` of that run's namespace alone")


async def change(stage):
    scene(2, "An allowed change: plan, digest, preview, decision, job, runner, ephemeral namespace, derived rights, executor, receipt")
    cluster, wanted = stage.cluster, {"namespace": TARGET, "name": "web", "replicas": 5}
    async with stage.agent("release") as release:
        _, text = await release.call("preview", {"tool": "deployment_scale", "arguments": wanted})
        expect(f"in {TARGET}: get, patch deployments.apps web" in text, "the preview names the rights that the job would get")
        print(f"  {DIM}before{END}")
        cluster.show()
        runs, roles, bindings, shop = (Watch(cluster.client, path) for path in (RUNS, f"{RBAC}/roles", f"{RBAC}/rolebindings", DEPLOYMENTS))
        answer, text = await release.call("deployment_scale", {**wanted, "purpose": "autumn sale starts at noon"})
    expect(not answer.is_error and "sha256:" in text, "the call succeeded, and says id, digest and ledger index")
    call = call_id(text)
    run = f"cofferdam-run-{call}-1"
    made, role, binding, effect = runs.first("ADDED", run), roles.first("ADDED", run), bindings.first("ADDED", run), shop.first("MODIFIED", "web")
    derived(role[2], binding[2], run)
    expect(effect[2]["spec"]["replicas"] == 5, "the Deployment has five replicas")
    managers = [entry["manager"] for entry in effect[2]["metadata"]["managedFields"]]
    expect("cofferdam-deployment_scale" in managers, "the API server names the tool as the manager of that field")
    story = await until_closed(stage, call, PATIENCE)
    gone = runs.first("DELETED", run)
    expect(story["view"]["outcome"] == "succeeded", "the job is closed: its namespace was observed gone")
    print(f"  {DIM}during, as it was watched from the call to its job's end{END}")
    table("kubectl get namespaces -l cofferdam.dev/managed=true --watch", [cluster_row(event) for event in runs.events])
    table(f"kubectl -n {TARGET} get roles,rolebindings --watch", [rights_event(event, kind) for kind, watch in (("role", roles), ("rolebinding", bindings)) for event in watch.events])
    expect(bindings.first("DELETED", run)[0] < gone[0] and roles.first("DELETED", run)[0] < gone[0], "its rights were gone before its namespace was")
    print(f"  {DIM}after{END}")
    cluster.show()
    stage.nothing_left(call)
    writes = cluster.writes(call)
    if writes is not None:
        expect(0 < len(writes) <= 22, f"the audit log counts {len(writes)} writes for this job")
        targets = {event["user"]["username"] for event in writes if event["objectRef"]["resource"] == "deployments"}
        expect(targets == {f"system:serviceaccount:{run}:job"}, "and names the job alone as the writer of the Deployment")
    told("figures", f"namespace to rights {1000 * (binding[0] - made[0]):.0f} ms, namespace to effect {1000 * (effect[0] - made[0]):.0f} ms, namespace gone after {gone[0] - made[0]:.1f} s")
    return call, plan_of(answer)


def cluster_row(event):
    meta = event[2]["metadata"]
    return {"EVENT": event[1], "NAME": meta["name"], "STATUS": "Terminating" if "deletionTimestamp" in meta else "Active", "EXPIRES": meta["annotations"].get("cofferdam.dev/expires-at", "")}


def rights_event(event, kind):
    item = event[2]
    says = "; ".join(f"{','.join(rule['verbs'])} {','.join(rule['resources'])} {','.join(rule['resourceNames'])}" for rule in item.get("rules", []))
    says = says or ",".join(f"{who['namespace']}/{who['name']}" for who in item.get("subjects", []))
    return {"EVENT": event[1], "NAME": f"{kind}/{item['metadata']['name']}", "SAYS": says}


async def refusals(stage):
    scene(3, "Refused: by policy, by form, by schema")
    before = stage.cluster.versions()
    await parts.refusals(stage)
    expect(stage.cluster.versions() == before and not stage.cluster.items(RUNS), "nothing was changed in the cluster")


async def needs_a_person(stage):
    scene(4, "Needs a person: a delete")
    before = stage.cluster.versions()
    call = await parts.needs_a_person(stage, lambda: expect(stage.cluster.versions() == before, "nothing was changed in the cluster"))
    expect(stage.cluster.live("gift-cards-v1") is None, "the Deployment is gone")
    await until_closed(stage, call, PATIENCE)
    stage.nothing_left(call)
    parts.signed_twice(stage, call)
    return call


async def same_again(stage, first_plan):
    scene(5, "The same again: the same plan digest; the same idempotency key runs once")
    before = stage.cluster.live("web")["metadata"]["generation"]
    await parts.same_again(stage, first_plan, PATIENCE)
    web = stage.cluster.live("web")
    expect(web["spec"]["replicas"] == 4 and web["metadata"]["generation"] == before + 1, "the Deployment was changed once")


async def attacks(stage):
    scene(6, "Attacks")
    cluster = stage.cluster
    parts.refused_component(stage)

    provisioner, viewer, reaper = (Client(cluster.identities[who]) for who in ("provisioner", "viewer", "reaper"))
    patch = {"spec": {"replicas": 0}}
    refused(provisioner, "PATCH", f"{DEPLOYMENTS}/web", patch, "cofferdam-provisioner-scope", "a stolen provisioner's token cannot change a target itself", "merge")
    wide = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "mine"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}
    refused(provisioner, "PATCH", f"{RBAC}/roles/mine?fieldManager=thief", wide, "", "nor write itself wider rights", "apply")
    refused(viewer, "PATCH", f"{DEPLOYMENTS}/web", patch, "cofferdam-viewer", "a stolen viewer's token changes nothing: only dry runs", "merge")
    refused(viewer, "GET", f"/api/v1/namespaces/{TARGET}/secrets", None, "cannot list", "and reads no Secret")
    refused(reaper, "DELETE", f"/api/v1/namespaces/{TARGET}", None, "cofferdam-reaper", "a stolen reaper's token removes nothing but runs")

    async with stage.agent("release") as release:
        waiting = await left_waiting(stage, release, "api")
    cluster.client.expect("PATCH", f"{DEPLOYMENTS}/api", {"spec": {"replicas": 6}}, "merge")
    told("another client", "scales the Deployment api from 4 to 6")
    stage.command("approve", waiting, "--key", stage.keys / "bob", "--yes")
    story = await until_closed(stage, waiting, PATIENCE)
    told("gateway:", story["view"]["detail"])
    expect(story["view"]["outcome"] != "succeeded" and "was 4 and is 6" in story["view"]["detail"], "it changed behind Bob's signature: refused, and what drifted is named")
    expect(cluster.live("api")["spec"]["replicas"] == 6, "the Deployment is there")

    stage.stop()
    stage.serve("--drill", "operation-effected")
    before = cluster.live("web")["metadata"]["generation"]
    async with stage.agent("release") as release:
        answer, text = await release.call("deployment_scale", {"namespace": TARGET, "name": "web", "replicas": 6})
    call = call_id(text)
    story = await until_closed(stage, call, PATIENCE)
    told("runner:", story["view"]["detail"])
    expect(story["view"]["outcome"] == "succeeded" and cluster.live("web")["metadata"]["generation"] == before + 1, "the runner was killed (-9) right after the effect: the next one found it done, and did it no second time")
    stage.nothing_left(call)
    parts.changed_ledger(stage)


async def story(stage):
    try:
        stage.prepare()
        stage.serve()
        await look_around(stage)
        _, plan = await change(stage)
        await refusals(stage)
        approved = await needs_a_person(stage)
        await same_again(stage, plan)
        await attacks(stage)
        scene(7, "Call 4 as a story")
        text = stage.command("show", approved)
        told("show:", text)
        for word in ("release", "bob@example.com", "gift-cards-v1", "sha256:", "replaced by api 2.28"):
            expect(word in text, f"it names {word}")
        until("every run's end", lambda: not stage.cluster.items(RUNS))
    except ClientFault as fault:
        raise Deviation(str(fault)) from fault


def hints(stage):
    return [f"export COFFERDAM_HOME={stage.home} KUBECONFIG={stage.cluster.admin}", f"kubectl -n {TARGET} get deployments,roles,rolebindings", f"ssh key of the approver Bob: {stage.keys / 'bob'}"]


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--kubeconfig", help="an administrator's, for a cluster to use instead of one that is started here")
    tell(Stage(parser.parse_args()), story, hints)
