// Baileys as a companion device: a WhatsApp client that nobody here wrote, used through its public options only.

import "./quiet.ts";
import "./strict-signatures.ts";
import assert from "node:assert/strict";
import { createCipheriv, createHash, createHmac, randomBytes } from "node:crypto";
import { Agent } from "node:https";
import { connect } from "node:net";
import type { TestContext } from "node:test";
import { inspect } from "node:util";
import {
  type AnyMessageContent,
  type AuthenticationCreds,
  type AuthenticationState,
  BufferJSON,
  type ConnectionState,
  DEFAULT_CONNECTION_CONFIG,
  DisconnectReason,
  downloadMediaMessage,
  initAuthCreds,
  type MiscMessageGenerationOptions,
  makeWASocket,
  normalizeMessageContent,
  proto,
  type SignalDataTypeMap,
  type SignalKeyStore,
  WA_CERT_DETAILS,
  type WAMessage,
  type WAMessageKey,
  type WAMessageUpdate,
  type WASocket,
} from "baileys";
import { mediaAuthority, type Phone, rootPublicKey, whatsappUrl } from "./simulator-client.ts";
import { brief, eventually, Observed } from "./waiting.ts";

/** The root of WhatsApp itself, which Baileys trusts unless told otherwise. */
export const WHATSAPP_ROOT = WA_CERT_DETAILS.PUBLIC_KEY;

/** Makes Baileys trust this root, from the next connection on. */
export function trust(root: typeof WHATSAPP_ROOT): void {
  WA_CERT_DETAILS.PUBLIC_KEY = root;
}

/**
 * The media hosts without TLS, which is all that Baileys knows: it uploads through this agent and downloads with
 * `fetch`. Host, port and path stay what they are.
 */
class PlainAgent extends Agent {
  override createConnection = ({ host, port }: { host: string; port: number }) => connect(port, host);
}

const withTls = globalThis.fetch;
globalThis.fetch = (what, init) =>
  withTls(
    typeof what === "string" ? what.replace(`https://${mediaAuthority}/`, `http://${mediaAuthority}/`) : what,
    init,
  );

/** A message as Baileys shows it to its user. */
export interface ShownMessage {
  readonly id: string;
  readonly chat: string;
  readonly fromMe: boolean;
  readonly pushName: string | undefined;
  /** Absent when it is no text, or not decrypted (yet). */
  readonly text: string | undefined;
}

export interface StatusUpdate {
  readonly id: string;
  readonly status: number | null | undefined;
}

/** A reaction, and the message it is to, as Baileys tells its user. */
export interface ShownReaction {
  readonly key: WAMessageKey;
  readonly reaction: proto.IReaction;
}

/** A vote, and what it is encrypted with. */
export interface Vote {
  readonly poll: WAMessageKey;
  /** Who made the poll, and who votes: both by number, or both by hidden id. */
  readonly creator: string;
  readonly voter: string;
  readonly secret: Uint8Array;
  readonly options: readonly string[];
}

export interface Closing {
  readonly code: number | undefined;
  readonly reason: string;
}

export const Status = proto.WebMessageInfo.Status;

/** One companion device: what it has stored, what it was shown, and its connection. */
export class Companion {
  readonly messages: Observed<ShownMessage>;
  /** The same as Baileys gives them, whatever they are. */
  readonly all: Observed<WAMessage>;
  readonly statuses: Observed<StatusUpdate>;
  /** What became of messages that it has. */
  readonly changes: Observed<WAMessageUpdate>;
  readonly reactions: Observed<ShownReaction>;
  readonly #name: string;
  readonly #store = new StoredState();
  readonly #sent = new Map<string, proto.IMessage>();
  readonly #log = new Log();
  #connection: Connection | undefined;

  /** Linked to this phone, by QR code, and open. */
  static async paired(test: TestContext, phone: Phone): Promise<Companion> {
    const companion = new Companion(test, `${phone.pushName}'s Baileys`);
    await companion.pair(phone);
    return companion;
  }

