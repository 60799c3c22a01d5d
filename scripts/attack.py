"""Attacks by a thief of the files of one role: the store, or the gateway's key. The demo and tests use
it. It works on a stopped installation only.

    attack.py HOME permit-without-approval CALL    sign a permit with the gateway's key for a job that
                                                   waits for a person
    attack.py HOME job-by-hand CALL                put a copy of a job into the store
    attack.py HOME second-run FROM                 queue a closed job again as another call, with its permit
    attack.py HOME stolen-approval CALL FROM       use a signature for another call, with a permit of the
                                                   gateway's key
    attack.py HOME other-arguments CALL            change the stored arguments of a queued job
    attack.py HOME other-preview CALL FROM         show the changes of another call in a question
    attack.py HOME unknown-outcome CALL            change the outcome of a closed job to `indeterminate`
    attack.py HOME rewrite-entry INDEX             rewrite a stored ledger entry and its hash
"""

import hashlib
import json
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FORGED = "a" * 26


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def store(home):
    database = sqlite3.connect(next(Path(home, "store").glob("*.db")))
    database.row_factory = sqlite3.Row
    return database


def job(database, call):
    row = dict(database.execute("SELECT * FROM jobs WHERE call = ?", (call,)).fetchone())
    return row, json.loads(row["document"])


def permit(home, document, approvers):
    """A permit in the form of the gateway, signed with its key."""
    principal = document["principal"]
    text = canonical({
        "schema": "cofferdam.permit.v1", "call": document["call"], "plan": document["plan_digest"], "preview": document["preview_digest"],
        "subject": {"type": "agent", "id": principal["name"], "properties": {"roles": principal["roles"], "for": principal["person"], "act": principal["act"]}},
        "purpose": document["purpose"], "environment": document["environment"], "policy": document["policy"], "reasons": document["reasons"],
        "approvers": approvers, "issued": stamp(-5), "expires": stamp(300),
    })
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(Path(home, "keys", "gateway").read_text().strip()))
    return {"permit": text, "signature": key.sign(b"cofferdam permit v1\0" + text.encode()).hex()}


def queue(database, call, signed):
    database.execute(
        "UPDATE jobs SET phase = 'queued', outcome = NULL, permit = ?, expires = ?, leased = 0, attempts = 0 WHERE call = ?",
        (json.dumps(signed), int(time.time() + 300) * 1000, call),
    )


def permit_without_approval(home, call):
    with closing(store(home)) as database, database:
        _, document = job(database, call)
        queue(database, call, permit(home, document, ["bob@example.com"]))


def job_by_hand(home, call):
    with closing(store(home)) as database, database:
        row, document = job(database, call)
        signed = permit(home, document, [])
        document["call"] = FORGED
        del row["seq"]
        row.update(
            call=FORGED, phase="queued", outcome=None, leased=0, plan="sha256:" + "0" * 64, document=json.dumps(document), expires=int(time.time() + 300) * 1000,
            permit=json.dumps({"permit": signed["permit"].replace(call, FORGED), "signature": "00" * 64}),
        )
        database.execute(f"INSERT INTO jobs ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))


def second_run(home, other):
    with closing(store(home)) as database, database:
        row, document = job(database, other)
        document["call"] = FORGED
        del row["seq"]
        row.update(
            call=FORGED, phase="queued", outcome=None, detail="", fence=0, leased=0, attempts=0, progress=None, files=None, meanwhile=None, ended=None,
            expires=int(time.time() + 300) * 1000, document=json.dumps(document),
        )
        database.execute(f"INSERT INTO jobs ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))


def stolen_approval(home, call, other):
    with closing(store(home)) as database, database:
        _, document = job(database, call)
        for statement in database.execute("SELECT * FROM statements WHERE call = ?", (other,)).fetchall():
            values = (call, statement["approver"], statement["verdict"], statement["statement"], statement["signature"])
            database.execute("INSERT INTO statements (call, approver, verdict, statement, signature) VALUES (?, ?, ?, ?, ?)", values)
        queue(database, call, permit(home, document, ["bob@example.com"]))


def other_arguments(home, call):
    with closing(store(home)) as database, database:
        _, document = job(database, call)
        arguments = json.loads(document["arguments"])
        arguments["name"] = "api"
        document["arguments"] = canonical(arguments)
        queue(database, call, permit(home, document, []))
        database.execute("UPDATE jobs SET document = ? WHERE call = ?", (json.dumps(document), call))


def other_preview(home, call, other):
    with closing(store(home)) as database, database:
        (_, document), (_, shown) = job(database, call), job(database, other)
        document.update(preview=shown["preview"], preview_digest=shown["preview_digest"])
        database.execute("UPDATE jobs SET document = ? WHERE call = ?", (json.dumps(document), call))


def unknown_outcome(home, call):
    with closing(store(home)) as database, database:
        database.execute("UPDATE jobs SET outcome = 'indeterminate', detail = 'an effect may have happened' WHERE call = ?", (call,))


def rewrite_entry(home, index):
    with closing(store(home)) as database, database:
        (entry,) = database.execute("SELECT entry FROM leaves WHERE idx = ?", (int(index),)).fetchone()
        entry = entry.replace('"principal":"', '"principal":"x', 1)
        database.execute("UPDATE leaves SET entry = ?, hash = ? WHERE idx = ?", (entry, hashlib.sha256(b"\0" + entry.encode()).digest(), int(index)))


if __name__ == "__main__":
    home, what, *rest = sys.argv[1:]
    {name.replace("_", "-"): value for name, value in list(globals().items()) if callable(value)}[what](home, *rest)
