// The gateway's REST API, as far as these tests need it.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { environment } from "./environment.ts";
import { type Call, call, Refusal } from "./http.ts";
import type { Phone } from "./simulator-client.ts";
import { eventually, Feed } from "./waiting.ts";

const TYPES = "message,message.from_me,message.status";

interface SessionRow {
  readonly id: string;
  readonly status: string;
  readonly statusReason: unknown;
  readonly waJid: string | null;
}

export interface GatewayEvent {
  readonly seq: number;
  readonly event: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** A session of the gateway. */
export class GatewaySession {
  readonly #id: string;
  readonly #events: Feed<GatewayEvent>;
  #position = "0";

  /** Made, paired with this phone and working; deleted when the test is over. */
  static async paired(test: TestContext, phone: Phone): Promise<GatewaySession> {
    const { id } = await api<SessionRow>("/sessions", { body: { label: phone.pushName, start: true } });
    test.after(() => api(`/sessions/${id}`, { method: "DELETE" }));
    const session = new GatewaySession(id);
    await phone.scan(
      await eventually(
        "the gateway's QR code",
        () => session.#qr(),
        (code) => code !== undefined,
      ),
    );
    await session.#becomes("working");
    return session;
  }

  private constructor(id: string) {
    this.#id = id;
    this.#events = new Feed(`the events of session ${id}`, (wait) => this.#nextEvents(wait));
  }

  /** The device this session is on its account. */
  async deviceJid(): Promise<string> {
    const { waJid } = await api<SessionRow>(`/sessions/${this.#id}`);
    assert.ok(waJid, "the session is not paired");
    return waJid;
  }

  /** Sends a text: its message id. */
  async send(to: string, text: string): Promise<string> {
    const { waMessageId } = await api<{ waMessageId: string }>(`/sessions/${this.#id}/messages`, {
      body: { type: "text", to, text },
    });
    return waMessageId;
  }

  /** The first event of this type with all these in its payload. */
  async event(type: string, payload: Readonly<Record<string, unknown>>): Promise<GatewayEvent> {
    const what = `${type} ${JSON.stringify(payload)}`;
    return this.#events.first(what, (event) => matches(event, type, payload));
  }

  /** The texts of others up to now, in their order. */
  async heard(): Promise<readonly unknown[]> {
    const messages = (await this.#events.upToNow()).filter(({ event }) => event === "message");
    return messages.map(({ payload }) => payload["body"]);
  }

  /** The media of a message: what its headers and its bytes are. */
  async media(id: string): Promise<{ readonly headers: Headers; readonly file: Buffer }> {
    const url = `${environment.gateway}/api/v1/sessions/${this.#id}/messages/${id}/media`;
    const response = await fetch(url, { headers: { authorization: `Bearer ${environment.apiKey}` } });
    if (!response.ok) throw new Refusal(response.status, `GET ${url}: ${await response.text()}`);
    return { headers: response.headers, file: Buffer.from(await response.arrayBuffer()) };
  }

  /** Disconnects and keeps the pairing. */
  async stop(): Promise<void> {
    await this.#command("stop", "stopped");
  }

  async start(): Promise<void> {
    await this.#command("start", "working");
  }

  async #command(verb: string, status: string): Promise<void> {
    await api(`/sessions/${this.#id}:${verb}`, { method: "POST" });
    await this.#becomes(status);
  }

  async #becomes(wanted: string): Promise<void> {
    await eventually(
      `the gateway's session to be ${wanted}`,
      () => api<SessionRow>(`/sessions/${this.#id}`),
      ({ status }) => status === wanted,
    );
  }

  async #nextEvents(waitSeconds: number): Promise<readonly GatewayEvent[]> {
    const query = `after=${this.#position}&wait=${waitSeconds}&limit=200&types=${TYPES}`;
    const page = await api<{ data: GatewayEvent[]; nextCursor: string }>(
      `/sessions/${this.#id}/events?${query}`,
    );
    this.#position = page.nextCursor;
    return page.data;
  }

  async #qr(): Promise<string | undefined> {
    try {
      return (await api<{ code: string }>(`/sessions/${this.#id}/qr`)).code;
    } catch (error) {
      // Pairing has only begun.
      if (error instanceof Refusal && error.status === 404) return undefined;
      throw error;
    }
  }
}

function matches(event: GatewayEvent, type: string, payload: Readonly<Record<string, unknown>>): boolean {
  const wanted = Object.entries(payload);
  return (
    event.event === type &&
    wanted.every(([name, value]) => {
      const found = event.payload[name];
      return found === value || (Array.isArray(found) && found.includes(value));
    })
  );
}

function api<T>(path: string, request: Call = {}): Promise<T> {
  const headers = { authorization: `Bearer ${environment.apiKey}` };
  return call(`${environment.gateway}/api/v1${path}`, { ...request, headers });
}
