// The only script of the console: it adds new and changed calls to a list, checks the proofs of a
// call, and hands in a cancellation. It draws text alone, keeps nothing, and decides nothing.
"use strict";

const page = document.querySelector("main");
const status = document.querySelector("[role=status]");

function say(text, bad = false) {
  status.textContent = text;
  status.classList.toggle("bad", bad);
}

async function ask(path, options = {}) {
  const answer = await fetch(path, {
    headers: { accept: "application/json", "content-type": "application/json" },
    credentials: "same-origin",
    cache: "no-store",
    redirect: "error",
    ...options,
  });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error?.text ?? `the server answered ${answer.status}`);
  return told;
}

// The list of calls.

const rows = document.querySelector("#rows");

/// The most calls that a page keeps: older ones are on the next pages.
const MOST = 500;

function element(name, kind, text) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  made.textContent = text;
  return made;
}

function row(call) {
  const made = document.createElement("li");
  made.dataset.call = call.call;
  const link = element("a", "", "");
  link.href = `/console/calls/${call.call}`;
  const time = element("time", "", call.at);
  time.dateTime = call.time;
  link.append(time);
  made.append(link, element("span", `state ${call.kind}`, call.state), element("span", "who", call.who),
    element("span", "what", call.what), element("span", "objects", call.objects),
    element("span", "rule", call.rule));
  return made;
}

// New calls wait until the person asks for them, unless the top of the list is in view and nothing
// in it has the focus: what a person reads does not move.
const waiting = new Map();

function isUndisturbed() {
  const top = rows.getBoundingClientRect().top;
  return top >= 0 && top < innerHeight && !rows.contains(document.activeElement);
}

function showWaiting() {
  for (const call of waiting.values()) rows.prepend(row(call));
  waiting.clear();
  while (rows.children.length > MOST) rows.lastElementChild.remove();
  document.querySelector("#none")?.remove();
  tellWaiting();
}

function tellWaiting() {
  const count = waiting.size;
  document.querySelector("#news").hidden = count === 0;
  document.querySelector("#show-news").textContent =
    count === 1 ? "Show 1 new call" : `Show ${count} new calls`;
}

const found = (call) => rows.querySelector(`li[data-call="${CSS.escape(call)}"]`);

// A changed call of an older page is not new. Calls that wait are newer than all rows.
function isOlder(call) {
  const newest = rows.querySelector("time")?.dateTime;
  return newest !== undefined && !waiting.has(call.call) && Date.parse(call.time) < Date.parse(newest);
}

function take({ rows: changed, left }) {
  const told = [];
  for (const call of changed) {
    const shown = found(call.call);
    if (shown) {
      const focused = shown.contains(document.activeElement);
      const fresh = row(call);
      const before = shown.querySelector(".state").textContent;
      for (const part of [".state", ".what", ".objects", ".rule"]) {
        const [old, now] = [shown.querySelector(part), fresh.querySelector(part)];
        old.className = now.className;
        old.textContent = now.textContent;
      }
      if (before !== call.state || focused) told.push(`Changed to ${call.state}: ${call.what}`);
    } else if (isOlder(call)) {
      told.push(`Changed to ${call.state}, on an older page: ${call.what}`);
    } else {
      if (!waiting.has(call.call)) told.push(`New, ${call.state}: ${call.what}`);
      // A call that waits keeps its place.
      waiting.set(call.call, call);
      if (waiting.size > MOST) waiting.delete(waiting.keys().next().value);
    }
  }
  for (const call of left) {
    waiting.delete(call);
    const shown = found(call);
    if (shown) shown.querySelector(".state").textContent = "no longer in this list";
  }
  if (isUndisturbed()) showWaiting();
  else tellWaiting();
  if (told.length > 3) say(`${told.length} calls are new or changed.`);
  else if (told.length > 0) say(told.join(". "));
}

/// The pause before a refused stream is opened again, in milliseconds, and the number of tries.
const AGAIN_MS = 30000;
const TRIES = 20;

function follow(path, tries = 0) {
  const stream = new EventSource(path);
  let next = path;
  stream.addEventListener("calls", (event) => {
    next = path.replace(/([?&]beyond=)[0-9]+/, `$1${event.lastEventId}`);
    take(JSON.parse(event.data));
  });
  stream.addEventListener("over", (event) => {
    stream.close();
    say(`New calls are not shown: ${JSON.parse(event.data).why}`, true);
  });
  stream.addEventListener("open", () => {
    tries = 0;
    say("New calls are shown as they come.");
  });
  stream.addEventListener("error", () => {
    // A refused stream does not come back by itself.
    if (stream.readyState === EventSource.CLOSED && tries < TRIES) {
      say("New calls are not shown at present; the page tries again.", true);
      setTimeout(() => follow(next, tries + 1), AGAIN_MS);
    } else if (stream.readyState === EventSource.CLOSED) {
      say("New calls are not shown. Load the page again to see them.", true);
    } else {
      say("The connection is lost; the browser tries again.", true);
    }
  });
  addEventListener("pagehide", () => stream.close());
}

if (rows?.dataset.changes) {
  document.querySelector("#show-news").addEventListener("click", () => {
    const count = waiting.size;
    showWaiting();
    say(`${count} new at the top of the list.`);
    rows.querySelector("a")?.focus();
  });
  follow(rows.dataset.changes);
}

// The proofs of a call (C2SP tlog-proof, RFC 6962).

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const same = (one, other) => one.length === other.length && one.every((byte, at) => byte === other[at]);

