// People come with a login of their frontend: what it opens, and what becomes of it when the frontend changes its
// keys or fails.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { around } from "./around.ts";
import { Frontend, json, type Login, type Manner, SigningKey } from "./frontend.ts";
import { type Answer, LoginGateway } from "./login-gateway.ts";
import { eventually } from "./waiting.ts";

const LIFETIME_MS = 2_000;
const COOLDOWN_MS = 1_000;
const MAX_STALE_MS = 8_000;
/** Between a request's start here and the gateway's look at the clock. */
const SLACK_MS = 500;
/** The gateway gives a frontend 5 s; the rest is for a loaded machine. */
const NEVER_A_HANG_MS = 15_000;
const UNKNOWN_SESSION = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

const [ed, ec, rsa] = [new SigningKey("EdDSA"), new SigningKey("ES256"), new SigningKey("RS256")];
const OWNER: Login = { user: "olga", organization: "organization-a", orgRole: "owner" };
const OTHER_OWNER: Login = { user: "otto", organization: "organization-b", orgRole: "owner" };

const newFrontend = () => Frontend.start(new SigningKey("EdDSA"));
const home = await Frontend.start(ed, ec, rsa);
const rotating = await newFrontend();
const withdrawing = await newFrontend();
const probed = await newFrontend();
const failing = await newFrontend();
const slow = await newFrontend();
const crowded = await newFrontend();
const crowdedRotating = await newFrontend();
const eclectic = await newFrontend();
const unreachable = await newFrontend();
/** Trusted by nobody; some frontends point to it. */
const evil = await newFrontend();

const html = "<!doctype html><title>Sign in</title>";
/** The ways in which a frontend fails to show its keys. */
const MISBEHAVIOURS: Readonly<Record<string, (key: SigningKey) => Manner>> = {
  "says nothing": () => () => undefined,
  "begins and says no more": () => (response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.write('{"keys":[');
  },
  "never comes to an end": () => (response) => {
    response.writeHead(200, { "content-type": "application/json" });
    const dripping = setInterval(() => response.write(" "), 100);
    response.on("close", () => clearInterval(dripping));
  },
  "hangs up": () => (response) => response.destroy(),
  "hangs up half way": () => (response) => {
    response.writeHead(200, { "content-type": "application/json", "content-length": 1_000 });
    response.write('{"keys":[', () => response.destroy());
  },
  "answers 500": ({ jwk }) => json(500, { keys: [jwk] }),
  "answers 404": ({ jwk }) => json(404, { keys: [jwk] }),
  "answers 203": ({ jwk }) => json(203, { keys: [jwk] }),
  "sends elsewhere with 302": () => redirection(302),
  "sends elsewhere with 307": () => redirection(307),
  "answers with nothing": () => json(200, ""),
  "answers with a page": () => json(200, html),
  "answers with null": () => json(200, null),
  "answers with a list": ({ jwk }) => json(200, [jwk]),
  "answers with keys that are none": () => json(200, { keys: [null, 1, "key"] }),
  "answers with JSON that is 20,000 deep": () => json(200, "[".repeat(20_000)),
  "answers with half a megabyte": ({ jwk }) => json(200, { keys: [jwk], fill: "f".repeat(512 * 1024) }),
};

/** Sets that are sound and have no key for logins in them. */
const KEYLESS: Readonly<Record<string, (key: SigningKey) => Manner>> = {
  "no keys": () => json(200, { keys: [] }),
  "keys for encryption only": ({ jwk }) => json(200, { keys: [{ ...jwk, use: "enc" }] }),
  "keys that are no longer secret": (key) =>
    json(200, { keys: [{ ...key.privateKey.export({ format: "jwk" }), kid: key.kid }] }),
};

function redirection(status: number): Manner {
  return (response) => {
    response.writeHead(status, { location: evil.jwksUrl });
    response.end();
  };
}

const behavingAs = (manners: Readonly<Record<string, (key: SigningKey) => Manner>>) =>
  Promise.all(
    Object.entries(manners).map(async ([name, how]) => {
      const key = new SigningKey("EdDSA");
      const frontend = await Frontend.start(key);
      return { name, frontend, manner: how(key) };
    }),
  );
