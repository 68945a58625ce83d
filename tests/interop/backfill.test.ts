// A super_admin pulls a number's contacts and groups again: the whole of it, one at a time, through a restart of the
// object, and with a reason when it can't be done. What arrived is read from the object's own database.

import assert from "node:assert/strict";
import { randomInt, randomUUID } from "node:crypto";
import { type TestContext, test } from "node:test";
import { around } from "./around.ts";
import { checkSchema } from "./contract.ts";
import { environment } from "./environment.ts";
import { Frontend, type Login, SigningKey } from "./frontend.ts";
import { call } from "./http.ts";
import { type Answer, type HeaderList, LoginGateway } from "./login-gateway.ts";
import { rowsOf } from "./object-database.ts";
import { Fault, Phone } from "./simulator-client.ts";
import { eventually } from "./waiting.ts";

const NEVER = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const ORGANIZATION = `backfill-${randomUUID()}`;
const CONTACTS = 60;
const GROUP_SIZES = [2, 40, 300] as const;
const EVERYBODY = Math.max(...GROUP_SIZES) - 1;
const { simulator } = environment;

interface Job {
  readonly id: string;
  readonly sessionId: string;
  readonly organizationId: string;
  readonly status: "running" | "succeeded" | "failed";
  readonly contacts: number;
  readonly groups: number;
  readonly groupMembers: number;
  readonly startedAt: number;
  readonly finishedAt?: number;
  readonly error?: string;
}

const frontend = await Frontend.start(new SigningKey("EdDSA"));
let gateway: LoginGateway;
/** Numbers of people on WhatsApp. */
let people: readonly string[];

const as = (login: Login): HeaderList => [["authorization", `Bearer ${frontend.login(login)}`]];
const owner = () => as({ user: "owner", organization: ORGANIZATION, orgRole: "owner" });
const runner = () => as({ user: "the runner", role: "super_admin" });

around(
  async () => {
    gateway = await LoginGateway.start({
      issuers: [frontend],
      lifetimeSeconds: 300,
      cooldownSeconds: 30,
      maxStaleSeconds: 3_600,
    });
    const first = randomInt(100_000_000, 999_000_000);
    people = Array.from({ length: EVERYBODY }, (_, place) => `1555${first + place}`);
    for (const phoneNumber of people) await call(`${simulator}/phones`, { body: { phoneNumber } });
  },
  async () => {
    await gateway?.end();
    await frontend.close();
  },
);

function read<T>({ text }: Answer): T {
  return JSON.parse(text) as T;
}

async function asOwner<T>(method: string, path: string, body?: unknown): Promise<T | undefined> {
  const answer = await gateway.ask({ method, path, headers: owner(), body });
  assert.ok(answer.status < 300 || answer.status === 404, `${method} ${path}: ${answer.text}`);
  return answer.status >= 300 || answer.text === "" ? undefined : read<T>(answer);
}

/** A session of ORGANIZATION, linked to this phone and working. */
async function paired(context: TestContext, phone: Phone): Promise<string> {
  const made = await asOwner<{ id: string }>("POST", "/sessions", { start: true });
  assert.ok(made);
  const path = `/sessions/${made.id}`;
  context.after(() => asOwner("DELETE", path));
  const qr = await eventually(
    "a QR code",
    () => asOwner<{ code: string }>("GET", `${path}/qr`),
    (shown) => shown !== undefined,
  );
  await phone.scan(qr.code);
  await becomes(path, "working");
  return made.id;
}

async function becomes(path: string, wanted: string): Promise<void> {
  await eventually(
    `the session to be ${wanted}`,
    () => asOwner<{ status: string }>("GET", path),
    (row) => row?.status === wanted,
  );
}

async function save(phone: Phone, names: Readonly<Record<string, string>>): Promise<void> {
  const body = Object.entries(names).map(([phoneNumber, name]) => ({ phoneNumber, name }));
  await call(`${simulator}/phones/${phone.number}/contacts`, { method: "PUT", body });
}

/** A group founded by this phone with as many people in it: its JID. */
async function found(phone: Phone, size: number, more: Readonly<Record<string, unknown>> = {}) {
  const participants = people.slice(0, size - 1);
  const body = { subject: `${size} people`, creator: phone.number, participants, ...more };
  return (await call<{ jid: string }>(`${simulator}/groups`, { body })).jid;
}

/** WhatsApp takes everything and answers nothing, until it is told to go on. */
async function stall(phone: Phone): Promise<() => Promise<void>> {
  const body = { kind: "stall", target: phone.number };
  const { id } = await call<{ id: string }>(`${simulator}/faults`, { body });
  return () => call(`${simulator}/faults/${id}`, { method: "DELETE" });
}