async function hash(...parts) {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const joined = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", joined));
}

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

/// The root of the tree to which a proof leads (RFC 9162, 2.1.3.2). Whole numbers are exact up to
/// 2^53, so no bit operation is used.
async function rootOf(leaf, index, size, proof) {
  if (index >= size) throw new Error("the entry is beyond the signed ledger");
  let [node, last, root] = [index, size - 1, leaf];
  for (const sibling of proof) {
    if (last === 0) throw new Error("the proof has too many hashes");
    if (node % 2 === 1 || node === last) {
      root = await hash(NODE, sibling, root);
      while (node % 2 === 0 && node !== 0) {
        node /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      root = await hash(NODE, root, sibling);
    }
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  if (last !== 0) throw new Error("the proof has too few hashes");
  return root;
}

function number(text) {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || String(value) !== text) throw new Error("the proof has a wrong number");
  return value;
}

/// Checks one proof. Gives the entry, the checkpoint, and whether its signature was checked.
async function check(text, key) {
  const at = text.indexOf("\n\n");
  const [head, extra, index, ...hashes] = text.slice(0, at).split("\n");
  const note = text.slice(at + 2);
  if (head !== "c2sp.org/tlog-proof@v1" || !extra?.startsWith("extra ") || !index?.startsWith("index ")) {
    throw new Error("the proof has another form");
  }
  const entry = bytes(extra.slice(6));
  const end = note.indexOf("\n\n");
  const signed = note.slice(0, end + 1);
  const [origin, size, root, rest] = signed.split("\n");
  if (end < 0 || rest !== "") throw new Error("the checkpoint has another form");
  const leaf = await hash(LEAF, entry);
  const computed = await rootOf(leaf, number(index.slice(6)), number(size), hashes.map(bytes));
  if (!same(computed, bytes(root))) throw new Error("the proof does not lead to the checkpoint");
  const raw = Uint8Array.from(key.match(/[0-9a-f]{2}/g) ?? [], (pair) => parseInt(pair, 16));
  const id = (await hash(new TextEncoder().encode(`${origin}\n`), Uint8Array.of(1), raw)).slice(0, 4);
  const lines = note.slice(end + 2).split("\n").filter((line) => line.startsWith(`\u2014 ${origin} `));
  const signature = lines.map((line) => bytes(line.slice(origin.length + 3))).find((one) => same(one.slice(0, 4), id));
  if (!signature) throw new Error("the checkpoint is not signed by the recorder's key");
  let known;
  try {
    known = await crypto.subtle.importKey("raw", raw, { name: "Ed25519" }, false, ["verify"]);
  } catch (error) {
    if (error.name !== "NotSupportedError") throw error;
    return { entry, index: number(index.slice(6)), size: number(size), checked: false };
  }
  const message = new TextEncoder().encode(signed);
  if (!(await crypto.subtle.verify({ name: "Ed25519" }, known, signature.slice(4), message))) {
    throw new Error("the signature of the checkpoint is wrong");
  }
  return { entry, index: number(index.slice(6)), size: number(size), checked: true };
}

async function checkAll() {
  const { call, entries } = proof.dataset;
  const wanted = entries.split(" ").filter((index) => index !== "").map(number);
  const { key, proofs, more } = await ask(`/console/calls/${call}/proof`);
  if (!/^ed25519:[0-9a-f]{64}$/.test(key)) throw new Error("the recorder's key has another form");
  const proven = new Set();
  let [size, checked] = [0, true];
  for (const one of proofs) {
    const told = await check(one.proof, key.slice("ed25519:".length));
    const leaf = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(told.entry));
    if (told.index !== one.index || leaf.index !== one.index || leaf.call !== call) {
      throw new Error(`the proof of entry ${one.index} is of another entry`);
    }
    proven.add(one.index);
    size = Math.max(size, told.size);
    checked &&= told.checked;
  }
  if (proven.size === 0) {
    throw new Error("no signed checkpoint has these entries yet; check again in a moment");
  }
  const open = wanted.filter((index) => !proven.has(index));
  const signature = checked
    ? "The signature of the recorder's key is right."
    : "This browser cannot check Ed25519 signatures, so the signature was not checked.";
  const rest = open.length === 0
    ? ""
    : more ? ` ${open.length} more entries are not in this answer.`
      : ` ${open.length} newer entries are not signed yet: check again in a moment.`;
  return `${proven.size} of ${wanted.length} entries of this page are in the ledger of ${size} entries. ${signature}${rest} `
    + `The key is ${key}.`;
}

const proof = document.querySelector("#proof");

document.querySelector("#check")?.addEventListener("click", async (event) => {
  const told = document.querySelector("#checked");
  event.target.disabled = true;
  told.classList.remove("bad");
  told.textContent = "Checking …";
  try {
    told.textContent = await checkAll();
  } catch (error) {
    told.classList.add("bad");
    told.textContent = `Not proven: ${error.message}.`;
  } finally {
    event.target.disabled = false;
  }
});

// The cancellation.

document.querySelector("#cancel-call")?.addEventListener("click", async (event) => {
  event.target.disabled = true;
  try {
    const because = document.querySelector("#because").value.trim();
    const { text } = await ask(`${location.pathname}/cancel`, { method: "POST", body: JSON.stringify({ because }) });
    document.querySelector("#cancel").hidden = true;
    say(`${text} Load the page again to see its story.`);
  } catch (error) {
    say(error.message, true);
    event.target.disabled = false;
  }
});
