"""The cluster of the demo: a control plane that it starts, or one of an administrator's kubeconfig, with
`deploy/` and a target namespace. Also tables in the form of kubectl, and a watch that gets every event.
After the demo began it only reads, except where it plays another client."""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from base64 import b64decode, b64encode
from pathlib import Path
from urllib.parse import quote, urlsplit

from control_plane_client import Client, ClientFault, kubeconfig_of
from demo_parts import DIM, END, Deviation, expect, told

TARGET = "storefront"
IDENTITIES = ("provisioner", "viewer", "reaper")
RUNS = "/api/v1/namespaces?labelSelector=" + quote("cofferdam.dev/managed=true")
RBAC = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{TARGET}"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{TARGET}/deployments"
# Marks the namespace as the demo's own: any other is left alone.
OWN = ("app.kubernetes.io/part-of", "cofferdam-demo")
# The time limit of every wait, in seconds.
PATIENCE = 120


def until(what, ask):
    """Asks until there is an answer."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.1)
    raise Deviation(f"waited in vain for {what}")


def own_form(path):
    """A kubeconfig of any writer's, its current context alone, as text that `Client` reads."""
    import yaml

    config = yaml.safe_load(path.read_text())

    def named(kind, name):
        return next(entry[kind] for entry in config[f"{kind}s"] if entry["name"] == name)

    def inline(entry, key):
        if f"{key}-data" in entry:
            return entry[f"{key}-data"]
        return b64encode((path.parent / entry[key]).read_bytes()).decode() if key in entry else None

    context = named("context", config["current-context"])
    cluster, user = named("cluster", context["cluster"]), named("user", context["user"])
    authority = inline(cluster, "certificate-authority")
    known = {"token": user["token"]} if "token" in user else {f"{key}-data": inline(user, key) for key in ("client-certificate", "client-key")}
    if not authority or None in known.values():
        raise Deviation(f"`{path}`: needs a certificate authority, and a token or a client certificate; a program that logs in is not run here")
    return kubeconfig_of(cluster["server"], b64decode(authority), known, "administrator")


class Watch:
    """Everything that comes and goes in one list from now on, as (seconds, what, object)."""

    def __init__(self, client, path):
        self.events, self.began = [], time.monotonic()
        version = client.get(path)["metadata"]["resourceVersion"]
        place = urlsplit(client.server)
        connection = http.client.HTTPSConnection(place.hostname, place.port, context=client.context)
        connection.request("GET", f"{path}{'&' if '?' in path else '?'}watch=1&resourceVersion={version}", headers=client.headers)
        answer = connection.getresponse()
        threading.Thread(target=self.read, args=(answer,), daemon=True).start()

    def read(self, answer):
        for line in answer:
            event = json.loads(line)
            self.events.append((time.monotonic() - self.began, event["type"], event["object"]))

    def first(self, what, name=None):
        """The first such event, once it came."""

        def look():
            return next((event for event in list(self.events) if event[1] == what and name in (None, event[2]["metadata"]["name"])), None)

        return until(f"{what} {name or ''}", look)