const start = (session: string, spelling = ":backfill") =>
  gateway.ask({ method: "POST", path: `/admin/sessions/${session}${spelling}`, headers: runner() });
const look = (session: string) =>
  gateway.ask({ path: `/admin/sessions/${session}/backfill`, headers: runner() });

async function started(session: string, spelling?: string): Promise<Job> {
  const answer = await start(session, spelling);
  assert.equal(answer.status, 202, answer.text);
  const job = read<Job>(answer);
  await checkSchema("BackfillJob", job);
  assert.equal(job.status, "running");
  assert.deepEqual([job.sessionId, job.organizationId], [session, ORGANIZATION]);
  assert.ok(!("finishedAt" in job) && !("error" in job), answer.text);
  return job;
}

/** How it ended; on the way its counts never go down. */
async function ended(job: Job): Promise<Job> {
  const seen: Job[] = [job];
  const over = await eventually(
    `backfill ${job.id} to end`,
    async () => {
      const answer = await look(job.sessionId);
      // An object that is just being built anew.
      if (answer.status >= 500) return undefined;
      assert.equal(answer.status, 200, answer.text);
      const now = read<Job>(answer);
      await checkSchema("BackfillJob", now);
      const last = seen.at(-1) ?? job;
      for (const count of ["contacts", "groups", "groupMembers"] as const) {
        assert.ok(now[count] >= last[count], `${count} went from ${last[count]} to ${now[count]}`);
      }
      seen.push(now);
      return now;
    },
    (now): now is Job => now !== undefined && now.status !== "running",
  );
  assert.deepEqual([over.id, over.startedAt], [job.id, job.startedAt]);
  assert.ok((over.finishedAt ?? 0) >= over.startedAt);
  return over;
}

const rows = (session: string, query: string) => rowsOf(gateway.state, session, query);

test("the address book and every group are pulled, and pulled again when they have changed", async (context) => {
  const alice = await Phone.create("Alice");
  const session = await paired(context, alice);
  assert.equal((await look(session)).status, 404, "there never was one");

  // Some of them are on WhatsApp.
  const numbers = Array.from({ length: CONTACTS }, (_, place) => people[place * 2] ?? `49151000${place}`);
  const [known = "", absent = ""] = [numbers[0], `4915100000${randomInt(10, 99)}`];
  numbers[CONTACTS - 1] = absent;
  await save(alice, Object.fromEntries(numbers.map((number, place) => [number, `Name ${place}`])));
  const [small, , large] = [
    await found(alice, GROUP_SIZES[0], { description: "about two", announce: true, locked: true }),
    await found(alice, GROUP_SIZES[1], { admins: [people[0]] }),
    await found(alice, GROUP_SIZES[2]),
  ];

  const first = await ended(await started(session));
  const members = GROUP_SIZES.reduce((sum, size) => sum + size, 0);
  assert.deepEqual(
    [first.status, first.contacts, first.groups, first.groupMembers],
    ["succeeded", CONTACTS, GROUP_SIZES.length, members],
    JSON.stringify(first),
  );
  const [kept] = await rows(session, `SELECT * FROM contact WHERE phone = '${known}'`);
  assert.equal(kept?.["name"], "Name 0");
  assert.equal(kept?.["source"], "dm");
  assert.match(String(kept?.["jid"]), /@lid$/);
  const [stranger] = await rows(session, `SELECT * FROM contact WHERE phone = '${absent}'`);
  assert.equal(stranger?.["jid"], `${absent}@s.whatsapp.net`);
  const [told] = await rows(session, `SELECT * FROM chat_group WHERE jid = '${small}'`);
  assert.deepEqual(
    ["subject", "description", "announce", "locked", "participant_count", "owner"].map(
      (name) => told?.[name],
    ),
    ["2 people", "about two", 1, 1, 2, alice.lid],
  );
  const roles = "SELECT role, COUNT(*) AS count FROM group_member GROUP BY role ORDER BY role";
  assert.deepEqual(
    (await rows(session, roles)).map(({ role, count }) => [role, count]),
    [
      ["admin", 1],
      ["member", members - 4],
      ["superadmin", 3],
    ],
  );
  const others = await rows(session, "SELECT jid FROM contact WHERE source = 'group'");
  const inBoth = numbers.filter((number) => people.includes(number)).length;
  assert.equal(others.length, EVERYBODY - inBoth, "who is known from groups only");
  assert.ok(others.every(({ jid }) => jid !== alice.lid));

  // One is renamed, one thrown out of a group, and one group is left.
  await save(alice, Object.fromEntries(numbers.map((number, place) => [number, `Name ${place || "new"}`])));
  const leave = (group: string, who: string) =>
    call(`${simulator}/groups/${group}/participants/${who}`, { method: "DELETE" });
  await leave(large, people.at(-1) ?? "");
  await leave(small, alice.number);
  const second = await ended(await started(session, "/backfill"));
  assert.notEqual(second.id, first.id);
  assert.deepEqual(
    [second.status, second.contacts, second.groups, second.groupMembers],
    ["succeeded", CONTACTS, GROUP_SIZES.length - 1, members - GROUP_SIZES[0] - 1],
    JSON.stringify(second),
  );
  const [renamed] = await rows(session, `SELECT name FROM contact WHERE phone = '${known}'`);
  assert.equal(renamed?.["name"], "Name new");
  const gone = await rows(
    session,
    `SELECT jid FROM group_member WHERE phone = '${people.at(-1)}' OR group_jid = '${small}'`,
  );
  assert.deepEqual(gone, []);
  const [left] = await rows(session, `SELECT subject, joined FROM chat_group WHERE jid = '${small}'`);
  assert.deepEqual([left?.["subject"], left?.["joined"]], ["2 people", 0]);

  const log = await gateway.ask({ path: "/audit-log", headers: owner() });
  const entries = read<{ data: Record<string, unknown>[] }>(log).data;
  const mine = entries.filter(({ resource }) => resource === `sessions/${session}`);
  const starts = mine.filter(({ operation }) => operation === "adminStartSessionBackfill");
  assert.deepEqual(
    starts.map(({ actor, status }) => [actor, status]),
    Array(2).fill([{ type: "user", id: "the runner", superAdmin: true }, 202]),
  );
  assert.ok(!entries.some(({ operation }) => operation === "adminSessionBackfillStatus"));
});

