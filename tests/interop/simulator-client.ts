// The simulated WhatsApp's control API: phones, what people do with them, and what goes wrong.

import { randomInt } from "node:crypto";
import { environment } from "./environment.ts";
import { call } from "./http.ts";
import { brief, eventually, Feed } from "./waiting.ts";

/** A message as a phone decrypted it. */
export interface PhoneMessage {
  readonly seq: number;
  readonly from: string;
  readonly chat: string;
  readonly messageId: string;
  readonly text?: string;
  readonly fromMe: boolean;
  readonly fromDevice: number;
  readonly kind: string;
  /** The fields of that kind; bytes in base64. */
  readonly content: PhoneContent;
}

/** What a phone found in a message: only what tests look at. */
export interface PhoneContent {
  readonly [field: string]: unknown;
}

export interface PhoneReceipt {
  readonly seq: number;
  readonly type: string;
  readonly from: string;
  readonly messageIds: readonly string[];
}

/** A linked companion as the server sees it. */
export interface LinkedDevice {
  readonly jid: string;
  readonly lid: string;
  readonly phone: string;
  readonly device: number;
  readonly connected: boolean;
  readonly queueLength: number;
  readonly logins: number;
}

const { simulator } = environment;

/** Where WhatsApp itself is. */
export const whatsappUrl = `${simulator.replace(/^http/, "ws")}/ws/chat`;

/** Host and port of the media hosts, which clients are told to reach by TLS and reach without. */
export const mediaAuthority = new URL(simulator).host;

/** A file on the media hosts by the hash of its contents, decrypted with what a phone was told. */
export async function openedFile(sha256: Buffer): Promise<Buffer> {
  const response = await fetch(`${simulator}/media/${sha256.toString("hex")}`);
  if (!response.ok) throw new Error(`no file: ${response.status} ${await response.text()}`);
  return Buffer.from(await response.arrayBuffer());
}

/** From now on a file can't be had where it was. */
export async function expireFile(sha256: Buffer): Promise<void> {
  await call(`${simulator}/media/${sha256.toString("hex")}`, { method: "DELETE" });
}

/** A new group: its JID. */
export async function foundGroup(subject: string, creator: Phone, others: readonly Phone[]): Promise<string> {
  const body = { subject, creator: creator.number, participants: others.map(({ number }) => number) };
  return (await call<{ jid: string }>(`${simulator}/groups`, { body })).jid;
}

/** The root that a client must be told to trust. */
export async function rootPublicKey(): Promise<Buffer<ArrayBuffer>> {
  const { rootPublicKey } = await call<{ rootPublicKey: string }>(`${simulator}/certificate`);
  return Buffer.from(rootPublicKey, "hex");
}

/** Somebody with a phone and a number nobody else has. */
export class Phone {
  readonly number: string;
  readonly pushName: string;
  readonly jid: string;
  readonly lid: string;
  readonly #inbox: Feed<PhoneMessage>;
  readonly #receipts: Feed<PhoneReceipt>;

  static async create(pushName: string): Promise<Phone> {
    // +1 555 is nobody's area code.
    const phoneNumber = `1555${randomInt(100_000_000, 1_000_000_000)}`;
    const phone = await call<{ jid: string; lid: string }>(`${simulator}/phones`, {
      body: { phoneNumber, pushName },
    });
    return new Phone(phoneNumber, pushName, phone.jid, phone.lid);
  }

  private constructor(number: string, pushName: string, jid: string, lid: string) {
    this.number = number;
    this.pushName = pushName;
    this.jid = jid;
    this.lid = lid;
    this.#inbox = new Feed(`the messages on ${pushName}'s phone`, this.#list("messages"));
    this.#receipts = new Feed(`the receipts for ${pushName}'s phone`, this.#list("receipts"));
  }