  /** Nothing is connected yet. Whatever is connected later is closed when the test is over. */
  constructor(test: TestContext, name: string) {
    const context = () => this.#log.tail();
    this.#name = name;
    this.messages = new Observed<ShownMessage>(`the messages of ${name}`, display, context);
    this.all = new Observed<WAMessage>(`everything ${name} received`, ({ key }) => display(key), context);
    this.statuses = new Observed<StatusUpdate>(`the status updates of ${name}`, display, context);
    this.changes = new Observed<WAMessageUpdate>(`the changes that ${name} was told`, display, context);
    this.reactions = new Observed<ShownReaction>(`the reactions that ${name} was told`, display, context);
    test.after(() => this.disconnect());
  }

  /**
   * Shows its code, is scanned, restarts as WhatsApp asks it to, is open and has taken in what the phone tells a new
   * companion: the JID of the new device. (Baileys that goes before it has heard the phone waits 20 s for that when
   * it comes back.)
   */
  async pair(phone: Phone): Promise<string> {
    return this.#register(async (registering) => phone.scan(await registering.qr()));
  }

  /** The same with a code that is typed on the phone. */
  async pairByCode(phone: Phone, type = (code: string) => phone.enterCode(code)): Promise<string> {
    return this.#register(async (registering) => {
      // Baileys has nobody to ask for a code before it has a QR code to show.
      await registering.qr();
      const code = await registering.socket.requestPairingCode(phone.number);
      // It shows its code without waiting for WhatsApp to know of it.
      await phone.hasCode();
      return type(code);
    });
  }

  async #register(link: (registering: Connection) => Promise<string>): Promise<string> {
    trust(await rootPublicKey());
    const registering = this.connect();
    const deviceJid = await link(registering);
    const { code, reason } = await registering.closed();
    assert.equal(code, DisconnectReason.restartRequired, `after pairing, ${this.#name} was told: ${reason}`);
    await this.connect().opened();
    await eventually(
      `${this.#name} to have synced its account`,
      async () => this.#store.load().creds.accountSyncCounter,
      (syncs) => syncs > 0,
    );
    return deviceJid;
  }

  /** A new connection over what is stored; the last one must have ended. */
  connect(): Connection {
    const state = this.#store.load();
    const socket = makeWASocket({
      waWebSocketUrl: whatsappUrl,
      fetchAgent: new PlainAgent(),
      version: DEFAULT_CONNECTION_CONFIG.version,
      auth: state,
      logger: this.#log,
      // Off by default. What is there to be checked is checked here.
      appStateMacVerification: { patch: true, snapshot: true },
      getMessage: async ({ id }) => this.#sent.get(id ?? ""),
    });
    socket.ev.on("creds.update", () => this.#store.saveCredentials(state.creds));
    socket.ev.on("messages.upsert", ({ messages }) => {
      this.messages.push(...messages.map(shown));
      this.all.push(...messages);
      // Baileys makes one event of a message and of the update that follows within 100 ms.
      this.statuses.push(...messages.map(({ key, status }) => ({ id: key.id ?? "", status })));
    });
    socket.ev.on("messages.update", (updates) => {
      this.statuses.push(...updates.map(({ key, update }) => ({ id: key.id ?? "", status: update.status })));
      this.changes.push(...updates);
    });
    socket.ev.on("messages.reaction", (reactions) => this.reactions.push(...reactions));
    this.#connection = new Connection(this.#name, socket, () => this.#log.tail());
    return this.#connection;
  }

  async disconnect(): Promise<void> {
    await this.#connection?.end();
  }

  /** The connection in use. */
  get connection(): Connection {
    assert.ok(this.#connection, `${this.#name} was never connected`);
    return this.#connection;
  }

  /** Who this companion believes to be. */
  get me(): NonNullable<AuthenticationCreds["me"]> {
    const { me } = this.#store.load().creds;
    assert.ok(me, `${this.#name} is not paired`);
    return me;
  }

  /** Sends a text: its message id. */
  async send(to: string, text: string): Promise<string> {
    const sent = await this.connection.socket.sendMessage(to, { text });
    const id = sent?.key.id;
    assert.ok(sent?.message && id, "Baileys made no message");
    this.#sent.set(id, sent.message);
    return id;
  }

  /** Sends anything that Baileys can make a message of. */
  async say(
    to: string,
    content: AnyMessageContent,
    options: MiscMessageGenerationOptions = {},
  ): Promise<WAMessage & { readonly id: string }> {
    const sent = await this.connection.socket.sendMessage(to, content, options);
    const id = sent?.key.id;
    assert.ok(sent?.message && id, "Baileys made no message");
    this.#sent.set(id, sent.message);
    return Object.assign(sent, { id });
  }

  /** Votes in a poll: the vote's id. Baileys can't by itself; this is what its `decryptPollVote` reads. */
  async votes(chat: string, { poll, creator, voter, secret, options }: Vote): Promise<string> {
    const extracted = createHmac("sha256", Buffer.alloc(32)).update(secret).digest();
    const info = Buffer.concat([Buffer.from(`${poll.id}${creator}${voter}Poll Vote`), Buffer.of(1)]);
    const key = createHmac("sha256", extracted).update(info).digest();
    const iv = randomBytes(12);
    const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(Buffer.from(`${poll.id}\0${voter}`));
    const selectedOptions = options.map((option) => createHash("sha256").update(option).digest());
    const plain = proto.Message.PollVoteMessage.encode({ selectedOptions }).finish();
    const encPayload = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    const update: proto.IMessage = {
      pollUpdateMessage: {
        pollCreationMessageKey: poll,
        vote: { encPayload, encIv: iv },
        senderTimestampMs: Date.now(),
      },
    };
    const id = await this.connection.socket.relayMessage(chat, update, {});
    this.#sent.set(id, update);
    return id;
  }

  /** The message with this id, once it is there and decrypted. */
  async gets(id: string): Promise<WAMessage> {
    return this.all.first(`message ${id}`, ({ key, message }) => key.id === id && Boolean(message));
  }

  /** The bytes that a message is about. */
  async downloads(message: WAMessage): Promise<Buffer> {
    return downloadMediaMessage(message, "buffer", {});
  }

  /** Tells the sender that this message was read. */
  async reads({ id, chat }: ShownMessage): Promise<void> {
    await this.connection.socket.readMessages([{ id, remoteJid: chat }]);
  }

  /** The first message with this text, once it is there. */
  async receives(text: string): Promise<ShownMessage> {
    return this.messages.first(`"${brief(text)}"`, (message) => message.text === text);
  }

  /** All texts of others up to now, in their order. */
  get heard(): readonly string[] {
    return this.messages.all.flatMap(({ fromMe, text }) => (fromMe || text === undefined ? [] : [text]));
  }

  /** Waits until a message that it sent has at least this status. */
  async reaches(status: number, id: string): Promise<void> {
    await this.statuses.first(
      `status ${status} of ${id}`,
      (update) => update.id === id && (update.status ?? 0) >= status,
    );
  }

  /** What Baileys itself called an error, but for the restart that every pairing brings. */
  get errors(): readonly string[] {
    return this.#log.errors.filter((line) => !/^stream errored out .*'515'/.test(line));
  }

  /** Whether Baileys said so, on any level. */
  logged(pattern: RegExp): boolean {
    return this.#log.lines.some((line) => pattern.test(line));
  }
}

/** One connection of a companion, from the first byte to the last. */
export class Connection {
  readonly socket: WASocket;
  readonly #updates: Observed<Partial<ConnectionState>>;

  constructor(name: string, socket: WASocket, context: () => string) {
    this.socket = socket;
    this.#updates = new Observed<Partial<ConnectionState>>(
      `the connection updates of ${name}`,
      display,
      context,
    );
    socket.ev.on("connection.update", (update) => this.#updates.push(update));
  }

  /** The first QR code it shows. */
  async qr(): Promise<string> {
    const { qr } = await this.#updates.first(
      "a QR code",
      (update) => update.qr !== undefined || over(update),
    );
    assert.ok(qr, `closed instead of showing a QR code: ${this.#closing().reason}`);
    return qr;
  }

  /** Waits until it is logged in. */
  async opened(): Promise<void> {
    const { connection } = await this.#updates.first(
      "the connection to open",
      (update) => update.connection === "open" || over(update),
    );
    assert.equal(connection, "open", `closed instead of opening: ${this.#closing().reason}`);
  }

  /** Waits until it is closed, and says why. */
  async closed(): Promise<Closing> {
    await this.#updates.first("the connection to close", over);
    return this.#closing();
  }

  async end(): Promise<void> {
    await this.socket.end(undefined);
    await this.closed();
  }

  /** Whether a QR code was shown, or it came to be logged in. */
  get went(): { readonly showedCode: boolean; readonly opened: boolean } {
    return {
      showedCode: this.#updates.all.some(({ qr }) => qr !== undefined),
      opened: this.#updates.all.some(({ connection }) => connection === "open"),
    };
  }

  #closing(): Closing {
    const error = this.#updates.all.find(over)?.lastDisconnect?.error;
    const code = error !== undefined && "output" in error ? error.output.statusCode : undefined;
    return { code, reason: error?.message ?? "closed by the test" };
  }
}