const misbehaving = await behavingAs(MISBEHAVIOURS);
const keyless = await behavingAs(KEYLESS);
const trusted = [
  ...[home, rotating, withdrawing, probed, failing, slow, crowded, crowdedRotating, eclectic, unreachable],
  ...[...misbehaving, ...keyless].map(({ frontend }) => frontend),
];
let gateway: LoginGateway;
let sessionOfA: string;
let sessionOfB: string;

around(
  async () => {
    gateway = await LoginGateway.start({
      issuers: trusted,
      lifetimeSeconds: LIFETIME_MS / 1000,
      cooldownSeconds: COOLDOWN_MS / 1000,
      maxStaleSeconds: MAX_STALE_MS / 1000,
    });
    sessionOfA = await newSession(OWNER);
    sessionOfB = await newSession(OTHER_OWNER);
  },
  async () => {
    await gateway?.end();
    await Promise.all([...trusted, evil].map((frontend) => frontend.close()));
  },
);

interface SessionRow {
  readonly id: string;
  readonly createdByUserId: string | null;
}

async function newSession(login: Login): Promise<string> {
  const created = await gateway.as(home.login(login), { method: "POST", path: "/sessions", body: {} });
  assert.equal(created.status, 201, created.text);
  return (JSON.parse(created.text) as SessionRow).id;
}

function errorOf({ text }: Answer): { readonly code: string; readonly details?: unknown } {
  return JSON.parse(text).error;
}

/** All answers to a login up to the first with this status. */
async function answersUntil(status: number, token: () => string): Promise<readonly [Answer[], Answer]> {
  const earlier: Answer[] = [];
  const last = await eventually(
    `an answer ${status}`,
    async () => {
      const answer = await gateway.as(token());
      if (answer.status !== status) earlier.push(answer);
      return answer;
    },
    (answer) => answer.status === status,
  );
  return [earlier, last];
}

function assertUnavailable(answer: Answer): void {
  assert.equal(answer.status, 503, answer.text);
  assert.equal(errorOf(answer).code, "gateway_unavailable");
  assert.ok(Number(answer.headers["retry-after"]) > 0, "it says when to try again");
  assert.ok(answer.answered - answer.asked < NEVER_A_HANG_MS, "it came in time");
}

// --- Good logins -------------------------------------------------------------------------------------------------

for (const key of [ed, ec, rsa]) {
  test(`a login signed with ${key.algorithm} makes, lists, shows and deletes a session, as its user`, async () => {
    const organization = randomUUID();
    const user = `user-of-${key.algorithm}`;
    const token = home.login({ user, organization, orgRole: "owner" }, key);
    const created = await gateway.as(token, { method: "POST", path: "/sessions", body: { label: "mine" } });
    assert.equal(created.status, 201, created.text);
    const session = JSON.parse(created.text) as SessionRow;
    assert.equal(session.createdByUserId, user);
    assert.deepEqual(JSON.parse((await gateway.as(token)).text), { data: [session], nextCursor: null });
    const path = `/sessions/${session.id}`;
    assert.deepEqual(JSON.parse((await gateway.as(token, { path })).text), session);
    assert.equal((await gateway.as(token, { method: "DELETE", path })).status, 204);
    assert.equal((await gateway.as(token, { path })).status, 404);
  });
}

test("a session that an API key makes has no user", async () => {
  const authorization = ["authorization", `Bearer ${gateway.apiKey}`] as const;
  const created = await gateway.ask({ method: "POST", headers: [authorization], body: {} });
  assert.equal((JSON.parse(created.text) as SessionRow).createdByUserId, null);
});

