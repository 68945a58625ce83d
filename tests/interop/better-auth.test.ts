// The real better-auth as the frontend, over the gateway's own database: its people and its API keys come in as they
// are, and are out when it says so.

import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { databaseFiles } from "../../tooling/wrangler.ts";
import { around } from "./around.ts";
import { betterAuthFrontend } from "./better-auth-frontend.ts";
import { type Answer, LoginGateway } from "./login-gateway.ts";
import { eventually } from "./waiting.ts";

const root = process.env["REPO_ROOT"] ?? process.cwd();
const AUDIENCE = "whatsapp-gateway";
/** How long a write waits for workerd's own. */
const BUSY_MS = 5_000;

type Auth = ReturnType<typeof betterAuthFrontend>;
const server = createServer((request, response) => void toNodeHandler(auth)(request, response));
let baseURL: string;
let gateway: LoginGateway;
let database: DatabaseSync;
let auth: Auth;

around(
  async () => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    baseURL = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    gateway = await LoginGateway.start({
      issuers: [{ issuer: baseURL, audience: AUDIENCE, jwksUrl: `${baseURL}/api/auth/jwks` }],
      lifetimeSeconds: 2,
      cooldownSeconds: 1,
      maxStaleSeconds: 60,
    });
    database = await directory(gateway.state);
    auth = betterAuthFrontend({
      baseURL,
      secret: randomBytes(32).toString("hex"),
      audience: AUDIENCE,
      database,
    });
  },
  async () => {
    await gateway?.end();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    database?.close();
  },
);

/** The gateway's D1, which is a file on this machine. */
async function directory(state: string): Promise<DatabaseSync> {
  for (const file of await databaseFiles(state)) {
    const candidate = new DatabaseSync(file, { timeout: BUSY_MS });
    const table = candidate.prepare("SELECT 1 FROM sqlite_master WHERE name = 'apikey'").get();
    if (table !== undefined) return candidate;
    candidate.close();
  }
  throw new Error(`There is no directory in ${state}.`);
}

function columns(table: string): string[] {
  return database
    .prepare("SELECT name FROM pragma_table_info(?)")
    .all(table)
    .map(({ name }) => String(name));
}

/** Somebody with a browser. */
class Person {
  readonly #cookies = new Map<string, string>();
  id = "";

  static async signUp(): Promise<Person> {
    const person = new Person();
    const body = { email: `${randomUUID()}@example.com`, password: randomUUID(), name: "Somebody" };
    const { user } = await person.post<{ user: { id: string } }>("/sign-up/email", body);
    person.id = user.id;
    return person;
  }

  /** A person with an organization of their own, which they act for. */
  static async withOrganization(): Promise<readonly [person: Person, organization: string]> {
    const person = await Person.signUp();
    const { id } = await person.post<{ id: string }>("/organization/create", {
      name: "Somebody & Co.",
      slug: randomUUID(),
    });
    await person.actsFor(id);
    return [person, id];
  }

  async actsFor(organizationId: string): Promise<void> {
    await this.post("/organization/set-active", { organizationId });
  }

  async jwt(): Promise<string> {
    const response = await this.#fetch("/token");
    assert.equal(response.status, 200);
    return ((await response.json()) as { token: string }).token;
  }