function over({ connection }: Partial<ConnectionState>): boolean {
  return connection === "close";
}

/** What a companion keeps between connections: text, as in a file, so that nothing else survives. */
class StoredState {
  readonly #keys = new Map<string, string>();
  #credentials: string | undefined;

  load(): AuthenticationState {
    const creds: AuthenticationCreds =
      this.#credentials === undefined ? initAuthCreds() : parse(this.#credentials);
    return { creds, keys: this.#signalKeys() };
  }

  saveCredentials(credentials: AuthenticationCreds): void {
    this.#credentials = stringify(credentials);
  }

  #signalKeys(): SignalKeyStore {
    return {
      get: (type, ids) => {
        const found: { [id: string]: SignalDataTypeMap[typeof type] } = {};
        for (const id of ids) {
          const text = this.#keys.get(`${type} ${id}`);
          if (text !== undefined) found[id] = revive(type, text);
        }
        return found;
      },
      set: (data) => {
        for (const [type, entries] of Object.entries(data)) {
          for (const [id, value] of Object.entries(entries)) {
            if (value === null) this.#keys.delete(`${type} ${id}`);
            else this.#keys.set(`${type} ${id}`, stringify(value));
          }
        }
      },
    };
  }
}

/** One kind of value has to become more than what JSON makes of it. */
function revive<T extends keyof SignalDataTypeMap>(type: T, text: string): SignalDataTypeMap[T] {
  const value = parse<SignalDataTypeMap[T]>(text);
  if (type === "app-state-sync-key") {
    const key: object = proto.Message.AppStateSyncKeyData.fromObject(value as object);
    return key as SignalDataTypeMap[T];
  }
  return value;
}

