// A client of the official TypeScript SDK 1.x: see README.md of the folder above.
//
//     NODE_PATH=…/node_modules node older.cjs URL TOKEN-FILE

const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");
const { follow, headers, run, say } = require("./contract.cjs");

run(async () => {
  const [url, tokenFile] = process.argv.slice(2);
  const client = new Client({ name: "test-client", version: "1" });
  const requestInit = { headers: headers(tokenFile) };
  const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit });
  await client.connect(transport);
  say({ connected: transport.protocolVersion });
  await follow(client, (call, wishes) => client.callTool(call, undefined, wishes));
});
