"""A client of the official Python SDK 1.x: see README.md.

    older.py URL TOKEN-FILE
"""

import sys
from datetime import timedelta

from contract import follow, headers, run, say, told
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client


async def main(url, token_file):
    async with streamablehttp_client(url, headers=headers(token_file)) as (read, write, _session_id):
        async with ClientSession(read, write) as session:
            say(connected=(await session.initialize()).protocolVersion)

            async def list_names():
                return [tool.name for tool in (await session.list_tools()).tools]

            async def call(step):
                wishes = {"progress_callback": told} if step.get("progress") else {}
                if "seconds" in step:
                    wishes["read_timeout_seconds"] = timedelta(seconds=step["seconds"])
                result = await session.call_tool(step["tool"], step["arguments"], **wishes)
                return result.content[0].text, bool(result.isError)

            await follow(list_names, call)


run(main, *sys.argv[1:3])
