// Every operation × every kind of caller: who is let in, who is not, and that the contract says the same. And what
// somebody who runs the platform does in an organization stands in that organization's audit log.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { around } from "./around.ts";
import { withBareGateway } from "./bare-gateway.ts";
import { Frontend, type Login, SigningKey } from "./frontend.ts";
import { type HeaderList, LoginGateway } from "./login-gateway.ts";

const NEVER = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const ORGANIZATION = `walk-${randomUUID()}`;
const CAPABILITIES = ["read", "send", "manage", "events"] as const;
type Capability = (typeof CAPABILITIES)[number];
const METRICS_TOKEN = randomUUID();
/** Nobody listens there. */
const NOWHERE = "http://127.0.0.1:9/";

/** What a super_admin may without acting for an organization. */
const ACROSS = ["getSession", "listAuditLog"];

/** What opens nothing to any credential but its own: the metrics' token, a WebSocket's ticket. */
const WITH_THEIR_OWN = ["metrics_token", "ticket"];
/** A ticket is looked at when somebody asks for a WebSocket. */
const UPGRADE: HeaderList = [
  ["connection", "upgrade"],
  ["upgrade", "websocket"],
  ["sec-websocket-version", "13"],
  ["sec-websocket-key", "MDEyMzQ1Njc4OWFiY2RlZg=="],
];

interface Operation {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly capability: string;
}

interface Caller {
  readonly name: string;
  readonly headers: HeaderList | (() => HeaderList);
  /** Undefined for who is nobody. */
  readonly may: readonly Capability[] | undefined;
  readonly isSuperAdmin?: boolean;
}

const frontend = await Frontend.start(new SigningKey("EdDSA"));
let gateway: LoginGateway;
let callers: readonly Caller[];
let operations: readonly Operation[];

const bearer = (token: string): HeaderList => [["authorization", `Bearer ${token}`]];
const asPerson = (login: Login) => bearer(frontend.login({ user: "walker", ...login }));
const OWNER: Login = { organization: ORGANIZATION, orgRole: "owner" };

around(
  async () => {
    gateway = await LoginGateway.start({
      issuers: [frontend],
      lifetimeSeconds: 300,
      cooldownSeconds: 30,
      maxStaleSeconds: 3_600,
      metricsToken: METRICS_TOKEN,
    });
    const key = async (...permissions: readonly Capability[]): Promise<HeaderList> => {
      const body = { name: "walker", permissions };
      const made = await gateway.ask({ method: "POST", path: "/api-keys", headers: asPerson(OWNER), body });
      assert.equal(made.status, 201, made.text);
      return [["x-api-key", (JSON.parse(made.text) as { key: string }).key]];
    };
    const person = (name: string, login: Login, may: readonly Capability[]) => ({
      name,
      headers: asPerson(login),
      may,
      isSuperAdmin: login.role === "super_admin",
    });
    const inside = { organization: ORGANIZATION };
    callers = [
      { name: "nobody", headers: [], may: undefined },
      // Another each time: failed logins with the same beginning are limited.
      { name: "a made-up key", headers: () => [["x-api-key", randomUUID()]], may: undefined },
      { name: "a login of nobody's", headers: bearer("e30.e30.e30"), may: undefined },
      ...(await Promise.all(
        CAPABILITIES.map(async (one) => ({ name: `a key for ${one}`, headers: await key(one), may: [one] })),
      )),
      { name: "a key for all", headers: await key(...CAPABILITIES), may: CAPABILITIES },
      person("an owner", OWNER, CAPABILITIES),
      person("an admin", { ...inside, orgRole: "admin" }, CAPABILITIES),
      person("a member", { ...inside, orgRole: "member" }, ["read", "send"]),
      person("somebody without a role", inside, []),
      person("somebody with a role of another kind", { ...inside, orgRole: "super_admin" }, []),
      person("an owner of nothing", { orgRole: "owner" }, []),
      person("a super_admin", { ...inside, role: "super_admin" }, CAPABILITIES),
      person("a super_admin of no organization", { role: "super_admin" }, []),
    ];
    operations = await documented();
  },
  async () => {
    await gateway?.end();
    await frontend.close();
  },
);

