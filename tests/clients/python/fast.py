"""The client of fastmcp: see README.md.

    fast.py URL TOKEN-FILE
"""

import sys
from pathlib import Path

from contract import follow, run, say, told
from fastmcp import Client


async def main(url, token_file):
    token = Path(token_file).read_text().strip()
    async with Client(url, auth=token or None) as client:
        say(connected=client.protocol_version)

        async def list_names():
            return [tool.name for tool in await client.list_tools()]

        async def call(step):
            wishes = {"progress_handler": told} if step.get("progress") else {}
            if "seconds" in step:
                wishes["timeout"] = step["seconds"]
            result = await client.call_tool(step["tool"], step["arguments"], **wishes)
            return result.content[0].text, False

        await follow(list_names, call)


run(main, *sys.argv[1:3])
