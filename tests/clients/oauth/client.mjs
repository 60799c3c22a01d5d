// The official TypeScript SDK (2.x) as a client that signs in. Finds the authorization server by the
// answers of the gateway alone, registers, and follows the redirects of the sign-in as a browser
// does. Reads one word a line, and answers each with one JSON object a line; the test reads them.
//
//     node client.mjs FOLDER URL [CLIENT | --dpop]
//
// FOLDER has the `node_modules`. CLIENT is a client of the authorization server; without it, one is
// registered. With `--dpop` the tokens are bound to a key of this client.
// Words: connect, list, call REPLICAS.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [folder, url, option] = process.argv.slice(2);
const { Client, DpopSession, StreamableHTTPClientTransport, UnauthorizedError } =
  createRequire(`${folder}/`)("@modelcontextprotocol/client");

const REDIRECT = "http://127.0.0.1:1/callback";
const say = (line) => console.log(JSON.stringify(line));

// Follows a sign-in as a browser without cookies does. Returns the parameters of its end.
async function browse(url) {
  const cookies = new Map();
  for (let step = 0; step < 10; step += 1) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(url, { redirect: "manual", headers: { cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [pair] = line.split(";");
      const at = pair.indexOf("=");
      if (at + 1 < pair.length) cookies.set(pair.slice(0, at), pair.slice(at + 1));
      else cookies.delete(pair.slice(0, at));
    }
    url = new URL(response.headers.get("location"), url);
    if (url.href.startsWith(REDIRECT)) return url.searchParams;
  }
  throw new Error("the sign-in does not end");
}

const bound = option === "--dpop";
const session = bound ? await DpopSession.create() : undefined;
let client_information = option && !bound ? { client_id: option } : undefined;
let tokens, verifier, returned, found;
const provider = {
  redirectUrl: REDIRECT,
  clientMetadata: {
    client_name: "typescript",
    redirect_uris: [REDIRECT],
    grant_types: ["authorization_code", "refresh_token"],
    token_endpoint_auth_method: "none",
    application_type: "native",
  },
  clientInformation: () => client_information,
  saveClientInformation: (client) => void (client_information = client),
  discoveryState: () => found,
  saveDiscoveryState: (state) => void (found = state),
  tokens: () => tokens,
  saveTokens: (fresh) => {
    tokens = fresh;
    say({ event: "stored", scope: fresh.scope });
  },
  saveCodeVerifier: (text) => (verifier = text),
  codeVerifier: () => verifier,
  redirectToAuthorization: async (url) => (returned = await browse(url)),
  ...(bound && { dpop: () => session }),
};

let client, transport;

// The SDK gives the control back after a sign-in; the program finishes it, and repeats.
async function signedIn(work) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof UnauthorizedError) || !returned) throw error;
    const answer = returned;
    returned = undefined;
    await transport.finishAuth(answer);
    return await work();
  }
}

async function connect() {
  client = new Client({ name: "typescript", version: "1" });
  transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
  await client.connect(transport);
}

const steps = {
  connect: async () => void (await signedIn(connect)),
  list: async () => ({ tools: (await signedIn(() => client.listTools())).tools.map((tool) => tool.name) }),
  call: async (replicas) => {
    const input = { namespace: "storefront", name: "web", replicas: Number(replicas) };
    const result = await signedIn(() => client.callTool({ name: "deployment_scale", arguments: input }));
    return { error: result.isError === true, text: result.content[0].text };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [step, ...words] = line.split(" ");
  try {
    say({ step, ...(await steps[step](...words)) });
  } catch (error) {
    say({ step: "failed", text: `${error.name}: ${error.message}` });
  }
}
await client?.close();