const now = () => Math.floor(Date.now() / 1000);
const FINE: Readonly<Record<string, () => string>> = {
  "with clocks half a minute apart: just expired": () => ed.token({ ...home.claims(OWNER), exp: now() - 30 }),
  "with clocks half a minute apart: just before its time": () =>
    ed.token({ ...home.claims(OWNER), nbf: now() + 30, iat: now() + 30 }),
  "with fractions of a second": () => ed.token({ ...home.claims(OWNER), exp: Date.now() / 1000 + 60.5 }),
  "without nbf and iat, which are optional": () => {
    const { nbf: _, iat: __, ...claims } = home.claims(OWNER);
    return ed.token(claims);
  },
  "for several audiences": () => ed.token({ ...home.claims(OWNER), aud: ["other", home.audience] }),
  "without a typ": () => ed.token(home.claims(OWNER), { alg: "EdDSA", kid: ed.kid }),
  "of typ at+jwt": () => ed.token(home.claims(OWNER), { ...ed.header, typ: "at+jwt" }),
  "with claims that mean nothing here": () => ed.token({ ...home.claims(OWNER), email: "o@example.com" }),
};
for (const [how, token] of Object.entries(FINE)) {
  test(`a login is good ${how}`, async () => {
    assert.equal((await gateway.as(token())).status, 200);
  });
}

test("the scheme of a login is Bearer in any case", async () => {
  for (const scheme of ["Bearer", "bearer", "BEARER", "bEaReR"]) {
    const headers = [["authorization", `${scheme} ${home.login(OWNER)}`]] as const;
    assert.equal((await gateway.ask({ headers })).status, 200, scheme);
  }
});

test("keys of kinds unknown to the gateway don't keep it from those it knows", async () => {
  const mine = new SigningKey("EdDSA");
  const { kid: _, ...nameless } = new SigningKey("EdDSA").jwk;
  const symmetric = { kty: "oct", k: "c2VjcmV0", kid: "symmetric", alg: "HS256" };
  const future = { kty: "AKP", alg: "ML-DSA-44", pub: "AAAA", kid: "future" };
  eclectic.behave(json(200, { keys: [symmetric, future, nameless, {}, mine.jwk] }));
  assert.equal((await gateway.as(eclectic.login(OWNER, mine))).status, 200);
});

// --- Who may what ------------------------------------------------------------------------------------------------

/** The session is stopped: a send that may be tried is a conflict. */
const OPERATIONS = {
  list: () => ({ path: "/sessions" }),
  create: () => ({ method: "POST", path: "/sessions", body: {} }),
  show: () => ({ path: `/sessions/${sessionOfA}` }),
  send: () => ({
    method: "POST",
    path: `/sessions/${sessionOfA}/messages`,
    body: { type: "text", to: "15550000000", text: "hello" },
  }),
  events: () => ({ path: `/sessions/${sessionOfA}/events` }),
  "list of all": () => ({ path: "/admin/sessions" }),
} as const;
type Operation = keyof typeof OPERATIONS;

const ALL = { list: 200, create: 201, show: 200, send: 409, events: 200, "list of all": 403 };
const NOTHING = { list: 403, create: 403, show: 403, send: 403, events: 403, "list of all": 403 };
const CALLERS: Readonly<Record<string, readonly [Login, Readonly<Record<Operation, number>>]>> = {
  "an owner": [OWNER, ALL],
  "an admin": [{ ...OWNER, orgRole: "admin" }, ALL],
  "a member": [
    { ...OWNER, orgRole: "member" },
    { ...NOTHING, send: 409 },
  ],
  "a person with a role nobody knows": [{ ...OWNER, orgRole: "guest" }, NOTHING],
  "a person with a role in other letters": [{ ...OWNER, orgRole: "Owner" }, NOTHING],
  "a person without a role": [{ user: "nora", organization: "organization-a" }, NOTHING],
  "a person without an organization": [{ user: "nora" }, NOTHING],
  "an owner of no organization": [{ user: "nora", orgRole: "owner" }, NOTHING],
  "a member who is the platform's admin": [
    { ...OWNER, orgRole: "member", role: "admin" },
    { ...NOTHING, send: 409 },
  ],
  "a super_admin without an organization": [
    { user: "susi", role: "super_admin" },
    { ...NOTHING, show: 200, "list of all": 200 },
  ],
  "a super_admin in the organization": [
    { user: "susi", role: "super_admin", organization: "organization-a" },
    { ...ALL, "list of all": 200 },
  ],
  "a super_admin in another organization": [
    { user: "susi", role: "super_admin", organization: "organization-b" },
    { ...ALL, send: 404, events: 404, "list of all": 200 },
  ],
  "an owner of another organization": [OTHER_OWNER, { ...ALL, show: 404, send: 404, events: 404 }],
};

