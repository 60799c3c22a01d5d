// A tool in JavaScript, for the tests: it writes a greeting on one Deployment. `README.md` says how `tool.wasm` is made of it.
const name = { type: "string", maxLength: 63, pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" };
const schema = {
  type: "object",
  additionalProperties: false,
  required: ["namespace", "name", "value"],
  properties: {
    namespace: { ...name, description: "Namespace of the Deployment." },
    name: { ...name, description: "Name of the Deployment." },
    value: { ...name, description: "The greeting." },
  },
};

// The one field that it writes.
const greeting = 'metadata.annotations["cofferdam.dev/greeting"]';

export const tool = {
  define() {
    const target = { group: "apps", version: "v1", kind: "Deployment", namespace: "team-a", name: "web" };
    return {
      name: "greet_js",
      version: "0.1.0",
      title: "Greet a Deployment",
      description: "Writes a greeting into an annotation of one Deployment. It touches no other field and restarts nothing.",
      inputSchema: JSON.stringify(schema),
      outputSchema: JSON.stringify({ type: "object" }),
      ceiling: {
        grants: [{
          action: "patch", group: "apps", version: "v1", kind: "Deployment", namespaces: ["*"],
          fields: [greeting],
        }],
        executors: ["sequential"],
      },
      examples: [{
        title: "A greeting",
        arguments: JSON.stringify({ namespace: "team-a", name: "web", value: "storefront" }),
        draft: JSON.stringify({
          summary: "Deployment team-a/web is greeted with storefront",
          executor: "sequential",
          operations: [{
            action: "patch", target, changes: [{ path: greeting, value: "storefront" }],
            after: [], reversible: true,
          }],
        }),
      }],
    };
  },

  plan(text) {
    const { namespace, name, value } = JSON.parse(text);
    if (value === "nothing") {
      // What is thrown is the tool's refusal: the `err` of its result.
      throw { reason: "it is no greeting", remedy: "Write another word." };
    }
    if (value === "loop") for (;;);
    if (value === "hoard") for (const hoard = []; ; ) hoard.push(new Array(10000).fill(hoard.length));
    if (value === "dig") { const dig = (n) => 1 + dig(n + 1); dig(0); }
    if (value === "clock") return { summary: `at ${Date.now()}`, executor: undefined, operations: [] };
    const target = { group: "apps", version: "v1", kind: "Deployment", namespace, name };
    return {
      summary: `Deployment ${namespace}/${name} is greeted with ${value}`,
      executor: "sequential",
      operations: [{
        operation: { tag: "patch", val: { target, changes: [{ path: greeting, value: JSON.stringify(value) }] } },
        after: [],
        reversible: true,
      }],
    };
  },
};
