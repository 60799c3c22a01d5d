// A client of the official TypeScript SDK 1.22.0, whose newest revision is 2025-06-18, against a
// gateway: connects, lists, and makes three calls. Prints one JSON object a line; the test reads them.
//
//     NODE_PATH=…/node_modules node client.cjs URL TOKEN

const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");

const say = (line) => console.log(JSON.stringify(line));

const calls = [
  ["allowed", { namespace: "storefront", name: "web", replicas: 5 }],
  ["denied", { namespace: "storefront", name: "web", replicas: 40 }],
  ["waited", { namespace: "storefront", name: "api", replicas: 0 }],
];

async function main(url, token) {
  const client = new Client({ name: "old-typescript", version: "1" });
  const requestInit = { headers: { Authorization: `Bearer ${token}` } };
  const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit });
  await client.connect(transport);
  say({ step: "connected", revision: transport.protocolVersion });
  say({ step: "listed", tools: (await client.listTools()).tools.map((tool) => tool.name) });
  for (const [step, input] of calls) {
    const waits = step === "waited";
    if (waits) say({ step: "waiting" });
    const wishes = waits ? { onprogress: (told) => say({ step: "progress", text: told.message }) } : {};
    const result = await client.callTool({ name: "deployment_scale", arguments: input }, undefined, wishes);
    say({ step, error: result.isError === true, text: result.content[0].text });
  }
  await client.close();
}

main(process.argv[2], process.argv[3]).catch((fault) => {
  say({ step: "failed", text: String(fault) });
  process.exit(1);
});