for (const [caller, [login, expected]] of Object.entries(CALLERS)) {
  test(`${caller} may what the contract's table says`, async () => {
    const found: Partial<Record<Operation, number>> = {};
    for (const [name, operation] of Object.entries(OPERATIONS) as [Operation, () => object][]) {
      const answer = await gateway.as(home.login(login), operation());
      found[name] = answer.status;
      if (answer.status === 403) assert.equal(errorOf(answer).code, "forbidden");
    }
    assert.deepEqual(found, expected);
  });
}

test("another organization's session answers like one that never was, to its owners and to a super_admin", async () => {
  const superAdmin: Login = { user: "susi", role: "super_admin", organization: "organization-b" };
  const text = { type: "text", to: "15550000000", text: "hello" };
  const changes = [
    { method: "DELETE", suffix: "" },
    { method: "POST", suffix: ":start" },
    { method: "POST", suffix: ":stop" },
    { method: "POST", suffix: ":logout" },
    { method: "POST", suffix: "/messages", body: text },
    { method: "GET", suffix: "/qr" },
    { method: "GET", suffix: "/me" },
    { method: "GET", suffix: "/events" },
  ];
  for (const [login, operations] of [
    [OTHER_OWNER, [{ method: "GET", suffix: "" }, ...changes]],
    [superAdmin, changes],
  ] as const) {
    for (const { suffix, ...question } of operations) {
      const what = `${login.user}: ${question.method} ${suffix}`;
      const ask = (id: string) =>
        gateway.as(home.login(login), { ...question, path: `/sessions/${id}${suffix}` });
      const [others, nobodys] = await Promise.all([ask(sessionOfA), ask(UNKNOWN_SESSION)]);
      assert.equal(others.status, 404, what);
      assert.equal(others.text, nobodys.text, what);
    }
  }
  assert.equal((await gateway.as(home.login(OWNER), { path: `/sessions/${sessionOfA}` })).status, 200);
});

test("a super_admin finds the sessions of all organizations, page by page, and reads each", async () => {
  const token = home.login({ user: "susi", role: "super_admin" });
  const found: string[] = [];
  let cursor = "";
  do {
    const page = await gateway.as(token, { path: `/admin/sessions?limit=1${cursor}` });
    assert.equal(page.status, 200, page.text);
    const { data, nextCursor } = JSON.parse(page.text) as { data: SessionRow[]; nextCursor: string | null };
    assert.ok(data.length <= 1);
    found.push(...data.map(({ id }) => id));
    cursor = nextCursor === null ? "" : `&cursor=${encodeURIComponent(nextCursor)}`;
  } while (cursor !== "");
  assert.equal(new Set(found).size, found.length);
  for (const id of [sessionOfA, sessionOfB]) {
    assert.ok(found.includes(id));
    assert.equal((await gateway.as(token, { path: `/sessions/${id}` })).status, 200);
  }
  assert.equal((await gateway.as(token, { path: `/sessions/${UNKNOWN_SESSION}` })).status, 404);
});

test("an API key is never a super_admin", async () => {
  const headers = [["authorization", `Bearer ${gateway.apiKey}`]] as const;
  assert.equal((await gateway.ask({ path: "/admin/sessions", headers })).status, 403);
  assert.equal((await gateway.ask({ path: `/sessions/${sessionOfA}`, headers })).status, 404);
});

// --- The frontend's keys come and go -----------------------------------------------------------------------------

test("a frontend's keys are asked for once in their lifetime, however many log in", async () => {
  const began = Date.now();
  const askedBefore = home.askedAt.length;
  while (Date.now() < began + LIFETIME_MS) {
    assert.equal((await gateway.as(home.login(OWNER))).status, 200);
  }
  const atMost = Math.floor((Date.now() - began) / LIFETIME_MS) + 1;
  assert.ok(home.askedAt.length - askedBefore <= atMost, `${home.askedAt.length - askedBefore} times`);
});

