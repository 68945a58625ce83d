// The demonstration: what a developer would do first, done through the public API and told in a few lines. Alice's
// number becomes a session; she and Bob exchange a message.

import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure } from "./failure.ts";

const PATIENCE_MS = 30_000;
const POLL_MS = 200;

export interface Stage {
  readonly gateway: string;
  readonly simulator: string;
  readonly apiKey: string;
}

/** What it leaves behind, to go on with. */
export interface Left {
  readonly session: string;
  readonly alice: string;
  readonly bob: string;
}

type Json = Record<string, unknown>;

export async function demonstrate(stage: Stage, say: (line: string) => void): Promise<Left> {
  const api = (path: string, body?: Json) => call(`${stage.gateway}/api/v1${path}`, body, stage.apiKey);
  const phone = (path: string, body?: Json) => call(`${stage.simulator}/phones${path}`, body);

  const [alice, bob] = [anyNumber(), anyNumber()];
  say(`Alice (${alice}) and Bob (${bob}) have phones on a simulated WhatsApp.`);
  await phone("", { phoneNumber: alice, pushName: "Alice" });
  await phone("", { phoneNumber: bob, pushName: "Bob" });

  const session = text((await api("/sessions", { label: "Alice", start: true }))["id"], "the session's id");
  say(`Session ${session} was created and connects.`);

  const qr = await eventually("a QR code", async () =>
    string((await api(`/sessions/${session}/qr`))["code"]),
  );
  await phone(`/${alice}/scan`, { qr });
  await eventually("the status working", async () => {
    const { status } = await api(`/sessions/${session}`);
    return status === "working" ? status : undefined;
  });
  say("Alice's phone scanned its QR code: the session is working.");

  const greeting = "Hello Bob, this went through the gateway.";
  const sent = await api(`/sessions/${session}/messages`, { type: "text", to: bob, text: greeting });
  const messageId = text(sent["waMessageId"], "the message's id");
  await eventually("the message on Bob's phone", async () =>
    holds(await phone(`/${bob}/messages?wait=5`), greeting),
  );
  say(`Message ${messageId} arrived on Bob's phone: "${greeting}"`);

  const answer = "Hello Alice, loud and clear.";
  await phone(`/${bob}/messages`, { to: alice, text: answer });
  let cursor = "";
  await eventually("Bob's answer among the events", async () => {
    const page = await api(`/sessions/${session}/events?wait=10&types=message${cursor}`);
    const next = string(page["nextCursor"]);
    if (next !== undefined) cursor = `&after=${encodeURIComponent(next)}`;
    return holds(page["data"], answer);
  });
  say(`Bob's answer came in as an event: "${answer}"`);
  return { session, alice, bob };
}

export function howToGoOn({ gateway, simulator, apiKey }: Stage, left: Left | undefined): string {
  const lines = [
    `  gateway    ${gateway}`,
    `  simulator  ${simulator}`,
    "",
    `  KEY=${apiKey}`,
    `  curl -H "Authorization: Bearer $KEY" ${gateway}/api/v1/sessions`,
  ];
  if (left === undefined) return lines.join("\n");
  const session = `${gateway}/api/v1/sessions/${left.session}`;
  return [
    ...lines,
    `  curl -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" ${session}/messages \\`,
    `    -d '{"type":"text","to":"${left.bob}","text":"Hello again"}'`,
    `  curl -H "Authorization: Bearer $KEY" "${session}/events?wait=10"`,
    `  curl -H "Content-Type: application/json" ${simulator}/phones/${left.bob}/messages \\`,
    `    -d '{"to":"${left.alice}","text":"Hi Alice"}'`,
  ].join("\n");
}

/** A new one each time, so that what an earlier run left in the state is not in the way. */
function anyNumber(): string {
  // +1 555 is nobody's area code.
  return `1555${randomInt(2_000_000, 10_000_000)}`;
}

async function call(url: string, body?: Json, apiKey?: string): Promise<Json> {
  const response = await fetch(url, {
    method: body === undefined ? "GET" : "POST",
    headers: {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
    },
    body: body === undefined ? null : JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE_MS),
  }).catch((error: unknown) => {
    throw new Failure(`${url} did not answer: ${error instanceof Error ? error.message : String(error)}`);
  });
  const answered = await response.text();
  if (!response.ok) throw new Refusal(response.status, `${url} answered ${response.status}: ${answered}`);
  const json: unknown = answered === "" ? {} : JSON.parse(answered);
  if (Array.isArray(json)) return { data: json };
  return typeof json === "object" && json !== null ? (json as Json) : {};
}

class Refusal extends Failure {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Asks again until there is something; what isn't there yet may also be a 404 or a 409. */
async function eventually<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  let last = "";
  while (Date.now() < deadline) {
    try {
      const found = await ask();
      if (found !== undefined) return found;
    } catch (error) {
      if (!(error instanceof Refusal) || (error.status !== 404 && error.status !== 409)) throw error;
      last = ` ${error.message}`;
    }
    await sleep(POLL_MS);
  }
  throw new Failure(`The demonstration waited ${PATIENCE_MS / 1000} s in vain for ${what}.${last}`);
}

function string(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function text(value: unknown, what: string): string {
  const found = string(value);
  if (found === undefined) throw new Failure(`The gateway's answer lacks ${what}.`);
  return found;
}

function holds(value: unknown, wanted: string): true | undefined {
  return JSON.stringify(value)?.includes(JSON.stringify(wanted)) ? true : undefined;
}