async function documented(): Promise<Operation[]> {
  const { text } = await gateway.ask({ path: "/openapi.json" });
  const { paths } = JSON.parse(text) as {
    paths: Record<string, Record<string, { operationId: string; "x-capability": string }>>;
  };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, written]) => ({
      id: written.operationId,
      method: method.toUpperCase(),
      path,
      capability: written["x-capability"],
    })),
  );
}

/** By the contract's "Who calls". */
function isLetIn(operation: Operation, caller: Caller): boolean {
  if (operation.capability === "public") return true;
  // It takes its ticket: every other credential is none.
  if (operation.capability === "ticket") return false;
  if (caller.may === undefined) return false;
  if (operation.capability === "super_admin") return caller.isSuperAdmin === true;
  if (ACROSS.includes(operation.id) && caller.isSuperAdmin === true) return true;
  return caller.may.some((capability) => capability === operation.capability);
}

test("the document's capabilities are the contract's", async (context) => {
  const contract = join(
    process.env["REPO_ROOT"] ?? process.cwd(),
    "..",
    "shared",
    "contract",
    "operations.json",
  );
  const text = await readFile(contract, "utf8").catch(() => undefined);
  if (text === undefined) return context.skip("operations.json is not beside the repository");
  const wanted = (JSON.parse(text) as { operations: Operation[] }).operations;
  for (const { id, method, path, capability } of operations) {
    const found = wanted.find((operation) => operation.id === id);
    assert.deepEqual(
      { method, path, capability },
      found && { method: found.method, path: found.path, capability: found.capability },
      id,
    );
  }
});

test("every operation lets in whom the contract names and nobody else", async (context) => {
  const counts = { "let in": 0, "unauthorized (401)": 0, "forbidden (403)": 0 };
  for (const operation of operations) {
    for (const caller of callers) {
      const what = `${caller.name} at ${operation.id}`;
      // The thing was never there and the body is of no use: whoever is let in changes nothing.
      const path = operation.path.replaceAll(/\{\w+\}/g, NEVER).replace("/api/v1", "");
      const takesBody = ["POST", "PUT", "PATCH"].includes(operation.method);
      const answer = await gateway.ask({
        method: operation.method,
        ...(operation.path.startsWith("/api/v1") ? { path } : { path, outside: true }),
        headers: [
          ...(typeof caller.headers === "function" ? caller.headers() : caller.headers),
          ...(operation.capability === "ticket" ? UPGRADE : []),
        ],
        ...(takesBody ? { body: { "no such field": 1 } } : {}),
      });
      if (isLetIn(operation, caller)) {
        assert.ok([200, 400, 404].includes(answer.status), `${what}: ${answer.status} ${answer.text}`);
        counts["let in"] += 1;
      } else if (caller.may === undefined || WITH_THEIR_OWN.includes(operation.capability)) {
        assert.equal(answer.status, 401, `${what}: ${answer.text}`);
        counts["unauthorized (401)"] += 1;
      } else {
        assert.equal(answer.status, 403, `${what}: ${answer.text}`);
        const { error } = JSON.parse(answer.text);
        assert.equal(error.code, "forbidden", what);
        assert.deepEqual(error.details, { capability: operation.capability }, what);
        counts["forbidden (403)"] += 1;
      }
    }
  }
  const outcomes = Object.entries(counts).map(([name, count]) => `${count} ${name}`);
  context.diagnostic(`${operations.length} operations × ${callers.length} callers: ${outcomes.join(", ")}`);
});

/** What a valid call of an operation is made of; the session is stopped and was never paired. */
interface Things {
  readonly session: string;
  /** The key or the webhook, whichever the path is about. */
  readonly id: string;
}

