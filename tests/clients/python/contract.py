"""The loop that the programs of this folder share: see README.md beside it."""

import asyncio
import json
import sys
from pathlib import Path


def say(**line):
    print(json.dumps(line), flush=True)


def headers(token_file):
    token = Path(token_file).read_text().strip()
    return {"Authorization": f"Bearer {token}"} if token else {}


async def told(_progress, _total, message):
    say(progress=message)


def words(error):
    """What a person would read at the end of a traceback. A group is only the form of its cause."""
    while getattr(error, "exceptions", None):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


async def follow(list_names, call):
    """Does each step of standard input, until there is none."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        step = json.loads(line)
        try:
            if step["do"] == "list":
                say(tools=await list_names())
            else:
                text, error = await call(step)
                say(text=text, error=error)
        except Exception as error:
            say(thrown=words(error))


def run(main, *arguments):
    try:
        asyncio.run(main(*arguments))
    except Exception as error:
        say(thrown=words(error))
