"""The official Python SDK (2.x) as a host that only starts programs: connects through a bridge, lists, and makes three calls.
Prints one JSON object a line; the test reads them. The token is in the variable COFFERDAM_TOKEN.

    bridge.py MODE COMMAND ARGUMENT...    MODE: auto (the newest revision), or legacy
"""

import asyncio
import os
import sys

from mcp import Client, StdioServerParameters
from steps import CALLS, say, told


async def main(mode, command, *arguments):
    bridge = StdioServerParameters(command=command, args=list(arguments), env={"COFFERDAM_TOKEN": os.environ["COFFERDAM_TOKEN"]})
    async with Client(bridge, mode=mode) as client:
        say(step="connected", revision=client.protocol_version)
        say(step="listed", tools=[tool.name for tool in (await client.list_tools()).tools])
        for step, arguments in CALLS:
            if step == "waited":
                say(step="waiting")
            result = await client.call_tool("deployment_scale", arguments, progress_callback=told)
            say(step=step, error=bool(result.is_error), text=result.content[0].text)


asyncio.run(main(*sys.argv[1:]))
