// Every operation × every kind of caller: who is let in, who is not, and that the contract says the same. And what
// somebody who runs the platform does in an organization stands in that organization's audit log.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Frontend, type Login, SigningKey } from "./frontend.ts";
import { type HeaderList, LoginGateway } from "./login-gateway.ts";

const NEVER = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const ORGANIZATION = `walk-${randomUUID()}`;
const CAPABILITIES = ["read", "send", "manage", "events"] as const;
type Capability = (typeof CAPABILITIES)[number];

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

before(async () => {
  gateway = await LoginGateway.start({
    issuers: [frontend],
    lifetimeSeconds: 300,
    cooldownSeconds: 30,
    maxStaleSeconds: 3_600,
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
});

after(async () => {
  await gateway?.end();
  await frontend.close();
});

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
  if (caller.may === undefined) return false;
  if (operation.capability === "super_admin") return caller.isSuperAdmin === true;
  if (operation.id === "getSession" && caller.isSuperAdmin === true) return true;
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
        headers: typeof caller.headers === "function" ? caller.headers() : caller.headers,
        ...(takesBody ? { body: { "no such field": 1 } } : {}),
      });
      if (isLetIn(operation, caller)) {
        assert.ok([200, 400, 404].includes(answer.status), `${what}: ${answer.status} ${answer.text}`);
        counts["let in"] += 1;
      } else if (caller.may === undefined) {
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
