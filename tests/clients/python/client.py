"""A client of the official Python SDK against a gateway: connects, lists, and makes three calls.
Prints one JSON object a line; the test reads them. Of 1.22.0 the newest revision is 2025-06-18, of
1.9.2 it is 2025-03-26.

    client.py URL TOKEN
"""

import asyncio
import sys

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from steps import CALLS, say, told


async def main(url, token):
    headers = {"Authorization": f"Bearer {token}"}
    async with streamablehttp_client(url, headers=headers) as (read, write, _session_id):
        async with ClientSession(read, write) as session:
            connected = await session.initialize()
            say(step="connected", revision=connected.protocolVersion)
            say(step="listed", tools=[tool.name for tool in (await session.list_tools()).tools])
            for step, arguments in CALLS:
                if step == "waited":
                    say(step="waiting")
                wishes = {"progress_callback": told} if step == "waited" else {}
                result = await session.call_tool("deployment_scale", arguments, **wishes)
                say(step=step, error=bool(result.isError), text=result.content[0].text)


asyncio.run(main(*sys.argv[1:3]))