test("a new key opens the door within the cooldown, and the old one goes on doing so", async () => {
  const [old, young] = [new SigningKey("EdDSA"), new SigningKey("ES256")];
  rotating.publish(old);
  await answersUntil(200, () => rotating.login(OWNER, old));
  rotating.publish(young, old);
  const published = Date.now();
  const [earlier] = await answersUntil(200, () => rotating.login(OWNER, young));
  for (const { status, asked } of earlier) {
    assert.equal(status, 401);
    assert.ok(asked < published + COOLDOWN_MS + SLACK_MS, `refused after ${asked - published} ms`);
  }
  assert.equal((await gateway.as(rotating.login(OWNER, old))).status, 200);
});

test("a key that the frontend withdraws opens no door after the lifetime, and its successor does", async () => {
  const [old, young] = [new SigningKey("EdDSA"), new SigningKey("EdDSA")];
  withdrawing.publish(old, young);
  await answersUntil(200, () => withdrawing.login(OWNER, old));
  withdrawing.publish(young);
  const withdrawn = Date.now();
  const [earlier] = await answersUntil(401, () => withdrawing.login(OWNER, old));
  for (const { status, asked } of earlier) {
    assert.equal(status, 200);
    assert.ok(asked < withdrawn + LIFETIME_MS + SLACK_MS, `accepted after ${asked - withdrawn} ms`);
  }
  assert.equal((await gateway.as(withdrawing.login(OWNER, young))).status, 200);
});

for (const { name, frontend, manner } of keyless) {
  test(`a set with ${name} is an answer as any other: it withdraws the keys before it`, async () => {
    frontend.behave(manner);
    const cold = await gateway.as(frontend.login(OWNER));
    assert.equal(cold.status, 401, cold.text);
    frontend.behave();
    await answersUntil(200, () => frontend.login(OWNER));
    frontend.behave(manner);
    const withdrawn = Date.now();
    const [earlier] = await answersUntil(401, () => frontend.login(OWNER));
    for (const { status, asked } of earlier) {
      assert.equal(status, 200);
      assert.ok(asked < withdrawn + LIFETIME_MS + SLACK_MS, `accepted after ${asked - withdrawn} ms`);
    }
  });
}

test("a name that comes back with another key is the new key's, after the lifetime", async () => {
  const [old, young] = [new SigningKey("EdDSA", "same"), new SigningKey("RS256", "same")];
  withdrawing.publish(old);
  await answersUntil(200, () => withdrawing.login(OWNER, old));
  withdrawing.publish(young);
  await answersUntil(200, () => withdrawing.login(OWNER, young));
  assert.equal((await gateway.as(withdrawing.login(OWNER, old))).status, 401);
});

test("names of keys that nobody has make the gateway ask no more often than the cooldown allows", async () => {
  assert.equal((await gateway.as(probed.login(OWNER))).status, 200);
  const askedBefore = probed.askedAt.length;
  const began = Date.now();
  let guesses = 0;
  while (Date.now() < began + 3 * COOLDOWN_MS) {
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => gateway.as(probed.login(OWNER, new SigningKey("EdDSA")))),
    );
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([401]));
    guesses += answers.length;
    assert.equal((await gateway.as(probed.login(OWNER))).status, 200, "who has the key still comes in");
  }
  const asked = probed.askedAt.length - askedBefore;
  const atMost = Math.floor((Date.now() - began) / COOLDOWN_MS) + 1;
  assert.ok(asked >= 1 && asked <= atMost, `${asked} times for ${guesses} guesses, at most ${atMost}`);
});

// --- The frontend fails ------------------------------------------------------------------------------------------

test("known keys outlast an outage of the frontend up to the maximum, then the answer is 503 until it is back", async () => {
  await answersUntil(200, () => failing.login(OWNER));
  failing.behave((response) => response.destroy());
  const lastShown = failing.askedAt.at(-1) ?? 0;
  const askedBefore = failing.askedAt.length;
  const [earlier, refused] = await answersUntil(503, () => failing.login(OWNER));
  const ages = earlier.map(({ asked }) => asked - lastShown);
  assert.deepEqual(new Set(earlier.map(({ status }) => status)), new Set([200]));
  assert.ok(Math.max(...ages) > LIFETIME_MS, "keys were good for longer than their lifetime");
  assert.ok(Math.max(...ages) < MAX_STALE_MS + SLACK_MS, `a key was good for ${Math.max(...ages)} ms`);
  assert.ok(refused.answered - lastShown >= MAX_STALE_MS, "keys were good up to the maximum");
  assertUnavailable(refused);
  const atMost = Math.floor((refused.answered - lastShown) / COOLDOWN_MS) + 1;
  assert.ok(failing.askedAt.length - askedBefore <= atMost, "it was asked as often as the cooldown allows");
  failing.behave();
  await answersUntil(200, () => failing.login(OWNER));
});

