"""The official Python SDK (2.x) as a client that signs in. Finds the authorization server by the
answers of the gateway alone, registers, and follows the redirects of the sign-in as a browser does.
Reads one word a line, and answers each with one JSON object a line; the test reads them.

    client.py URL [CLIENT]    CLIENT: a client of the authorization server; without it, one is registered

Words: connect, list, call REPLICAS.
"""

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata

REDIRECT = "http://127.0.0.1:1/callback"


def say(**line):
    print(json.dumps(line), flush=True)


class Storage:
    tokens = client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens
        say(event="stored", scope=tokens.scope)

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


class Browser:
    """A person at a browser. Each sign-in begins without cookies."""

    async def open(self, url):
        async with httpx2.AsyncClient() as session:
            for _ in range(10):
                url = str((await session.get(url)).next_request.url)
                if url.startswith(REDIRECT):
                    self.answer = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
                    return
        raise RuntimeError("the sign-in does not end")

    async def returned(self):
        return AuthorizationCodeResult(**{name: self.answer.get(name) for name in ("code", "state", "iss")})


async def main(url, client_id=None):
    storage, browser = Storage(), Browser()
    if client_id:
        storage.client = OAuthClientInformationFull(client_id=client_id, redirect_uris=[REDIRECT], token_endpoint_auth_method="none")
    metadata = OAuthClientMetadata(client_name="python", redirect_uris=[REDIRECT])
    auth = OAuthClientProvider(url, metadata, storage, browser.open, browser.returned)
    async with httpx2.AsyncClient(auth=auth) as http, AsyncExitStack() as opened:
        client = Client(streamable_http_client(url, http_client=http))
        loop = asyncio.get_running_loop()
        while words := (await loop.run_in_executor(None, sys.stdin.readline)).split():
            try:
                match words:
                    case ["connect"]:
                        await opened.enter_async_context(client)
                        say(step="connect")
                    case ["list"]:
                        say(step="list", tools=[tool.name for tool in (await client.list_tools()).tools])
                    case ["call", replicas]:
                        arguments = {"namespace": "storefront", "name": "web", "replicas": int(replicas)}
                        result = await client.call_tool("deployment_scale", arguments)
                        say(step="call", error=bool(result.is_error), text=result.content[0].text)
            except Exception as fault:
                while isinstance(fault, BaseExceptionGroup):
                    fault = fault.exceptions[0]
                say(step="failed", text=f"{type(fault).__name__}: {fault}")


asyncio.run(main(*sys.argv[1:]))
