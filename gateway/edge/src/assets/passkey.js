// The only script of the pages for people: it asks the browser for a passkey's signature, and hands
// it in. It draws text alone, keeps nothing, and decides nothing.
"use strict";

const page = document.querySelector("main");
const status = document.querySelector("[role=status]");

const toBytes = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));

const toText = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

function say(text, bad = false) {
  status.textContent = text;
  status.classList.toggle("bad", bad);
}

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json" },
    body: JSON.stringify(body),
    credentials: "same-origin",
    cache: "no-store",
    redirect: "error",
  });
  const told = answer.status === 204 ? {} : await answer.json();
  if (!answer.ok) {
    throw new Error(told.error?.text ?? `the server answered ${answer.status}`);
  }
  return told;
}

// The text of an assertion, in canonical JSON: sorted names, no blanks.
async function assertion(challenge, allowCredentials = []) {
  const made = await navigator.credentials.get({
    publicKey: {
      challenge: toBytes(challenge),
      rpId: page.dataset.party,
      allowCredentials,
      userVerification: "required",
      timeout: 120000,
    },
  });
  return JSON.stringify({
    authenticator_data: toText(made.response.authenticatorData),
    client_data: toText(made.response.clientDataJSON),
    credential: toText(made.rawId),
    signature: toText(made.response.signature),
    type: "webauthn",
  });
}

// Runs one step at a time, and tells an error in place of a result.
function onClick(selector, step) {
  const button = document.querySelector(selector);
  if (!button) return;
  button.addEventListener("click", async () => {
    const all = document.querySelectorAll("button");
    all.forEach((one) => (one.disabled = true));
    try {
      say("Your device asks for you …");
      await step();
    } catch (error) {
      const refused = error.name === "NotAllowedError" || error.name === "AbortError";
      say(refused ? "Nothing was signed: your device gave no passkey. Try again." : error.message, true);
      all.forEach((one) => (one.disabled = false));
    }
  });
}

async function begin() {
  const secret = location.hash.slice(1);
  // The secret stays out of the history.
  history.replaceState(null, "", location.pathname);
  let invited;
  try {
    if (secret === "") throw new Error("The link is not complete: open it as you got it.");
    invited = await post("/enrol/begin", { secret });
  } catch (error) {
    say(error.message, true);
    return;
  }
  document.querySelector("#person").textContent = invited.person;
  document.querySelector("#invited").hidden = false;
  say("");
  // A second press goes on with the passkey of the first one.
  let made;
  onClick("#enrol", async () => {
    made ??= await navigator.credentials.create({
      publicKey: {
        challenge: toBytes(invited.challenge),
        rp: { id: page.dataset.party, name: `Cofferdam ${page.dataset.environment}` },
        user: { id: toBytes(invited.user), name: invited.person, displayName: invited.person },
        pubKeyCredParams: [{ type: "public-key", alg: -7 }, { type: "public-key", alg: -8 }],
        authenticatorSelection: {
          residentKey: "required", requireResidentKey: true, userVerification: "required",
        },
        attestation: "none",
        timeout: 120000,
      },
    });
    document.querySelector("#enrol").textContent = "Sign with the new passkey";
    const proof = await assertion(invited.challenge, [{ type: "public-key", id: made.rawId }]);
    const enrolled = await post("/enrol/finish", {
      secret,
      client_data: toText(made.response.clientDataJSON),
      authenticator_data: toText(made.response.getAuthenticatorData()),
      assertion: proof,
    });
    document.querySelector("#print").textContent = enrolled.fingerprint;
    document.querySelector("#vouch").textContent = enrolled.vouch;
    document.querySelector("#invited").hidden = true;
    document.querySelector("#enrolled").hidden = false;
    say("Your passkey is made.");
  });
}

if (!window.PublicKeyCredential) {
  say("This browser has no passkeys. Use another browser, or sign on the command line.", true);
} else if (page.dataset.page === "enrol") {
  begin();
}

onClick("#sign-in", async () => {
  const { statement, challenge } = page.dataset;
  await post("/sign-in", { statement, signature: await assertion(challenge) });
  // Our own page goes there, so that the browser sends the cookie.
  location.replace(location.pathname + location.search);
});

// The code of a sign-in stays out of the history.
if (page.dataset.page === "return") history.replaceState(null, "", location.pathname);

const issuer = document.querySelector("#issuer");
issuer?.addEventListener("click", async () => {
  issuer.disabled = true;
  try {
    location.assign((await post("/sign-in/issuer", { next: location.pathname })).address);
  } catch (error) {
    say(error.message, true);
    issuer.disabled = false;
  }
});

const signOut = document.querySelector("#sign-out");
signOut?.addEventListener("click", async () => {
  signOut.disabled = true;
  try {
    await post("/sign-out", {});
    location.replace("/sign-in");
  } catch (error) {
    say(error.message, true);
    signOut.disabled = false;
  }
});

// The server writes the statement; its digest is the challenge.
async function sign(verdict, reason) {
  const path = location.pathname;
  const { statement, challenge } = await post(`${path}/statement`, {
    verdict,
    reason,
    stands_for: document.getElementById("answer")?.dataset.place ?? null,
  });
  const told = await post(path, { statement, signature: await assertion(challenge) });
  document.querySelector("#answer").hidden = true;
  say(told.text);
  if (told.follow) setTimeout(() => location.replace(path), 4000);
}

// Counts the time down, by the clock of this device since the page came.
function countDown() {
  const left = document.querySelector("#left");
  if (!left) return;
  const end = performance.now() + Number(left.dataset.left) * 1000;
  const timer = setInterval(() => {
    const seconds = Math.max(0, Math.floor((end - performance.now()) / 1000));
    left.textContent = seconds === 0 ? "over"
      : seconds < 120 ? `${seconds} seconds left`
      : seconds < 7200 ? `${Math.floor(seconds / 60)} minutes left`
      : `${Math.floor(seconds / 3600)} hours left`;
    if (seconds === 0) clearInterval(timer);
  }, 1000);
}

// Shows the signatures of others as they come: one request after the other, each at most 5 seconds
// long, until the question waits no more or this page is left.
async function watchSignatures() {
  const shown = document.querySelector("#signatures");
  if (!shown) return;
  const path = location.pathname.replace(/\/$/, "");
  const headers = { accept: "application/json" };
  for (;;) {
    let told;
    try {
      const answer = await fetch(`${path}/signatures?known=${shown.dataset.known}`, {
        headers, credentials: "same-origin", cache: "no-store", redirect: "error",
      });
      // The sign-in is over, or the call is for others now: the page as it is stays.
      if ([400, 401, 404].includes(answer.status)) return;
      if (answer.ok) told = await answer.json();
    } catch {
      // The network is away; the next request tells.
    }
    if (told) {
      if (shown.textContent !== told.text) shown.textContent = told.text;
      shown.dataset.known = String(told.signed.length);
      if (!told.waits) {
        // After a signature of this page, its own words stay.
        if (document.querySelector("#answer")?.hidden) return;
        say("This call waits for no signature any more.");
        setTimeout(() => location.replace(path), 4000);
        return;
      }
    } else {
      await new Promise((later) => setTimeout(later, 5000));
    }
  }
}

countDown();
watchSignatures();

onClick("#approve", () => sign("approve", ""));
onClick("#deny", () => sign("reject", document.querySelector("#reason").value.trim()));
