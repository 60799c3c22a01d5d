// The command line of the MCP Inspector: see README.md of the folder above. Each step is a command
// of its own. What it prints on standard error is what a person reads.
//
//     node client.mjs URL TOKEN-FILE ERA PROGRAM    ERA: auto (the newest revision), or legacy
//
// It has no wish for progress, and gives up by the end of its process.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const [url, tokenFile, era, program] = process.argv.slice(2);
const token = readFileSync(tokenFile, "utf8").trim();
// How long the command itself may take to start, in seconds.
const START = 8;
const say = (line) => console.log(JSON.stringify(line));

function inspect(words, seconds) {
  const header = token ? ["--header", `Authorization: Bearer ${token}`] : [];
  const all = [program, "--cli", url, "--transport", "http", ...header, "--protocol-era", era, "--quiet", "--format", "json"];
  const child = spawn(process.execPath, [...all, ...words], { stdio: ["ignore", "pipe", "pipe"], timeout: (START + (seconds ?? 75)) * 1000 });
  const told = { out: "", error: "" };
  child.stdout.on("data", (text) => (told.out += text));
  child.stderr.on("data", (text) => (told.error += text));
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, ...told })));
}

// The result where there is one, else the words of the command.
function answer(told, shape) {
  if (told.out) return shape(JSON.parse(told.out).result);
  return { thrown: told.code === null ? "(the command was ended)" : told.error.trim() };
}

async function step({ do: kind, tool, arguments: input, seconds }) {
  if (kind === "list") {
    const told = await inspect(["--method", "tools/list"]);
    return answer(told, (result) => ({ tools: result.tools.map((each) => each.name) }));
  }
  const words = ["--method", "tools/call", "--tool-name", tool, "--tool-args-json", JSON.stringify(input)];
  const told = await inspect(words, seconds);
  return answer(told, (result) => ({ text: result.content[0].text, error: result.isError === true }));
}

const connected = await inspect(["--method", "initialize"]);
say(answer(connected, (result) => ({ connected: result.protocolVersion })));
if (connected.code === 0) {
  for await (const line of createInterface({ input: process.stdin })) say(await step(JSON.parse(line)));
}
