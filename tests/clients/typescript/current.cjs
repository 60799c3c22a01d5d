// A client of the official TypeScript SDK 2.x: see README.md of the folder above.
//
//     NODE_PATH=…/node_modules node current.cjs URL TOKEN-FILE MODE    MODE: auto, or legacy

const { Client, StreamableHTTPClientTransport } = require("@modelcontextprotocol/client");
const { follow, headers, run, say } = require("./contract.cjs");

run(async () => {
  const [url, tokenFile, mode] = process.argv.slice(2);
  const client = new Client({ name: "test-client", version: "1" }, { versionNegotiation: { mode } });
  const requestInit = { headers: headers(tokenFile) };
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }));
  say({ connected: client.getNegotiatedProtocolVersion() });
  await follow(client, (call, wishes) => client.callTool(call, wishes));
});