test("somebody who writes is known by the name they gave themselves", async (context) => {
  const [alice, bob] = [await Phone.create("Alice"), await Phone.create("Bob B.")];
  const session = await paired(context, alice);
  await bob.send(alice.number, "hello");
  const find = `SELECT push_name, source FROM contact WHERE jid = '${bob.lid}' OR phone = '${bob.number}'`;
  const [known] = await eventually(
    "Bob among the contacts",
    () => rows(session, find),
    (found) => found.length > 0,
  );
  assert.deepEqual([known?.["push_name"], known?.["source"]], ["Bob B.", "dm"]);
  // The chat is counted among what was pulled.
  const job = await ended(await started(session));
  assert.deepEqual([job.status, job.contacts, job.groups, job.groupMembers], ["succeeded", 1, 0, 0]);
  assert.equal((await rows(session, find)).length, 1);
});

test("there is one at a time", async (context) => {
  const alice = await Phone.create("Alice");
  await save(alice, { [people[0] ?? ""]: "Ann" });
  const session = await paired(context, alice);
  await found(alice, GROUP_SIZES[0]);
  const goOn = await stall(alice);
  const job = await started(session);
  for (const spelling of [":backfill", "/backfill"]) {
    const refused = await start(session, spelling);
    assert.equal(refused.status, 409, refused.text);
    const { error } = read<{ error: { code: string; details: unknown } }>(refused);
    assert.deepEqual([error.code, error.details], ["conflict", { jobId: job.id }]);
  }
  await goOn();
  const over = await ended(job);
  assert.deepEqual([over.status, over.contacts, over.groups, over.groupMembers], ["succeeded", 1, 1, 2]);
});

test("a backfill goes on over the next connection when it loses its own", async (context) => {
  const alice = await Phone.create("Alice");
  await save(alice, { [people[0] ?? ""]: "Ann" });
  const session = await paired(context, alice);
  await found(alice, GROUP_SIZES[0]);
  const goOn = await stall(alice);
  const job = await started(session);
  await (await Fault.arm(alice.number, { kind: "close", code: 1011 })).struck();
  await goOn();
  const over = await ended(job);
  assert.deepEqual([over.status, over.contacts, over.groups, over.groupMembers], ["succeeded", 1, 1, 2]);
  const [written] = await rows(session, "SELECT attempts FROM backfill");
  assert.equal(written?.["attempts"], 2);
});