interface Call {
  readonly body?: unknown;
  /** When it is not a success: the session is not paired, a token is not configured. */
  readonly status?: number;
}

/** One valid call of each operation that harms nobody. A key can only grant what it has: `manage`, to call at all. */
const CALLS: Readonly<Record<string, Call>> = {
  health: {},
  ready: {},
  openapi: {},
  listSessions: {},
  createSession: { body: { label: "made" }, status: 201 },
  getSession: {},
  adminStartSessionBackfill: { status: 202 },
  adminSessionBackfillStatus: { status: 404 },
  updateSession: { body: { label: "renamed" } },
  deleteSession: { status: 204 },
  sessionMe: { status: 404 },
  sessionTimeline: {},
  stopSession: {},
  logoutSession: {},
  sendMessage: { body: { type: "text", to: "15550000000", text: "hello" }, status: 409 },
  editMessage: { body: { chat: "15550000000", text: "hello" }, status: 409 },
  revokeMessage: { body: { chat: "15550000000" }, status: 409 },
  addReaction: { body: { chat: "15550000000", emoji: "👍" }, status: 409 },
  removeReaction: { body: { chat: "15550000000" }, status: 409 },
  forwardMessage: { body: { chat: "15550000000", to: "15550000001" }, status: 409 },
  voteMessage: { body: { chat: "15550000000", options: [] }, status: 409 },
  getOutboxEntry: { status: 404 },
  readChat: { status: 404 },
  getMessage: { status: 404 },
  getMessageMedia: { status: 404 },
  listEvents: {},
  listSessionEvents: {},
  createRealtimeTicket: { body: {} },
  listApiKeys: {},
  createApiKey: { body: { name: "made", permissions: ["manage"] }, status: 201 },
  getApiKey: {},
  updateApiKey: { body: { name: "renamed", permissions: ["manage"] } },
  deleteApiKey: { status: 204 },
  rotateApiKey: { body: { overlapSeconds: 0 } },
  listWebhooks: {},
  createWebhook: { body: { url: NOWHERE }, status: 201 },
  getWebhook: {},
  updateWebhook: { body: { active: false } },
  deleteWebhook: { status: 204 },
  rotateWebhookSecret: { body: { overlapSeconds: 0 } },
  testWebhook: { status: 202 },
  listWebhookDeliveries: {},
  replayWebhook: { body: { status: "dead" }, status: 202 },
  listAuditLog: {},
  adminListSessions: {},
};
/** What would connect to WhatsApp, or needs a token or a ticket of its own: other tests call it. */
const CALLED_ELSEWHERE = new Set([
  "startSession",
  "restartSession",
  "sessionQR",
  "sessionPairingCode",
  "getPasskeyChallenge",
  "submitPasskey",
  "metrics",
  "openRealtime",
]);

/** New ones each time: some calls remove them. */
async function things(path: string): Promise<Things> {
  const headers = asPerson(OWNER);
  const make = async (path: string, body: unknown) => {
    const made = await gateway.ask({ method: "POST", path, headers, body });
    assert.equal(made.status, 201, made.text);
    return (JSON.parse(made.text) as { id: string }).id;
  };
  const [session, id] = await Promise.all([
    make("/sessions", {}),
    path.includes("/webhooks/")
      ? make("/webhooks", { url: NOWHERE })
      : make("/api-keys", { name: "a thing", permissions: ["manage"] }),
  ]);
  return { session, id };
}

