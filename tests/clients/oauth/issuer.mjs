// A real authorization server on loopback for tests: `oidc-provider`, with a person who is always
// signed in and always consents. Prints one JSON object a line: first its address, then each token
// request. Ends with its standard input.
//
//     node issuer.mjs FOLDER [REDIRECT]      FOLDER has the `node_modules`; with REDIRECT there is a
//                                            client `console` for people, and `other` beside it
//
// A line on standard input is answered with one line:
//   rotate    replaces its key
//   narrow    lets the person of the next sign-in consent to reading alone
//   person EMAIL GROUPS   the next person who signs in, with groups and commas between, `-` for none
//   short     lets the access tokens of sign-ins end after a second, `long` after ten minutes

import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [folder, redirect] = process.argv.slice(2);
const entry = createRequire(`${folder}/`).resolve("oidc-provider");
const { Provider } = await import(pathToFileURL(entry));

const READ = "tools:read";
const SCOPES = `${READ} tools:call`;
const GROUPS = { groups: ["ops"] };
const PERSON = { preferred_username: "alice@example.com", ...GROUPS };
// A second lets a client see an end of its token; a refreshed one lasts.
const SHORT = 1;
const LONG = 600;

const say = (line) => console.log(JSON.stringify(line));

let keys = 0;
let signInSeconds = LONG;
let narrow = false;
let person = { email: "ada@example.com", email_verified: true, ...GROUPS };

function key() {
  const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
  keys += 1;
  return { ...pair.privateKey.export({ format: "jwk" }), kid: `key-${keys}`, use: "sig", alg: "ES256" };
}

// What the server knows stays when its key changes.
const stored = new Map();
class Store {
  constructor(model) {
    this.model = model;
  }
  key(id) {
    return `${this.model}:${id}`;
  }
  async upsert(id, payload) {
    stored.set(this.key(id), payload);
  }
  async find(id) {
    return stored.get(this.key(id));
  }
  async findByUid(uid) {
    const own = [...stored].filter(([key]) => key.startsWith(`${this.model}:`));
    return own.map(([, payload]) => payload).find((payload) => payload.uid === uid);
  }
  async consume(id) {
    stored.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
  }
  async destroy(id) {
    stored.delete(this.key(id));
  }
  async revokeByGrantId(grant) {
    for (const [key, payload] of stored) if (payload.grantId === grant) stored.delete(key);
  }
}

// A client that signs in for itself. Its tokens are opaque if its name says so.
const machine = (client_id) => ({
  client_id,
  client_secret: `secret-of-${client_id}`,
  grant_types: ["client_credentials"],
  response_types: [],
  redirect_uris: [],
});

// A client that a person uses, known in advance: without a secret, so PKCE alone protects its codes.
const known = {
  client_id: "known",
  application_type: "native",
  grant_types: ["authorization_code", "refresh_token"],
  redirect_uris: ["http://127.0.0.1:1/callback"],
  token_endpoint_auth_method: "none",
};

// A client of people at a console: it has a secret, and gets an ID token with their groups.
const ofPeople = (client_id) => ({
  client_id,
  client_secret: `secret-of-${client_id}`,
  grant_types: ["authorization_code"],
  redirect_uris: [redirect],
});

function make(issuer) {
  const provider = new Provider(issuer, {
    adapter: Store,
    jwks: { keys: [key()] },
    clientDefaults: { id_token_signed_response_alg: "ES256" },
    clients: [machine("robot"), machine("robot-opaque"), machine("cofferdam"), known,
      ...(redirect ? [ofPeople("console"), ofPeople("other")] : [])],
    cookies: { keys: ["a key of this test"] },
    // A client registers with the scopes that it will ask for.
    scopes: ["openid", "offline_access", "email", "groups", ...SCOPES.split(" ")],
    claims: { openid: ["sub"], email: ["email", "email_verified"], groups: ["groups"] },
    conformIdTokenClaims: false,
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (_ctx, client) => client.clientId === "cofferdam" },
      dPoP: { enabled: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, resource, client) => ({
          scope: SCOPES,
          audience: resource,
          accessTokenFormat: client.clientId === "robot-opaque" ? "opaque" : "jwt",
          jwt: { sign: { alg: "ES256" } },
        }),
      },
    },
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed("refresh_token"),
    extraTokenClaims: (_ctx, token) => (token.kind === "AccessToken" ? PERSON : GROUPS),
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id, ...PERSON, ...person, preferred_username: PERSON.preferred_username }) }),
    ttl: {
      AccessToken: (ctx) => (ctx.oidc.params.grant_type === "refresh_token" ? LONG : signInSeconds),
      ClientCredentials: LONG,
    },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  });
  provider.on("grant.success", (ctx) => {
    const { grant_type, resource } = ctx.oidc.params;
    say({ event: "token", grant: grant_type, resource, scope: ctx.body.scope, type: ctx.body.token_type });
  });
  provider.on("registration_create.success", (_ctx, client) => say({ event: "registered", client: client.clientId }));
  provider.on("server_error", (_ctx, error) => say({ event: "error", text: String(error.stack) }));
  for (const name of ["authorization.error", "grant.error", "registration_create.error"]) {
    provider.on(name, (_ctx, error) => say({ event: "refused", by: name, text: `${error}: ${error.error_detail ?? error.error_description}` }));
  }
  return provider;
}

// What the pages of a provider ask a person: sign in, then consent to exactly what is asked.
async function interact(provider, request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (prompt.name === "login") {
    const login = { accountId: "alice" };
    return provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false });
  }
  const grant = (grantId && (await provider.Grant.find(grantId)))
    || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope, missingOIDCClaims, missingResourceScopes } = prompt.details;
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(" "));
  if (missingOIDCClaims) grant.addOIDCClaims(missingOIDCClaims);
  for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {})) {
    const refused = narrow ? scopes.filter((scope) => scope !== READ) : [];
    grant.addResourceScope(resource, scopes.filter((scope) => !refused.includes(scope)).join(" "));
    if (refused.length > 0) grant.rejectResourceScope(resource, refused.join(" "));
  }
  narrow = false;
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
}

let current;
const server = createServer((request, response) => {
  if (!request.url.startsWith("/interaction/")) return current.callback()(request, response);
  return interact(current, request, response).catch((error) => {
    say({ event: "error", text: String(error.stack) });
    response.writeHead(500).end();
  });
});
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  current = make(issuer);
  say({ event: "ready", issuer });
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (word) => {
    if (word === "rotate") current = make(issuer);
    if (word === "narrow") narrow = true;
    if (word.startsWith("person ")) {
      const [, email, groups] = word.split(" ");
      person = { email, email_verified: true, groups: groups === "-" ? undefined : groups.split(",") };
    }
    if (word === "short") signInSeconds = SHORT;
    if (word === "long") signInSeconds = LONG;
    say({ event: "done", word });
  });
  lines.on("close", () => process.exit(0));
});
