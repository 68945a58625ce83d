// Failed logins are limited, and people behind the same address don't pay for it: their JWTs are new every few minutes,
// so nobody could know them beforehand.

import assert from "node:assert/strict";
import { test } from "node:test";
import { around } from "./around.ts";
import { Frontend, type Login, SigningKey } from "./frontend.ts";
import { type Answer, anyAddress, type HeaderList, LoginGateway } from "./login-gateway.ts";

/** More than the limits in wrangler.toml, also when a window of the counter ends in between. */
const TOO_MANY = 130;
const OWNER: Login = { user: "olga", organization: "organization-a", orgRole: "owner" };

const key = new SigningKey("EdDSA");
const frontend = await Frontend.start(key);
let gateway: LoginGateway;

around(
  async () => {
    gateway = await LoginGateway.start({
      issuers: [frontend],
      lifetimeSeconds: 300,
      cooldownSeconds: 30,
      maxStaleSeconds: 3_600,
    });
  },
  async () => {
    await gateway?.end();
    await frontend.close();
  },
);

const now = () => Math.floor(Date.now() / 1000);
const bearer = (token: string): HeaderList => [["authorization", `Bearer ${token}`]];
const apiKey = (secret: string): HeaderList => [["x-api-key", secret]];

/** A login nobody has seen yet. */
function fresh(user: string): string {
  return frontend.login({ ...OWNER, user });
}

async function newKey(): Promise<string> {
  const body = { name: "a script", permissions: ["manage"] };
  const made = await gateway.ask({
    method: "POST",
    path: "/api-keys",
    headers: bearer(fresh("maker")),
    body,
  });
  assert.equal(made.status, 201, made.text);
  return (JSON.parse(made.text) as { key: string }).key;
}

function assertLimited(answer: Answer): void {
  assert.equal(answer.status, 429, answer.text);
  const { error } = JSON.parse(answer.text);
  assert.equal(error.code, "rate_limited");
  assert.equal(answer.headers["retry-after"], String(error.details.retryAfterSeconds));
}

/** Logins that a frontend's key did sign, and that open nothing. */
const GENUINE: Readonly<Record<string, () => string>> = {
  "has expired": () => key.token({ ...frontend.claims(OWNER), exp: now() - 600 }),
  "is not valid yet": () => key.token({ ...frontend.claims(OWNER), nbf: now() + 600 }),
  "is for another audience": () => key.token({ ...frontend.claims(OWNER), aud: "elsewhere" }),
};

for (const [what, token] of Object.entries(GENUINE)) {
  test(`a colleague whose login ${what}, and whose browser keeps asking, shuts out nobody`, async () => {
    const address = anyAddress();
    for (let tries = 0; tries < TOO_MANY; tries++) {
      const answer = await gateway.ask({ address, headers: bearer(token()) });
      assert.equal(answer.status, 401, `try ${tries}: ${answer.text}`);
    }
    // Neither somebody who has just logged in, nor a script with a key that was never used before.
    for (const headers of [bearer(fresh("a colleague")), apiKey(await newKey())]) {
      const answer = await gateway.ask({ address, headers });
      assert.equal(answer.status, 200, answer.text);
    }
  });
}

test("somebody who guesses logins is limited, and logins from the same address open as before", async () => {
  const address = anyAddress();
  const forger = new SigningKey("EdDSA", key.kid);
  const guesses: readonly (() => string)[] = [
    () => frontend.login(OWNER, forger),
    () => frontend.login(OWNER, new SigningKey("EdDSA")),
    () => key.token({ ...frontend.claims(OWNER), iss: "https://nobody.example" }),
    () => "e30.e30.e30",
  ];
  const ask = (headers: HeaderList) => gateway.ask({ address, headers });
  let tries = 0;
  let answer: Answer;
  do {
    const guess = guesses[tries % guesses.length] ?? fresh;
    answer = await ask(bearer(guess("")));
    tries++;
  } while (answer.status === 401 && tries < TOO_MANY);
  assertLimited(answer);
  // Whatever a login is, it is looked at: it opens, or it failed honestly, or it is one guess more.
  for (const user of ["one", "another", "a third"]) {
    const opened = await ask(bearer(fresh(user)));
    assert.equal(opened.status, 200, opened.text);
  }
  for (const token of Object.values(GENUINE)) assert.equal((await ask(bearer(token()))).status, 401);
  for (const guess of guesses) assertLimited(await ask(bearer(guess())));
  // A key that was never seen here could be a guess.
  assertLimited(await ask(apiKey(await newKey())));
});
