// Deliveries as a receiver checks them: with the official Standard Webhooks library, before, during and after a
// rotation of the secret; and the headers that the reference's receivers check.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { Webhook, WebhookVerificationError } from "standardwebhooks";
import { environment } from "./environment.ts";
import { type Call, call } from "./http.ts";
import { Observed } from "./waiting.ts";

interface Delivery {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface Made {
  readonly id: string;
  readonly secret: string;
}

function api<T>(path: string, request: Call = {}): Promise<T> {
  const headers = { authorization: `Bearer ${environment.apiKey}` };
  return call(`${environment.gateway}/api/v1${path}`, { ...request, headers });
}

/** A receiver that takes everything. */
async function receiver(t: TestContext): Promise<{ url: string; deliveries: Observed<Delivery> }> {
  const deliveries = new Observed<Delivery>("the deliveries", ({ body }) => body);
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    deliveries.push({ headers: request.headers, body: Buffer.concat(chunks).toString("utf8") });
    response.writeHead(204).end();
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  t.after(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, deliveries };
}

async function webhook(t: TestContext, url: string, secret?: string): Promise<Made> {
  const body = { url, events: ["message"], ...(secret === undefined ? {} : { secret }) };
  const made = await api<Made>("/webhooks", { body });
  t.after(() => api(`/webhooks/${made.id}`, { method: "DELETE" }));
  return made;
}

/** A delivery of ours, through the same path as every other. */
async function delivered(made: Made, deliveries: Observed<Delivery>): Promise<Delivery> {
  const { eventId } = await api<{ eventId: string }>(`/webhooks/${made.id}:test`, { method: "POST" });
  return deliveries.first(eventId, ({ headers }) => headers["webhook-id"] === eventId);
}

function standard({ headers }: Delivery): Record<string, string> {
  const names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
  return Object.fromEntries(names.map((name) => [name, String(headers[name])]));
}

function verifies(secret: string, delivery: Delivery): boolean {
  const verifier = secret.startsWith("whsec_") ? new Webhook(secret) : new Webhook(secret, { format: "raw" });
  try {
    assert.deepEqual(verifier.verify(delivery.body, standard(delivery)), JSON.parse(delivery.body));
    return true;
  } catch (error) {
    if (error instanceof WebhookVerificationError) return false;
    throw error;
  }
}

function referenceHmac(secret: string, { body }: Delivery): string {
  return createHmac("sha512", secret).update(body).digest("hex");
}

test("the official library verifies deliveries before, during and after a rotation", async (t) => {
  const { url, deliveries } = await receiver(t);
  const made = await webhook(t, url);

  const before = await delivered(made, deliveries);
  assert.ok(verifies(made.secret, before));
  assert.equal(before.headers["x-webhook-hmac"], referenceHmac(made.secret, before));
  assert.ok(!verifies(`whsec_${Buffer.alloc(32).toString("base64")}`, before), "any secret verifies");
  assert.ok(!verifies(made.secret, { ...before, body: `${before.body} ` }), "any body verifies");

  const rotate = { body: { overlapSeconds: 3600 } };
  const rotated = await api<Made>(`/webhooks/${made.id}:rotate-secret`, rotate);
  assert.notEqual(rotated.secret, made.secret);
  const during = await delivered(made, deliveries);
  assert.ok(verifies(made.secret, during), "the old secret, while it overlaps");
  assert.ok(verifies(rotated.secret, during), "the new secret");
  assert.equal(String(during.headers["webhook-signature"]).split(" ").length, 2);

  const last = await api<Made>(`/webhooks/${made.id}:rotate-secret`, { body: { overlapSeconds: 0 } });
  const after = await delivered(made, deliveries);
  assert.ok(verifies(last.secret, after));
  assert.ok(!verifies(rotated.secret, after), "a secret that does not overlap");
  assert.ok(!verifies(made.secret, after), "the first secret");
});

test("a secret of the caller's own signs, whatever its form", async (t) => {
  const { url, deliveries } = await receiver(t);
  const forms = [
    `whsec_${Buffer.from("0123456789abcdef0123456789abcdef").toString("base64")}`,
    "correct-horse-battery-staple",
  ];
  for (const secret of forms) {
    const made = await webhook(t, url, secret);
    const delivery = await delivered(made, deliveries);
    assert.ok(verifies(secret, delivery), secret);
    assert.equal(delivery.headers["x-webhook-hmac"], referenceHmac(secret, delivery));
    assert.equal(delivery.headers["x-webhook-hmac-algorithm"], "sha512");
  }
});
