// Two who talk: one on the gateway, the other with Baileys, another number's companion; in a chat of two and in a group. What
// Baileys shows is compared as a whole, so that nothing may be missing, wrong, or too much.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { proto, type WAMessage } from "baileys";
import { Companion } from "./baileys-client.ts";
import { environment } from "./environment.ts";
import { type GatewayEvent, GatewaySession } from "./gateway-client.ts";
import { call } from "./http.ts";
import { foundGroup, Phone } from "./simulator-client.ts";
import { Feed } from "./waiting.ts";

export type Plain = Record<string, unknown>;

/** Alice is on the gateway, Bob has a Baileys, Carol a phone alone; Alice made a group of the three. */
export interface Meeting {
  readonly alice: Phone;
  readonly gateway: Gateway;
  readonly bob: Phone;
  readonly baileys: Companion;
  readonly carol: Phone;
  /** With Bob, and the group. */
  readonly chats: readonly [Chat, Chat];
}

/** A chat, and who people are in it: phone numbers in a chat of two, hidden ids in a group. */
export interface Chat {
  readonly isGroup: boolean;
  /** What the gateway's caller names it. */
  readonly to: string;
  /** What Baileys names it. */
  readonly shownAs: string;
  readonly alice: string;
  readonly bob: string;
}

export async function meeting(t: TestContext): Promise<Meeting> {
  const [alice, bob, carol] = await Promise.all([
    Phone.create("Alice"),
    Phone.create("Bob"),
    Phone.create("Carol"),
  ]);
  const [gateway, baileys] = await Promise.all([Gateway.paired(t, alice), Companion.paired(t, bob)]);
  const group = await foundGroup("Interop", alice, [bob, carol]);
  const chats = [
    { isGroup: false, to: bob.jid, shownAs: alice.jid, alice: alice.jid, bob: bob.jid },
    { isGroup: true, to: group, shownAs: group, alice: alice.lid, bob: bob.lid },
  ] as const;
  return { alice, gateway, bob, baileys, carol, chats };
}

/** A session of the gateway, and all that can be asked of it about messages. */
export class Gateway {
  readonly session: GatewaySession;
  readonly #path: string;
  readonly #votes: Feed<GatewayEvent>;

  static async paired(t: TestContext, phone: Phone): Promise<Gateway> {
    const session = await GatewaySession.paired(t, phone);
    const jid = await session.deviceJid();
    const list = `${environment.gateway}/api/v1/sessions?limit=200`;
    const { data } = await call<{ data: { id: string; waJid: string | null }[] }>(list, { headers: KEY });
    const row = data.find(({ waJid }) => waJid === jid);
    assert.ok(row, "the session is not in the list");
    return new Gateway(session, row.id);
  }

  private constructor(session: GatewaySession, id: string) {
    this.session = session;
    this.#path = `${environment.gateway}/api/v1/sessions/${id}`;
    let after = "0";
    this.#votes = new Feed(`the votes told by session ${id}`, async (wait) => {
      const url = `${this.#path}/events?types=poll.vote&limit=200&after=${after}&wait=${wait}`;
      const page = await call<{ data: GatewayEvent[]; nextCursor: string }>(url, { headers: KEY });
      after = page.nextCursor;
      return page.data;
    });
  }

  /** Sends: the message's id. */
  async sends(body: Plain): Promise<string> {
    return this.does("POST", "", body);
  }

  /** Asks for something that is sent, and is acknowledged by WhatsApp: its id. */
  async does(method: string, path: string, body: Plain): Promise<string> {
    const asked = Date.now();
    const { status, answer } = await this.asks(method, path, body);
    const what = `${method} ${path} ${JSON.stringify(body).slice(0, 300)}: ${JSON.stringify(answer)}`;
    assert.equal(status, 200, what);
    const { waMessageId, timestamp, ...rest } = answer;
    assert.deepEqual(rest, { mode: "sync", status: "sent" }, what);
    assert.match(String(waMessageId), /^[0-9A-F]{12,32}$/, what);
    assert.ok(Math.abs(Number(timestamp) - asked) < 60_000, what);
    return String(waMessageId);
  }

  async asks(method: string, path: string, body: Plain): Promise<{ status: number; answer: Plain }> {
    const response = await fetch(`${this.#path}/messages${path}`, {
      method,
      headers: { ...KEY, "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(70_000),
    });
    return { status: response.status, answer: (await response.json()) as Plain };
  }

  /** What it tells of a vote. */
  async vote(id: string): Promise<Plain> {
    return (await this.#votes.first(`vote ${id}`, ({ payload }) => payload["waMessageId"] === id)).payload;
  }
}

const KEY = { authorization: `Bearer ${environment.apiKey}` };

/** A message at Baileys: whose and where it is checked, what it says without its secret and what groups need beside it. */
export async function shown(
  { alice, baileys }: Meeting,
  chat: Chat,
  id: string,
): Promise<{ says: Plain; secret: Buffer | undefined; message: WAMessage }> {
  const message = await baileys.gets(id);
  const { remoteJid, participant, remoteJidAlt, participantAlt, addressingMode, fromMe } = message.key;
  // Who is written to by their hidden id gets it by that, until the library knows them by number.
  const isHidden = chat.to.endsWith("@lid") && addressingMode === "lid";
  assert.deepEqual(
    { remoteJid, participant, remoteJidAlt, participantAlt, addressingMode, fromMe },
    chat.isGroup
      ? {
          remoteJid: chat.to,
          participant: alice.lid,
          remoteJidAlt: undefined,
          participantAlt: alice.jid,
          addressingMode: "lid",
          fromMe: false,
        }
      : {
          remoteJid: isHidden ? alice.lid : alice.jid,
          participant: "",
          remoteJidAlt: isHidden ? alice.jid : alice.lid,
          participantAlt: undefined,
          addressingMode: isHidden ? "lid" : "pn",
          fromMe: false,
        },
  );
  assert.equal(message.pushName, alice.pushName);
  assert.equal(message.messageStubType, undefined);
  const { senderKeyDistributionMessage, messageContextInfo, ...says } = plain(message.message);
  assert.ok(chat.isGroup || senderKeyDistributionMessage === undefined);
  const { messageSecret, reportingTokenVersion, ...context } = (messageContextInfo ?? {}) as Plain;
  // By which a message is reported to WhatsApp; made with the secret, where there is anything to report.
  assert.ok(reportingTokenVersion === undefined || (reportingTokenVersion === 2 && messageSecret));
  if (Object.keys(context).length > 0) says["messageContextInfo"] = context;
  const secret = messageSecret === undefined ? undefined : Buffer.from(String(messageSecret), "base64");
  return { says, secret, message };
}

/** What a message says; it has a secret, as votes, reactions and edits want it. */
export async function received(at: Meeting, chat: Chat, id: string): Promise<Plain> {
  const { says, secret } = await shown(at, chat, id);
  assert.equal(secret?.length, 32, "no secret");
  return says;
}

/** A message as JSON, with bytes in base64 and all numbers as such. */
export function plain(message: proto.IMessage | null | undefined): Plain {
  const whole = proto.Message.fromObject(message ?? {});
  return proto.Message.toObject(whole, { bytes: String, longs: Number, enums: String });
}

/** Several chats, one after another. */
export async function inBoth(at: Meeting, say: (chat: Chat) => Promise<void>): Promise<void> {
  for (const chat of at.chats) await say(chat);
  assert.deepEqual(at.baileys.errors, []);
}