function stringify(value: unknown): string {
  return JSON.stringify(value, BufferJSON.replacer);
}

function parse<T>(text: string): T {
  return JSON.parse(text, BufferJSON.reviver) as T;
}

/** Baileys' logger: silent, but what it said can be told when something is missing. */
class Log {
  readonly level = "debug";
  readonly #lines: { readonly level: string; readonly text: string }[] = [];
  readonly trace = (): void => undefined;
  readonly debug = this.#keep("debug");
  readonly info = this.#keep("info");
  readonly warn = this.#keep("warn");
  readonly error = this.#keep("error");

  child(): Log {
    return this;
  }

  get lines(): readonly string[] {
    return this.#lines.map(({ text }) => text);
  }

  get errors(): readonly string[] {
    return this.#lines.filter(({ level }) => level === "error").map(({ text }) => text);
  }

  tail(): string {
    const lines = this.#lines.slice(-40).map(({ level, text }) => `\n  ${level} ${brief(text)}`);
    return `What Baileys logged last:${lines.join("")}`;
  }

  #keep(level: string): (details: unknown, message?: string) => void {
    return (details, message = "") => {
      const shown = typeof details === "string" ? details : inspect(details, { breakLength: Infinity });
      this.#lines.push({ level, text: `${message} ${shown}`.trim() });
    };
  }
}

function shown(message: WAMessage): ShownMessage {
  const content = normalizeMessageContent(message.message);
  return {
    id: message.key.id ?? "",
    chat: message.key.remoteJid ?? "",
    fromMe: message.key.fromMe === true,
    pushName: message.pushName ?? undefined,
    text: content?.conversation ?? content?.extendedTextMessage?.text ?? undefined,
  };
}

function display(thing: unknown): string {
  return inspect(thing, { breakLength: Infinity });
}