class Cluster:
    """One cluster with its administrator."""

    def __init__(self, options, place):
        self.options, self.place = options, place
        self.launcher = None
        self.made = False

    def start(self):
        root = Path(self.options.root)
        if self.options.kubeconfig:
            admin = self.keep("admin", own_form(Path(self.options.kubeconfig)))
        else:
            folder = self.place / "plane"
            line = [sys.executable, root / "scripts" / "control_plane.py", "up", "--audit", "--dir", folder]
            self.launcher = subprocess.Popen(list(map(str, line)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            if not self.launcher.stdout.readline().startswith("ready "):
                raise Deviation("the control plane did not start")
            admin = folder / "admin.kubeconfig"
        self.admin, self.client = admin, Client(admin)
        told("cluster", f"Kubernetes {self.client.get('/version')['gitVersion']} at {self.client.server}")

    def keep(self, name, text):
        """A kubeconfig that only its owner reads."""
        path = self.place / f"{name}.kubeconfig"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        return path

    def install(self):
        """Installs `deploy/` and a kubeconfig for each identity. Waits until each passes its self-check."""
        manifests = sorted((Path(self.options.root) / "deploy").glob("*.yaml"))
        applied = list(self.client.apply(manifests))
        told("admin", f"applied {len(applied)} objects of deploy/")
        self.identities = {}
        for who in IDENTITIES:
            token = self.client.token("cofferdam-system", who, 86400)
            self.identities[who] = self.keep(who, kubeconfig_of(self.client.server, self.client.ca, {"token": token}, who))
        for who, path in self.identities.items():
            line = [str(Path(self.options.binaries) / "cofferdam-runner"), "check", "--identity", who, "--kubeconfig", str(path)]
            checked = until(f"the fences around {who}", lambda line=line: next((done for done in [subprocess.run(line, capture_output=True, text=True, env={})] if done.returncode == 0), None))
            told("check", checked.stdout)

    def opt_in(self):
        """The shop's namespace as an administrator opts it in, with what runs there."""
        status, there = self.client.request("GET", f"/api/v1/namespaces/{TARGET}")
        if status == 200 and there["metadata"]["labels"].get(OWN[0]) != OWN[1]:
            raise Deviation(f"the namespace {TARGET} is there already and is not this demo's; it is left alone")
        example = (Path(self.options.root) / "deploy" / "examples" / "target.yaml").read_text()
        own = example.replace("name: example\n", f"name: {TARGET}\n").replace("namespace: example\n", f"namespace: {TARGET}\n")
        file = self.place / "target.yaml"
        file.write_text(own.replace('cofferdam.dev/target: "true"\n', f'cofferdam.dev/target: "true"\n    {OWN[0]}: {OWN[1]}\n'))
        list(self.client.apply([file]))
        self.made = True
        list(self.client.apply([Path(self.options.root) / "examples" / "manifests" / TARGET]))
        until("the Deployments' controller", lambda: all(item["status"].get("observedGeneration") == item["metadata"]["generation"] and "deployment.kubernetes.io/revision" in item["metadata"].get("annotations", {}) for item in self.items(DEPLOYMENTS)))
        # A binding takes effect some time after it is written.
        for who in ("provisioner", "viewer"):
            until("the rights of an opted-in namespace", lambda who=who: Client(self.identities[who]).request("GET", DEPLOYMENTS)[0] == 200)

    def items(self, path):
        return self.client.get(path)["items"]

    def live(self, name):
        """A Deployment, or nothing."""
        status, found = self.client.request("GET", f"{DEPLOYMENTS}/{name}")
        return found if status == 200 else None

    def versions(self):
        """What changes whenever anything of the shop does, its status aside."""
        return {item["metadata"]["name"]: (item["metadata"]["uid"], item["metadata"]["generation"]) for item in self.items(DEPLOYMENTS)}

    def writes(self, call):
        """Writes of this software's identities for a call, dry runs left out, by the audit log; none where that is not ours to read."""
        path = self.place / "plane" / "audit.log"
        if not path.exists():
            return None
        events = [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]

        def counts(event):
            place = json.dumps([event["user"]["username"], event.get("objectRef")])
            dry = "dryRun=" in event["requestURI"] or (event.get("requestObject") or {}).get("dryRun")
            ours = event["user"]["username"].startswith("system:serviceaccount:cofferdam-")
            return ours and not dry and call in place and event["verb"] in ("create", "update", "patch", "delete", "deletecollection")

        return [event for event in events if counts(event)]

    def show(self):
        """What kubectl would print of runs, and of the shop."""
        table("kubectl get namespaces -l cofferdam.dev/managed=true --show-labels", [namespace_row(item) for item in self.items(RUNS)])
        table(f"kubectl -n {TARGET} get deployments", [deployment_row(item) for item in self.items(DEPLOYMENTS)])
        table(f"kubectl -n {TARGET} get roles,rolebindings", [rights_row(item, kind) for kind in ("roles", "rolebindings") for item in self.items(f"{RBAC}/{kind}")])
        table(f"kubectl -n {TARGET} get pods", [pod_row(item) for item in self.items(f"/api/v1/namespaces/{TARGET}/pods")])

    def end(self):
        if self.launcher:
            self.launcher.stdin.close()
            self.launcher.wait(timeout=PATIENCE)
        elif self.made:
            self.client.request("DELETE", f"/api/v1/namespaces/{TARGET}")
            told("admin", f"removed the namespace {TARGET}; deploy/ stays: `kubectl delete -f deploy/` takes it away")


def namespace_row(item):
    meta = item["metadata"]
    labels = ",".join(f"{key}={value}" for key, value in sorted(meta["labels"].items()) if key.startswith("cofferdam.dev/") and key != "cofferdam.dev/call")
    return {"NAME": meta["name"], "STATUS": "Terminating" if "deletionTimestamp" in meta else item["status"]["phase"], "LABELS": labels}


def deployment_row(item):
    status, wanted = item["status"], item["spec"]["replicas"]
    images = ",".join(container["image"].rsplit("/", 1)[-1] for container in item["spec"]["template"]["spec"]["containers"])
    return {"NAME": item["metadata"]["name"], "READY": f"{status.get('readyReplicas', 0)}/{wanted}", "UP-TO-DATE": str(status.get("updatedReplicas", 0)), "IMAGES": images}


def rights_row(item, kind):
    if kind == "roles":
        says = "; ".join(f"{','.join(rule['verbs'])} {','.join(rule['resources'])} {','.join(rule.get('resourceNames', ['(any)']))}" for rule in item["rules"])
    else:
        says = f"{item['roleRef']['kind']}/{item['roleRef']['name']} for " + ",".join(f"{who.get('namespace', '')}/{who['name']}" for who in item["subjects"])
    return {"NAME": f"{kind[:-1]}/{item['metadata']['name']}", "SAYS": says}


def pod_row(item):
    return {"NAME": item["metadata"]["name"], "STATUS": item["status"]["phase"], "NODE": item["spec"].get("nodeName", "<none>")}


def table(command, rows):
    """Rows under their names, as wide as they need."""
    print(f"  {DIM}${END} {command}")
    if not rows:
        print(f"  {DIM}No resources found{END}")
        return
    names = list(rows[0])
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    for row in [{name: name for name in names}, *rows]:
        print("  " + "   ".join(row[name].ljust(widths[name]) for name in names).rstrip())


def refused(client, method, path, body, words, what, patch=None):
    """Another client's request, which must be refused in these words."""
    status, answer = client.request(method, path, json.dumps(body).encode() if body is not None else None, patch)
    said = answer.get("message", "") if isinstance(answer, dict) else str(answer)
    told("       ←", f"{status} {said}")
    expect(status in (403, 422) and words in said, what)