test("a call that is valid in every other way works with the operation's capability and with no other", async (context) => {
  let worked = 0;
  let refused = 0;
  for (const operation of operations) {
    const call = CALLS[operation.id];
    assert.equal(
      call === undefined,
      CALLED_ELSEWHERE.has(operation.id),
      `${operation.id}: what is a valid call of it?`,
    );
    if (call === undefined) continue;
    for (const caller of callers) {
      const { session, id } = await things(operation.path);
      const path = operation.path
        .replace("{session}", session)
        .replace("{id}", id)
        .replace("{mid}", "3EB0")
        .replace("{outboxId}", NEVER)
        .replace("{cid}", "15550000000")
        .replace("/api/v1", "");
      const answer = await gateway.ask({
        method: operation.method,
        ...(operation.path.startsWith("/api/v1") ? { path } : { path, outside: true }),
        headers: typeof caller.headers === "function" ? caller.headers() : caller.headers,
        ...(call.body === undefined ? {} : { body: call.body }),
      });
      const letIn = isLetIn(operation, caller);
      const expected: number = letIn ? (call.status ?? 200) : caller.may === undefined ? 401 : 403;
      assert.equal(answer.status, expected, `${caller.name} at ${operation.id}: ${answer.text}`);
      if (operation.path.includes("/webhooks/")) {
        // An organization has only so many.
        await gateway.ask({ method: "DELETE", path: `/webhooks/${id}`, headers: asPerson(OWNER) });
      }
      if (letIn) worked += 1;
      else refused += 1;
    }
  }
  context.diagnostic(
    `${Object.keys(CALLS).length} operations: ${worked} calls worked, ${refused} were refused`,
  );
});

// All other operations are called twice in tests/e2e (repeated.rs), which knows no such person.
test("a backfill that somebody who runs the platform starts is started once for a key", async () => {
  const { session } = await things("");
  const runner = bearer(frontend.login({ user: "the runner", role: "super_admin" }));
  const path = `/admin/sessions/${session}`;
  const ask = (body?: unknown) => {
    const headers: HeaderList = [...runner, ["idempotency-key", "a-backfill"]];
    return gateway.ask({ method: "POST", path: `${path}:backfill`, headers, ...(body ? { body } : {}) });
  };
  const first = await ask();
  assert.equal(first.status, 202, first.text);
  assert.equal(first.headers["idempotency-replayed"], undefined);
  const started = (await gateway.ask({ path: `${path}/backfill`, headers: runner })).text;
  for (const again of [await ask(), await ask()]) {
    assert.deepEqual([again.status, again.text], [202, first.text]);
    assert.equal(again.headers["idempotency-replayed"], "true");
  }
  const other = await ask({ other: 1 });
  assert.equal(other.status, 409, other.text);
  assert.equal(JSON.parse(other.text).error.details.field, "Idempotency-Key");
  assert.equal((await gateway.ask({ path: `${path}/backfill`, headers: runner })).text, started);
});

interface Entry {
  readonly operation: string;
  readonly organizationId: string;
  readonly resource: string | null;
  readonly actor: { readonly type: string; readonly id: string; readonly superAdmin: boolean };
}

async function logOf(headers: HeaderList): Promise<Entry[]> {
  const log = await gateway.ask({ path: "/audit-log?limit=200", headers });
  assert.equal(log.status, 200, log.text);
  return (JSON.parse(log.text) as { data: Entry[] }).data;
}

test("what a super_admin does across organizations is in the platform's own log, which only they read", async () => {
  const user = `runner-${randomUUID()}`;
  const actor = { type: "user", id: user, superAdmin: true };
  const platform = bearer(frontend.login({ user, role: "super_admin" }));
  const inside = bearer(frontend.login({ user, role: "super_admin", organization: ORGANIZATION }));
  for (const headers of [platform, inside]) {
    const listed = await gateway.ask({ path: "/admin/sessions?limit=1", headers });
    assert.equal(listed.status, 200, listed.text);
  }
  const own = (await logOf(platform)).filter((entry) => entry.actor.id === user);
  const told = { operation: "adminListSessions", organizationId: "", actor };
  assert.deepEqual(
    own.map((entry) => ({
      operation: entry.operation,
      organizationId: entry.organizationId,
      actor: entry.actor,
    })),
    [told, told],
  );
  // Who acts for an organization reads that one's log, and it is not in there.
  for (const headers of [inside, asPerson(OWNER)]) {
    const entries = await logOf(headers);
    assert.ok(entries.length > 0);
    for (const entry of entries) {
      assert.notEqual(entry.actor.id, user);
      assert.equal(entry.organizationId, ORGANIZATION);
    }
  }
  // Who acts for no organization and runs nothing reads no log at all.
  const nobodys = await gateway.ask({ path: "/audit-log", headers: bearer(frontend.login({ user })) });
  assert.equal(nobodys.status, 403, nobodys.text);
});

