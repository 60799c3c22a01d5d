"""Calls one tool with the official client. Prints each progress notification when it arrives, and then
the result, each as a line of JSON. For tests.

    listen.py URL TOKEN MODE TOOL ARGUMENTS    MODE: auto (the newest revision), or legacy (the
                                               handshake of older revisions)
"""

import asyncio
import json
import sys
import time

from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client


def say(**words):
    print(json.dumps(words | {"at": time.monotonic()}), flush=True)


async def listen(url, token, mode, tool, arguments):
    async def progress(number, total, message):
        say(progress=number, total=total, message=message)

    http = create_mcp_http_client(headers={"Authorization": f"Bearer {token}"})
    async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
        answer = await client.call_tool(tool, json.loads(arguments), progress_callback=progress)
        say(result="\n".join(block.text for block in answer.content if block.type == "text"), error=bool(answer.is_error))


asyncio.run(listen(*sys.argv[1:]))