test("nobody waits for a frontend that another's login has asked", async () => {
  await answersUntil(200, () => slow.login(OWNER));
  slow.behave(() => undefined);
  let stuck: Promise<Answer>;
  let answer: Answer | undefined;
  do {
    const asked = slow.askedAgain();
    stuck = gateway.as(slow.login(OWNER));
    answer = await Promise.race([stuck, asked.then(() => undefined)]);
    assert.equal(answer?.status ?? 200, 200);
  } while (answer !== undefined);
  let isStuck = true;
  const ended = stuck.finally(() => {
    isStuck = false;
  });
  const others = await Promise.all(Array.from({ length: 10 }, () => gateway.as(slow.login(OWNER))));
  assert.deepEqual(new Set(others.map(({ status }) => status)), new Set([200]));
  assert.ok(isStuck, "the others were answered before the one that asked");
  assert.equal((await ended).status, 200, "who asked in vain gets in with the key that is known");
  slow.behave();
});

/** Logs ten people in with one key; when all have come, the frontend shows its keys. */
async function together(frontend: Frontend, key?: SigningKey): Promise<number[]> {
  const shown = Promise.withResolvers<void>();
  frontend.behave((response) => void shown.promise.then(() => frontend.show(response)));
  const asked = frontend.askedAgain();
  const login = () => gateway.as(frontend.login(OWNER, key));
  const first = login();
  await asked;
  const others = Array.from({ length: 9 }, login);
  // What the gateway answers now came after all of them.
  assert.equal((await gateway.as(home.login(OWNER))).status, 200);
  shown.resolve();
  const answers = await Promise.all([first, ...others]);
  frontend.behave();
  return answers.map(({ status }) => status);
}
const ALL_TEN = Array.from({ length: 10 }, () => 200);

test("people who come together, and first of all, all get in", async () => {
  assert.deepEqual(await together(crowded), ALL_TEN);
});

test("people who come together with a key that has just been made all get in", async () => {
  const young = new SigningKey("EdDSA");
  await answersUntil(200, () => crowdedRotating.login(OWNER));
  const cooled = (crowdedRotating.askedAt.at(-1) ?? 0) + COOLDOWN_MS + SLACK_MS;
  await eventually(
    "the cooldown's end",
    async () => Date.now(),
    (at) => at > cooled,
  );
  crowdedRotating.publish(young);
  assert.deepEqual(await together(crowdedRotating, young), ALL_TEN);
});

test("a frontend that fails to show its keys", { concurrency: misbehaving.length }, async (t) => {
  await Promise.all(
    misbehaving.map(({ name, frontend, manner }) =>
      t.test(`${name}: 503 while no key is known, and known keys go on working`, async () => {
        const token = () => frontend.login(OWNER);
        frontend.behave(manner);
        assertUnavailable(await gateway.as(token()));
        frontend.behave();
        const [refused] = await answersUntil(200, token);
        for (const answer of refused) assertUnavailable(answer);
        frontend.behave(manner);
        const asked = frontend.askedAt.length;
        let answer: Answer;
        do {
          answer = await gateway.as(token());
          assert.equal(answer.status, 200, answer.text);
          assert.ok(answer.answered - answer.asked < NEVER_A_HANG_MS, "it came in time");
        } while (frontend.askedAt.length === asked);
      }),
    ),
  );
  assert.deepEqual(evil.paths, [], "nobody followed a redirection");
});

test("a frontend that nobody can reach: 503, and never a hang", async () => {
  await unreachable.close();
  assertUnavailable(await gateway.as(unreachable.login(OWNER)));
});