test("the metrics take their token, which opens nothing else", async () => {
  const scraper = bearer(METRICS_TOKEN);
  const ask = (path: string, headers: HeaderList) => gateway.ask({ path, outside: true, headers });
  const shown = await ask("/metrics", scraper);
  assert.equal(shown.status, 200, shown.text);
  assert.match(shown.text, /^# HELP wa_gateway_sessions /);
  assert.equal((await ask("/metrics", [["x-api-key", METRICS_TOKEN]])).status, 401);
  assert.equal((await ask("/metrics", bearer(`${METRICS_TOKEN}x`))).status, 401);
  assert.equal((await ask("/api/v1/sessions", scraper)).status, 401);
});

test("what a super_admin looks at is in the audit log of whose it is", async () => {
  const headers = asPerson(OWNER);
  const made = await gateway.ask({ method: "POST", path: "/sessions", headers, body: {} });
  const { id } = JSON.parse(made.text) as { id: string };
  const runner = bearer(frontend.login({ user: "the runner", role: "super_admin" }));
  const read = await gateway.ask({ path: `/sessions/${id}`, headers: runner });
  assert.equal(read.status, 200, read.text);
  // Their own reading is not.
  await gateway.ask({ path: `/sessions/${id}`, headers });
  const log = await gateway.ask({ path: "/audit-log?limit=2", headers });
  const [newest, before] = (JSON.parse(log.text) as { data: Record<string, unknown>[] }).data;
  assert.deepEqual(newest?.["actor"], { type: "user", id: "the runner", superAdmin: true });
  assert.equal(newest?.["operation"], "getSession");
  assert.equal(newest?.["resource"], `sessions/${id}`);
  assert.equal(newest?.["organizationId"], ORGANIZATION);
  assert.deepEqual(before?.["actor"], { type: "user", id: "walker", superAdmin: false });
  assert.equal(before?.["operation"], "createSession");
});

test("a super_admin's look that fails is in the audit log of whose it is too", async () => {
  const { issuer, audience, jwksUrl } = frontend;
  const parts = { variables: { AUTH_ISSUERS: [{ issuer, audience, jwksUrl }] }, hasObjects: false };
  await withBareGateway(parts, async ({ ask, run }) => {
    await run(
      `INSERT INTO session (id, organization_id, desired, created_at, updated_at) VALUES ('${NEVER}', '${ORGANIZATION}', 'connected', 0, 0)`,
    );
    const as = (login: Login) => ({
      authorization: `Bearer ${frontend.login({ user: "walker", ...login })}`,
    });
    const looked = await ask(`/api/v1/sessions/${NEVER}`, as({ role: "super_admin" }));
    assert.equal(looked.status, 503, looked.text);
    const log = await ask("/api/v1/audit-log", as(OWNER));
    const [entry] = (JSON.parse(log.text) as { data: Record<string, unknown>[] }).data;
    assert.equal(entry?.["operation"], "getSession");
    assert.equal(entry?.["outcome"], "failure");
    assert.equal(entry?.["status"], 503);
    assert.equal(entry?.["resource"], `sessions/${NEVER}`);
    assert.deepEqual(entry?.["actor"], { type: "user", id: "walker", superAdmin: true });
  });
});