  async tokenStatus(): Promise<number> {
    return (await this.#fetch("/token")).status;
  }

  async post<T>(path: string, body: unknown): Promise<T> {
    const response = await this.#fetch(path, body);
    const text = await response.text();
    assert.equal(response.status, 200, `${path}: ${text}`);
    return JSON.parse(text) as T;
  }

  async #fetch(path: string, body?: unknown): Promise<Response> {
    const response = await fetch(`${baseURL}/api/auth${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: {
        origin: baseURL,
        cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; "),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      body: body === undefined ? null : JSON.stringify(body),
    });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      this.#cookies.set(name, value);
    }
    return response;
  }
}

type Capability = "read" | "send" | "manage" | "events";

/** As a frontend's server does for a person who may: better-auth lets nobody choose permissions from a browser. */
async function mint(person: Person, organizationId: string, gatewayPermissions: Capability[]) {
  return auth.api.createApiKey({
    body: {
      name: "a script",
      organizationId,
      userId: person.id,
      permissions: { gateway: gatewayPermissions },
      expiresIn: 7 * 24 * 3_600,
    },
  });
}

type Minted = Awaited<ReturnType<typeof mint>>;

async function withKey(key: string, path = "/sessions"): Promise<Answer> {
  return gateway.ask({ path, headers: [["x-api-key", key]] });
}

async function isRefused(what: string, ask: () => Promise<Answer>): Promise<void> {
  const { text } = await eventually(what, ask, ({ status }) => status === 401);
  assert.equal(JSON.parse(text).error.code, "unauthorized");
}

function decoded(token: string): readonly [Record<string, unknown>, Record<string, unknown>] {
  const [header = "", claims = ""] = token.split(".");
  const read = (part: string) => JSON.parse(Buffer.from(part, "base64url").toString());
  return [read(header), read(claims)];
}

test("better-auth finds the gateway's table of API keys as it needs it, and adds its own beside it", async () => {
  // That tables are missing is also what better-auth complains of, once, on the console.
  const keyColumns = columns("apikey");
  const sessionColumns = columns("session");
  const { toBeAdded, toBeCreated, runMigrations } = await getMigrations(auth.options);
  assert.deepEqual(
    toBeAdded.filter(({ fields }) => Object.keys(fields).length > 0).map(({ table }) => table),
    [],
  );
  assert.deepEqual(toBeCreated.map(({ table }) => table).sort(), [
    "account",
    "invitation",
    "jwks",
    "login_session",
    "member",
    "organization",
    "user",
    "verification",
  ]);
  await runMigrations();
  assert.deepEqual(columns("apikey"), keyColumns);
  assert.deepEqual(columns("session"), sessionColumns);
});

test("a JWT of better-auth has the claims of the contract", async () => {
  const [person, organization] = await Person.withOrganization();
  const [header, claims] = decoded(await person.jwt());
  assert.equal(header["alg"], "EdDSA");
  assert.equal(typeof header["kid"], "string");
  const { iat, exp, ...rest } = claims;
  assert.equal(Number(exp) - Number(iat), 15 * 60);
  assert.deepEqual(rest, {
    iss: baseURL,
    aud: AUDIENCE,
    sub: person.id,
    activeOrganizationId: organization,
    orgRole: "owner",
  });
});

test("a person signed up at better-auth makes and lists sessions of their organization, and nobody else does", async () => {
  const [person] = await Person.withOrganization();
  const created = await gateway.as(await person.jwt(), { method: "POST", path: "/sessions", body: {} });
  assert.equal(created.status, 201, created.text);
  const session = JSON.parse(created.text);
  assert.equal(session.createdByUserId, person.id);
  assert.deepEqual(JSON.parse((await gateway.as(await person.jwt())).text).data, [session]);

  const [stranger] = await Person.withOrganization();
  assert.deepEqual(JSON.parse((await gateway.as(await stranger.jwt())).text).data, []);
  const path = `/sessions/${session.id}`;
  assert.equal((await gateway.as(await stranger.jwt(), { path })).status, 404);
  assert.equal((await gateway.as(await person.jwt(), { path })).status, 200);
});

test("a person who chose no organization is known and may nothing", async () => {
  const person = await Person.signUp();
  assert.equal((await gateway.as(await person.jwt())).status, 403);
});

test("what a person may follows their role in better-auth's organization", async () => {
  const [, organizationId] = await Person.withOrganization();
  const colleague = await Person.signUp();
  const member = await auth.api.addMember({ body: { organizationId, userId: colleague.id, role: "member" } });
  await colleague.actsFor(organizationId);
  assert.equal((await gateway.as(await colleague.jwt())).status, 403);
  const { adapter } = await auth.$context;
  const where = [{ field: "id", value: String(member?.id) }];
  await adapter.update({ model: "member", where, update: { role: "member,admin" } });
  assert.equal((await gateway.as(await colleague.jwt())).status, 200);
});

test("nobody signs up as super_admin; who is made one sees all organizations", async () => {
  const body = { email: "s@example.com", password: randomUUID(), name: "S", role: "super_admin" };
  const headers = { "content-type": "application/json", origin: baseURL };
  const init = { method: "POST", headers, body: JSON.stringify(body) };
  assert.equal((await fetch(`${baseURL}/api/auth/sign-up/email`, init)).status, 400);
  const { adapter } = await auth.$context;
  const chosen = await Person.signUp();
  assert.equal((await gateway.as(await chosen.jwt(), { path: "/admin/sessions" })).status, 403);
  const where = [{ field: "id", value: chosen.id }];
  await adapter.update({ model: "user", where, update: { role: "super_admin" } });
  assert.equal((await gateway.as(await chosen.jwt(), { path: "/admin/sessions" })).status, 200);
});

test("an API key of better-auth works in the gateway as it is, and may what it was granted", async () => {
  const [person, organization] = await Person.withOrganization();
  const { key, id } = await mint(person, organization, ["manage", "events"]);
  assert.match(key, /^wa_/);
  const row = database.prepare("SELECT * FROM apikey WHERE id = ?").get(id);
  assert.equal(row?.["reference_id"], organization);
  assert.ok(!JSON.stringify(row).includes(key), "the key itself is not stored");

  const created = await gateway.ask({
    method: "POST",
    path: "/sessions",
    headers: [["authorization", `Bearer ${key}`]],
    body: {},
  });
  assert.equal(created.status, 201, created.text);
  const session = JSON.parse(created.text);
  assert.equal(session.createdByUserId, null);
  assert.deepEqual(JSON.parse((await withKey(key)).text).data, [session]);
  const path = `/sessions/${session.id}`;
  assert.equal((await withKey(key, `${path}/events`)).status, 200);
  assert.equal((await gateway.as(await person.jwt(), { path })).status, 200);

  const { key: sender } = await mint(person, organization, ["send"]);
  assert.equal((await withKey(sender)).status, 403);
  assert.equal((await withKey(sender, `${path}/events`)).status, 403);
  const [stranger, others] = await Person.withOrganization();
  const { key: strangers } = await mint(stranger, others, ["manage", "events", "send", "read"]);
  assert.equal((await withKey(strangers, path)).status, 404);
});

test("an API key that better-auth deletes, disables or lets expire opens no door", async () => {
  const [person, organization] = await Person.withOrganization();
  const keys = await Promise.all([1, 2, 3].map(() => mint(person, organization, ["manage"])));
  for (const { key } of keys) assert.equal((await withKey(key)).status, 200);
  const [deleted, disabled, expired] = keys as [Minted, Minted, Minted];

  await person.post("/api-key/delete", { keyId: deleted.id });
  await isRefused("the deleted key to be refused", () => withKey(deleted.key));
  await person.post("/api-key/update", { keyId: disabled.id, enabled: false });
  await isRefused("the disabled key to be refused", () => withKey(disabled.key));
  const { adapter } = await auth.$context;
  const where = [{ field: "id", value: expired.id }];
  await adapter.update({ model: "apikey", where, update: { expiresAt: new Date(Date.now() - 1_000) } });
  await isRefused("the expired key to be refused", () => withKey(expired.key));

  await person.post("/api-key/update", { keyId: disabled.id, enabled: true });
  await eventually(
    "the key that is enabled again to work",
    () => withKey(disabled.key),
    ({ status }) => status === 200,
  );
});

test("who signed out gets no JWT, and a key taken out of the JWKS ends those that were out", async () => {
  const [leaver] = await Person.withOrganization();
  const [stayer] = await Person.withOrganization();
  const out = await leaver.jwt();
  assert.equal((await gateway.as(out)).status, 200);
  await leaver.post("/sign-out", {});
  assert.equal(await leaver.tokenStatus(), 401);

  const { adapter } = await auth.$context;
  const [{ kid }] = decoded(out);
  await adapter.delete({ model: "jwks", where: [{ field: "id", value: String(kid) }] });
  const renewed = await stayer.jwt();
  assert.notEqual(decoded(renewed)[0]["kid"], kid);
  await eventually(
    "a JWT of the new key to be accepted",
    () => gateway.as(renewed),
    ({ status }) => status === 200,
  );
  await isRefused("the JWT of the key that is gone to be refused", () => gateway.as(out));
});

test("docs/frontend.md shows the frontend that ran here", async () => {
  const [page, source] = await Promise.all(
    ["docs/frontend.md", "tests/interop/better-auth-frontend.ts"].map((file) =>
      readFile(join(root, file), "utf8"),
    ),
  );
  assert.ok(page?.includes(`\`\`\`ts\n${source?.trim()}\n\`\`\``), "it is another one");
});
