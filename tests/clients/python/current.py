"""The client of the official Python SDK 2.x: see README.md.

    current.py URL TOKEN-FILE MODE                       MODE: auto (the newest revision), or legacy
    current.py stdio TOKEN-FILE MODE COMMAND ARGUMENT…   as a host that only starts programs
"""

import sys
from pathlib import Path

import httpx2
from contract import follow, headers, run, say, told
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client


async def work(server, mode):
    async with Client(server, mode=mode) as client:
        say(connected=client.protocol_version)

        async def list_names():
            return [tool.name for tool in (await client.list_tools()).tools]

        async def call(step):
            wishes = {"progress_callback": told} if step.get("progress") else {}
            if "seconds" in step:
                wishes["read_timeout_seconds"] = step["seconds"]
            result = await client.call_tool(step["tool"], step["arguments"], **wishes)
            return result.content[0].text, bool(result.is_error)

        await follow(list_names, call)


async def main(url, token_file, mode, *command):
    if url == "stdio":
        token = {"COFFERDAM_TOKEN": Path(token_file).read_text().strip()}
        await work(StdioServerParameters(command=command[0], args=list(command[1:]), env=token), mode)
        return
    async with httpx2.AsyncClient(headers=headers(token_file), timeout=75) as http:
        await work(streamable_http_client(url, http_client=http), mode)


run(main, *sys.argv[1:])