  /** Scans a companion's QR code: the JID of the new device. */
  async scan(qr: string): Promise<string> {
    const { deviceJid } = await call<{ deviceJid: string }>(this.#url("/scan"), { body: { qr } });
    return deviceJid;
  }

  /** Waits until a companion has told WhatsApp that it shows a pairing code for this phone. */
  async hasCode(): Promise<void> {
    await eventually(
      `a pairing code for ${this.pushName}`,
      () => call<{ codes: unknown[] }>(this.#url("/codes")),
      ({ codes }) => codes.length > 0,
    );
  }

  /** Types a companion's pairing code: the JID of the new device. */
  async enterCode(code: string): Promise<string> {
    const { deviceJid } = await call<{ deviceJid: string }>(this.#url("/enter-code"), { body: { code } });
    return deviceJid;
  }

  /** Types a text: its message id. */
  async send(to: string, text: string): Promise<string> {
    const { messageId } = await call<{ messageId: string }>(this.#url("/messages"), { body: { to, text } });
    return messageId;
  }

  /** Writes a message of any kind: its id. */
  async say(message: { readonly to: string; readonly [field: string]: unknown }): Promise<string> {
    const { messageId } = await call<{ messageId: string }>(this.#url("/messages"), { body: message });
    return messageId;
  }

  /** The message with this id on this phone, once it is there. */
  async gets(messageId: string): Promise<PhoneMessage> {
    return this.#inbox.first(messageId, (message) => message.messageId === messageId);
  }

  /** The first message on this phone with this text, once it is there. */
  async receives(text: string): Promise<PhoneMessage> {
    return this.#inbox.first(`"${brief(text)}"`, (message) => message.text === text);
  }

  /** Everything this phone has received up to now. */
  async messages(): Promise<readonly PhoneMessage[]> {
    return this.#inbox.upToNow();
  }

  /** The first receipt of this type for a message of this phone's account. */
  async receipt(type: string, messageId: string): Promise<PhoneReceipt> {
    return this.#receipts.first(
      `${type} of ${messageId}`,
      (receipt) => receipt.type === type && receipt.messageIds.includes(messageId),
    );
  }

  /** Opens the chat and reads these. */
  async read(chat: string, messageIds: readonly string[]): Promise<void> {
    await call(this.#url("/read"), { body: { chat, messageIds } });
  }

  /** Plays these voice notes. */
  async play(chat: string, messageIds: readonly string[]): Promise<void> {
    await call(this.#url("/played"), { body: { chat, messageIds } });
  }

  /** Takes somebody into a group. */
  async adds(group: string, whom: Phone): Promise<void> {
    const body = { participants: [whom.number], by: this.number };
    await call(`${simulator}/groups/${group}/participants`, { body });
  }

  /** The companions linked to this phone. */
  async devices(): Promise<readonly LinkedDevice[]> {
    const { devices } = await call<{ devices: LinkedDevice[] }>(`${simulator}/devices`);
    return devices.filter(({ phone }) => phone === this.number);
  }

  /** Throws a companion out. */
  async unlink(device: number): Promise<void> {
    await call(this.#url(`/devices/${device}`), { method: "DELETE" });
  }

  /** Reads on in one of the phone's numbered lists. */
  #list<T extends { readonly seq: number }>(name: string): (waitSeconds: number) => Promise<readonly T[]> {
    let after = 0;
    return async (waitSeconds) => {
      const url = this.#url(`/${name}?after=${after}&wait=${waitSeconds}`);
      const entries = (await call<Record<string, T[]>>(url))[name] ?? [];
      after = entries.at(-1)?.seq ?? after;
      return entries;
    };
  }

  #url(path: string): string {
    return `${simulator}/phones/${this.number}${path}`;
  }
}

/** Something that goes wrong for one phone or device only: other tests share this WhatsApp. */
export class Fault {
  readonly #id: string;

  static async arm(
    target: string,
    fault: { readonly kind: string; readonly [detail: string]: unknown },
  ): Promise<Fault> {
    const { id } = await call<{ id: string }>(`${simulator}/faults`, { body: { ...fault, target } });
    return new Fault(id);
  }

  private constructor(id: string) {
    this.#id = id;
  }

  /** Waits until it has happened as often as it was to. */
  async struck(): Promise<void> {
    await eventually(
      `fault ${this.#id} to strike`,
      () => call<{ faults: { id: string }[] }>(`${simulator}/faults`),
      ({ faults }) => faults.every(({ id }) => id !== this.#id),
    );
  }
}
