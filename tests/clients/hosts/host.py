"""A host of a model vendor, unmodified, with a scripted model: see README.md of the folder above.

    host.py URL TOKEN-FILE HOST FOLDER PROGRAM…    HOST: claude-code, codex or gemini

FOLDER is the home of the host, with the configuration that `cofferdam connect` wrote. Each step is a
call that the model makes; the answer is what the host gives to the model. The host reads no other
environment, and reaches loopback alone.
"""

import json
import os
import queue
import subprocess
import sys
from pathlib import Path

import model

PATIENCE = 120


class Conversation(model.Conversation):
    def ours(self, tools):
        """A request without our tools is about something else, for instance a title."""
        return any(self.server_name in tool for tool in tools)

    def note(self, path, body):
        trace = os.environ.get("COFFERDAM_TRACE_MODEL")
        if trace:
            with open(trace, "a") as file:
                print(path, json.dumps(body), file=file)


def environment(host, folder, token, address):
    shared = {
        "PATH": os.environ["PATH"], "HOME": folder, "LANG": "C.UTF-8", "NO_COLOR": "1", "TERM": "dumb",
        # Nothing but loopback: port 9 discards.
        "HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1,localhost",
    }
    own = {
        "claude-code": {
            "ANTHROPIC_BASE_URL": address, "ANTHROPIC_API_KEY": "none", "ENABLE_TOOL_SEARCH": "false",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1",
        },
        "codex": {"MODEL_KEY": "none"},
        "gemini": {
            "GOOGLE_GEMINI_BASE_URL": address, "GEMINI_API_KEY": "none", "GEMINI_CLI_TRUST_WORKSPACE": "true",
            "GEMINI_CLI_NO_RELAUNCH": "true",
        },
    }
    return {**shared, **own[host], **({"COFFERDAM_TOKEN": token} if token else {})}


def words(host, address):
    """What a person would type, with the model's address where the environment cannot name it."""
    prompt = "Do what the operator asks."
    provider = f'{{name="model", base_url="{address}/v1", env_key="MODEL_KEY", wire_api="responses"}}'
    return {
        "claude-code": [
            "-p", prompt, "--allowedTools", "mcp__cofferdam",
        ],
        "codex": [
            "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox",
            "-c", f"model_providers.model={provider}", "-c", 'model_provider="model"', "-c", 'model="scripted"',
            "-c", "check_for_update_on_startup=false", "-c", "analytics.enabled=false",
            prompt,
        ],
        "gemini": ["--model", "gemini-2.5-pro", "--approval-mode", "yolo", "-p", prompt],
    }[host]


def say(**line):
    print(json.dumps(line), flush=True)


def heard(conversation, process):
    """What the model is given next. None if the host has ended without that."""
    for _second in range(PATIENCE):
        try:
            return conversation.heard.get(timeout=1)
        except queue.Empty:
            if process.poll() is not None:
                return None
    return {"thrown": "(the host gave nothing to the model)"}


def status(host, program, told, **where):
    """What a person sees of a server that is not connected: the host's list of servers, or its log."""
    if host == "codex":
        lines = [line.split(" ERROR ", 1)[1] for line in told.splitlines() if " ERROR " in line]
        return "\n".join(lines) or "(it says nothing of the server)"
    command = {"claude-code": ["mcp", "get", "cofferdam"], "gemini": ["mcp", "list"]}[host]
    done = subprocess.run([*program, *command], capture_output=True, text=True, timeout=PATIENCE, **where)
    return done.stdout + done.stderr


def main(_url, token_file, host, folder, *program):
    conversation = Conversation("cofferdam")
    address = model.serve(conversation)
    token = Path(token_file).read_text().strip()
    where = {"cwd": folder, "env": environment(host, folder, token, address)}
    process = subprocess.Popen(
        [*program, *words(host, address)], **where,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    try:
        first = heard(conversation, process)
        if first is None:
            say(thrown=status(host, program, process.stdout.read(), **where))
            return
        names = {name[name.index("cofferdam") + len("cofferdam"):].strip("_"): name for name in first["tools"] if "cofferdam" in name}
        say(connected="it shows none")
        for line in sys.stdin:
            step = json.loads(line)
            if step["do"] == "list":
                say(tools=sorted(names))
                continue
            name = names.get(step["tool"], next(iter(names.values())).replace(next(iter(names)), step["tool"]))
            conversation.steps.put({"tool": name, "arguments": step["arguments"]})
            say(**(heard(conversation, process) or {"thrown": process.stdout.read()}))
        conversation.steps.put(None)
        process.wait(timeout=PATIENCE)
    finally:
        process.kill()


main(*sys.argv[1:])
