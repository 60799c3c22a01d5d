"""The demo over a directory of manifests: seven scenes, each step checked. It uses the command line, the
official MCP client, git and ssh-keygen, as a user does, and for the attacks the files, as an attacker
does. Started by scripts/demo."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import attack
import demo_parts as parts
from demo_parts import DIM, END, Installation, arguments, call_id, expect, left_waiting, plan_of, scene, tell, told, until_closed


class Stage(Installation):
    """An installation beside a tree in git."""

    def __init__(self, options):
        super().__init__(options)
        self.tree = self.place / "manifests"

    def git(self, *words):
        identity = ["-c", "user.name=Shop", "-c", "user.email=shop@example.com"]
        return subprocess.run(["git", *identity, *words], cwd=self.tree, capture_output=True, text=True, check=True).stdout

    def diff(self):
        return self.git("diff", "--no-color", "--unified=0")

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-qm", "as it was changed", "--allow-empty")

    def show_diff(self, lines):
        """Prints the change and checks how many lines were added and removed."""
        diff = self.diff()
        changed = [line for line in diff.splitlines() if re.match(r"[+-](?![+-]{2} )", line)]
        for line in diff.splitlines():
            if line.startswith(("diff ", "index ", "@@")):
                continue
            print(f"  {DIM}git diff{END} {line}")
        expect(len(changed) == lines, f"git sees {lines} changed line{'s' * (lines != 1)}" if lines else "git sees no change")

    def prepare(self):
        shutil.copytree(Path(self.options.root) / "examples" / "manifests", self.tree)
        self.git("init", "-q", "-b", "main")
        self.commit()
        self.install(self.tree, "--name", "shop")


async def look_around(stage):
    scene(1, "Two agents discover tools, and one looks around")
    async with stage.agent("triage") as triage, stage.agent("release") as release:
        few, all_of_them = await triage.tools(), await release.tools()
        told("triage sees ", ", ".join(few))
        told("release sees", ", ".join(all_of_them))
        expect(set(few) < set(all_of_them), "the list of the one with fewer rights is a part of the other's")
        expect("deployment_delete" not in few and "deployment_delete" in all_of_them, "only the operator's agent sees `deployment_delete`")
        _, text = await triage.call("workloads_list", {"namespace": "storefront"})
        expect("web" in text and "api" in text, "it lists the workloads of the namespace")
        answer, text = await triage.call("workload_status", {"namespace": "storefront", "name": "web"})
        expect(not answer.is_error and "4.12.1" in text, "it reads the named fields of one workload")
    stage.show_diff(0)


async def change(stage):
    scene(2, "An allowed change: plan, digest, preview, decision, job, runner, ephemeral namespace, executor, receipt")
    async with stage.agent("release") as release:
        _, text = await release.call("preview", {"tool": "deployment_scale", "arguments": {"namespace": "storefront", "name": "web", "replicas": 5}})
        stage.show_diff(0)
        answer, text = await release.call("deployment_scale", {"namespace": "storefront", "name": "web", "replicas": 5, "purpose": "autumn sale starts at noon"})
    expect(not answer.is_error, "the call succeeded")
    expect("sha256:" in text and call_id(text) and re.search(r"Ledger: \d+", text), "the text itself says id, digest and ledger index")
    stage.show_diff(2)
    story = await until_closed(stage, call_id(text))
    expect(story["view"]["outcome"] == "succeeded", "the job is closed: its namespace was observed gone")
    expect(not any((stage.home / "runs").iterdir()), "no private copy is left")
    stage.commit()
    return call_id(text), plan_of(answer)


async def refusals(stage):
    scene(3, "Refused: by policy, by form, by schema")
    await parts.refusals(stage)
    stage.show_diff(0)


async def needs_a_person(stage):
    scene(4, "Needs a person: a delete")
    call = await parts.needs_a_person(stage, lambda: stage.show_diff(0))
    expect(not (stage.tree / "storefront" / "gift-cards-v1.yaml").exists(), "the manifest is gone, and with it its file: it held nothing else")
    await until_closed(stage, call)
    parts.signed_twice(stage, call)
    stage.commit()
    return call


async def same_again(stage, first_plan):
    scene(5, "The same again: the same plan digest; the same idempotency key runs once")
    await parts.same_again(stage, first_plan)
    stage.show_diff(2)
    stage.commit()


async def attacks(stage, approved):
    scene(6, "Attacks")
    parts.refused_component(stage)

    async with stage.agent("release") as release:
        answer, text = await release.call("config_set", {"namespace": "storefront", "name": "web", "key": "LOG_LEVEL", "value": "debug"})
        expect(answer.is_error and "ceiling" in text.lower(), "a plan beyond the tool's accepted ceiling is refused before policy")
        unsigned, replayed = await left_waiting(stage, release, "api"), await left_waiting(stage, release, "web")
    stage.stop()
    attack.permit_without_approval(stage.home, unsigned)
    attack.job_by_hand(stage.home, unsigned)
    attack.stolen_approval(stage.home, replayed, approved)
    stage.serve()
    attempts = (
        (attack.FORGED, "permit", "a job put into the store by hand"),
        (unsigned, "approval", "a job signed with the gateway's own key, for a plan that needs a person,"),
        (replayed, "approval", "Bob's signature of scene 4 under a call with other arguments"),
    )
    for victim, code, what in attempts:
        story = await until_closed(stage, victim)
        told("runner:", story["view"]["detail"])
        expect(story["view"]["outcome"] == "refused" and code in json.dumps(story), f"{what} is refused by the runner")
    stage.show_diff(0)

    stage.stop()
    stage.serve("--drill", "operation-recorded")
    async with stage.agent("release") as release:
        answer, text = await release.call("image_set", {"namespace": "storefront", "name": "web", "container": "web", "image": "registry.example.com/storefront/web:4.12.2"})
        expect(answer.is_error, "the runner was killed (-9) between two operations, and the agent is told the job's fate")
    story = await until_closed(stage, call_id(text))
    expect(story["view"]["outcome"] == "failed" and not any((stage.home / "runs").iterdir()), "the job failed, its namespace is gone")
    stage.show_diff(0)

    parts.changed_ledger(stage)


def narrow(stage):
    """An operator narrows what one tool may ever do: staging alone."""
    assets = Path(stage.options.assets)
    stage.command("accept", assets / "tools" / "config_set.wasm", "--namespace", "storefront-staging")


async def story(stage):
    stage.prepare()
    narrow(stage)
    stage.serve()
    await look_around(stage)
    _, plan = await change(stage)
    await refusals(stage)
    approved = await needs_a_person(stage)
    await same_again(stage, plan)
    await attacks(stage, approved)
    scene(7, "Call 4 as a story")
    text = stage.command("show", approved)
    told("show:", text)
    for word in ("release", "bob@example.com", "gift-cards-v1", "sha256:", "replaced by api 2.28"):
        expect(word in text, f"it names {word}")


def hints(stage):
    return [f"export COFFERDAM_HOME={stage.home}", f"git -C {stage.tree} diff", f"ssh key of the approver Bob: {stage.keys / 'bob'}"]


if __name__ == "__main__":
    tell(Stage(arguments(__doc__).parse_args()), story, hints)
