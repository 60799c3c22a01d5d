// The loop that the programs of this folder share: see README.md of the folder above.

const { readFileSync } = require("node:fs");
const { createInterface } = require("node:readline");

const say = (line) => console.log(JSON.stringify(line));

function headers(tokenFile) {
  const token = readFileSync(tokenFile, "utf8").trim();
  return token ? { Authorization: `Bearer ${token}` } : {};
}

// What a person would read.
const words = (error) => `${error.name}: ${error.message}`;

// Does each step of standard input, until there is none.
async function follow(client, call) {
  for await (const line of createInterface({ input: process.stdin })) {
    const step = JSON.parse(line);
    try {
      if (step.do === "list") {
        say({ tools: (await client.listTools()).tools.map((tool) => tool.name) });
        continue;
      }
      const wishes = step.progress ? { onprogress: (told) => say({ progress: told.message }) } : {};
      if (step.seconds) wishes.timeout = step.seconds * 1000;
      const result = await call({ name: step.tool, arguments: step.arguments }, wishes);
      say({ text: result.content[0].text, error: result.isError === true });
    } catch (error) {
      say({ thrown: words(error) });
    }
  }
  await client.close();
}

async function run(connect) {
  try {
    await connect();
  } catch (error) {
    say({ thrown: words(error) });
    process.exit(0);
  }
}

module.exports = { follow, headers, run, say };