test("a backfill goes on when the object was restarted under it", async (context) => {
  const alice = await Phone.create("Alice");
  await save(alice, { [people[0] ?? ""]: "Ann", [people[1] ?? ""]: "Ben" });
  const session = await paired(context, alice);
  await found(alice, GROUP_SIZES[1]);
  // Asked of its database: a call might be one of those that hang with the instance that died.
  const epoch = async () => {
    const [record] = await rows(session, "SELECT document ->> '$.lifecycle.epoch' AS epoch FROM record");
    return Number(record?.["epoch"]);
  };
  const epochBefore = await epoch();
  const goOn = await stall(alice);
  const job = await started(session);
  const panic = gateway.ask({
    method: "POST",
    outside: true,
    path: `/simulator/sessions/${session}/panic`,
    headers: owner(),
  });
  // Answered when the Worker's own patience ends, with an error.
  const panicked = panic.then(
    ({ status }) => status,
    () => 500,
  );
  await eventually("another connection", epoch, (now) => now > epochBefore);
  await goOn();
  const over = await ended(job);
  assert.deepEqual([over.status, over.contacts, over.groups, over.groupMembers], ["succeeded", 2, 1, 40]);
  assert.ok((over.finishedAt ?? Infinity) - over.startedAt < 60_000, "it took more than a minute");
  const [written] = await rows(session, "SELECT attempts FROM backfill");
  assert.ok(Number(written?.["attempts"]) >= 2, "it was not begun again");
  assert.deepEqual(await rows(session, "SELECT * FROM timer WHERE name = 'backfill'"), []);
  assert.ok((await panicked) >= 500);
});

test("a session that is not connected has a backfill that failed, and says why", async (context) => {
  const alice = await Phone.create("Alice");
  const session = await paired(context, alice);
  await asOwner("POST", `/sessions/${session}:stop`);
  const failed = await ended(await started(session));
  assert.equal(failed.status, "failed");
  assert.match(failed.error ?? "", /not connected.*stopped/);
  // It can be repeated once there is something to ask.
  await asOwner("POST", `/sessions/${session}:start`);
  await becomes(`/sessions/${session}`, "working");
  assert.equal((await ended(await started(session))).status, "succeeded");

  const fresh = await asOwner<{ id: string }>("POST", "/sessions", {});
  assert.ok(fresh);
  assert.equal((await look(fresh.id)).status, 404);
  assert.equal((await ended(await started(fresh.id))).status, "failed");
  await asOwner("DELETE", `/sessions/${fresh.id}`);
  assert.equal((await look(fresh.id)).status, 404);
});

test("a session WhatsApp can't be reached for waits, and then fails", async (context) => {
  const alice = await Phone.create("Alice");
  const session = await paired(context, alice);
  const goOn = await stall(alice);
  context.after(goOn);
  await asOwner("POST", `/sessions/${session}:restart`);
  const job = await started(session);
  // It waits as long as we do.
  const over = await ended(job).catch(() => ended(job));
  assert.equal(over.status, "failed");
  assert.match(over.error ?? "", /did not connect/);
});

test("nobody else may, and what is not there can't be", async () => {
  const key = await gateway.ask({
    method: "POST",
    path: "/api-keys",
    headers: owner(),
    body: { name: "all", permissions: ["read", "send", "manage", "events"] },
  });
  const made = await asOwner<{ id: string }>("POST", "/sessions", {});
  assert.ok(made);
  const inside = { user: "somebody", organization: ORGANIZATION };
  const callers: readonly HeaderList[] = [
    owner(),
    as({ ...inside, orgRole: "admin" }),
    as({ ...inside, orgRole: "member" }),
    as({ ...inside, orgRole: "super_admin" }),
    [["x-api-key", read<{ key: string }>(key).key]],
  ];
  const ways = [
    ["POST", ":backfill"],
    ["POST", "/backfill"],
    ["GET", "/backfill"],
  ] as const;
  for (const [method, spelling] of ways) {
    const of = (id: string) => `/admin/sessions/${id}${spelling}`;
    for (const headers of callers) {
      for (const id of [made.id, NEVER]) {
        const answer = await gateway.ask({ method, path: of(id), headers });
        assert.equal(answer.status, 403, `${method} ${spelling}: ${answer.text}`);
      }
    }
    assert.equal((await gateway.ask({ method, path: of(made.id) })).status, 401);
    for (const id of [NEVER, "no-id"]) {
      const answer = await gateway.ask({ method, path: of(id), headers: runner() });
      assert.equal(answer.status, 404, `${method} ${spelling}: ${answer.text}`);
    }
  }
  await asOwner("DELETE", `/sessions/${made.id}`);
});
