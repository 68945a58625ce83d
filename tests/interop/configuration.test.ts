// What an operator writes into wrangler.toml comes as text, as a number, or as a list: it is read as it is meant, and
// what can't be used is said by name. The gateway runs in workerd with variables of every kind.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { withBareGateway } from "./bare-gateway.ts";
import { Frontend, SigningKey } from "./frontend.ts";

type Variables = Readonly<Record<string, unknown>>;

const frontend = await Frontend.start(new SigningKey("EdDSA"));
const trusted = { issuer: frontend.issuer, audience: frontend.audience, jwksUrl: frontend.jwksUrl };
const page = "https://app.example.com";

after(() => frontend.close());

const login = () => ({
  authorization: `Bearer ${frontend.login({ organization: "organization", orgRole: "owner" })}`,
});

/** A gateway that can work with what it is told. */
const FINE: Readonly<Record<string, Variables>> = {
  "as text": {
    AUTH_ISSUERS: JSON.stringify([trusted]),
    JWKS_LIFETIME_SECONDS: "20",
    JWKS_COOLDOWN_SECONDS: "10",
    CORS_ORIGINS: `https://other.example, ${page}`,
    ADMIN_NUMBER: "4915112345678",
    WEBHOOK_SECRETS_KEY: Buffer.alloc(32, 1).toString("base64"),
    WEBHOOK_FAILING_DAYS: "0.5",
    DNS_OVER_HTTPS_URL: "https://dns.example.com/dns-query",
    ALLOW_PRIVATE_WEBHOOKS: "true",
    SESSION_LOG_EVENTS: "1000",
    SESSION_LOG_DAYS: "7",
    LEDGER_EVENTS: "1000",
    LEDGER_DAYS: "7",
    NEW_CHATS_PER_DAY: "20",
  },
  "as lists and numbers": {
    AUTH_ISSUERS: [trusted],
    JWKS_LIFETIME_SECONDS: 20,
    JWKS_COOLDOWN_SECONDS: 10,
    CORS_ORIGINS: page,
    ADMIN_NUMBER: 4915112345678,
    WEBHOOK_FAILING_DAYS: 2,
    ALLOW_PRIVATE_WEBHOOKS: false,
    SESSION_LOG_EVENTS: 1_000,
    SESSION_LOG_DAYS: 7,
    LEDGER_EVENTS: 1_000,
    LEDGER_DAYS: 7,
    NEW_CHATS_PER_DAY: 20,
  },
};
for (const [how, variables] of Object.entries(FINE)) {
  test(`variables ${how} are read as they are meant`, async () => {
    await withBareGateway({ variables }, async ({ ask }) => {
      const ready = await ask("/readyz");
      assert.equal(ready.status, 200, ready.text);
      const list = await ask("/api/v1/sessions", { ...login(), origin: page });
      assert.equal(list.status, 200, list.text);
      assert.equal(list.headers.get("access-control-allow-origin"), page);
    });
  });
}

/** What can't be used, the variable /readyz names, and the status of a login meanwhile. */
const BROKEN: readonly (readonly [Variables, RegExp, number])[] = [
  [{ AUTH_ISSUERS: "[{" }, /^AUTH_ISSUERS/, 503],
  [{ AUTH_ISSUERS: "yes" }, /^AUTH_ISSUERS/, 503],
  [{ AUTH_ISSUERS: trusted }, /^AUTH_ISSUERS/, 503],
  [{ AUTH_ISSUERS: 7 }, /^AUTH_ISSUERS/, 503],
  [{ AUTH_ISSUERS: [{ ...trusted, jwksUrl: "http://app.example.com/jwks" }] }, /^AUTH_ISSUERS\[0\]/, 503],
  [{ JWKS_LIFETIME_SECONDS: "five minutes" }, /^JWKS_LIFETIME_SECONDS/, 200],
  [{ JWKS_LIFETIME_SECONDS: -300 }, /^JWKS_LIFETIME_SECONDS/, 200],
  [{ JWKS_COOLDOWN_SECONDS: 0 }, /^JWKS_COOLDOWN_SECONDS/, 200],
  [{ JWKS_COOLDOWN_SECONDS: [30] }, /^JWKS_COOLDOWN_SECONDS/, 200],
  [{ JWKS_LIFETIME_SECONDS: 7_200 }, /JWKS_MAX_STALE_SECONDS \(3600\)/, 200],
  [{ FAILED_LOGINS_PAUSE_SECONDS: "1m" }, /^FAILED_LOGINS_PAUSE_SECONDS/, 200],
  [{ CORS_ORIGINS: `${page}/` }, /^CORS_ORIGINS/, 200],
  [{ CORS_ORIGINS: "*" }, /^CORS_ORIGINS/, 200],
  [{ ADMIN_NUMBER: "+49 151 12345678" }, /^ADMIN_NUMBER/, 200],
  [{ WHATSAPP_VERSION: "latest" }, /^WHATSAPP_VERSION/, 200],
  [{ WEBHOOK_SECRETS_KEY: "c2hvcnQ=" }, /^WEBHOOK_SECRETS_KEY /, 200],
  [{ WEBHOOK_SECRETS_KEY: 7 }, /^WEBHOOK_SECRETS_KEY /, 200],
  [{ WEBHOOK_SECRETS_KEY_PREVIOUS: "c2hvcnQ=" }, /^WEBHOOK_SECRETS_KEY/, 200],
  [{ WEBHOOK_FAILING_DAYS: "a week" }, /^WEBHOOK_FAILING_DAYS /, 200],
  [{ WEBHOOK_FAILING_DAYS: 0 }, /^WEBHOOK_FAILING_DAYS /, 200],
  [{ DNS_OVER_HTTPS_URL: "1.1.1.1" }, /^DNS_OVER_HTTPS_URL /, 200],
  [{ ALLOW_PRIVATE_WEBHOOKS: "yes" }, /^ALLOW_PRIVATE_WEBHOOKS /, 200],
  [{ SESSION_LOG_EVENTS: 0 }, /^SESSION_LOG_EVENTS /, 200],
  [{ SESSION_LOG_DAYS: "1.5" }, /^SESSION_LOG_DAYS /, 200],
  [{ LEDGER_EVENTS: "many" }, /^LEDGER_EVENTS /, 200],
  [{ LEDGER_DAYS: -7 }, /^LEDGER_DAYS /, 200],
  [{ NEW_CHATS_PER_DAY: "few" }, /^NEW_CHATS_PER_DAY /, 200],
];
for (const [broken, named, status] of BROKEN) {
  test(`${JSON.stringify(broken)} is said by name, and what is sound goes on`, async () => {
    await withBareGateway({ variables: { AUTH_ISSUERS: [trusted], ...broken } }, async ({ ask }) => {
      const ready = await ask("/readyz");
      assert.equal(ready.status, 503, ready.text);
      const { error } = JSON.parse(ready.text) as { error: { code: string; message: string } };
      assert.equal(error.code, "gateway_unavailable");
      assert.match(error.message, named);
      assert.equal((await ask("/healthz")).status, 200);
      const list = await ask("/api/v1/sessions", { ...login(), origin: page });
      assert.equal(list.status, status, list.text);
      assert.equal(list.headers.get("access-control-allow-origin"), null);
    });
  });
}
