// Everything the gateway's HTTP API sends, as Baileys receives it: another number's companion, in a chat of two and in a
// group. What it shows is compared as a whole, so that nothing may be missing, wrong, or too much.

import assert from "node:assert/strict";
import { createHash, createHmac, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { crc32, deflateSync } from "node:zlib";
import {
  decryptPollVote,
  getAggregateVotesInPollMessage,
  getMediaKeys,
  type MediaType,
  normalizeMessageContent,
  proto,
  type WAMessage,
} from "baileys";
import { Companion } from "./baileys-client.ts";
import { environment } from "./environment.ts";
import { type GatewayEvent, GatewaySession } from "./gateway-client.ts";
import { call } from "./http.ts";
import { foundGroup, Phone } from "./simulator-client.ts";
import { Feed } from "./waiting.ts";

const { StubType } = proto.WebMessageInfo;

/** What Baileys decrypted. Its definitions lack a poll's newest fields, and what they lack it drops. */
const decrypted: Buffer[] = [];
const { decode } = proto.Message;
proto.Message.decode = (reader, length) => {
  if (reader instanceof Uint8Array) decrypted.push(Buffer.from(reader));
  return decode(reader, length);
};

type Plain = Record<string, unknown>;

/** Alice is on the gateway, Bob has a Baileys, Carol a phone alone; Alice made a group of the three. */
interface Meeting {
  readonly alice: Phone;
  readonly gateway: Gateway;
  readonly bob: Phone;
  readonly baileys: Companion;
  readonly carol: Phone;
  /** With Bob, and the group. */
  readonly chats: readonly [Chat, Chat];
}

/** A chat, and who people are in it: phone numbers in a chat of two, hidden ids in a group. */
interface Chat {
  readonly isGroup: boolean;
  /** What the gateway's caller names it. */
  readonly to: string;
  /** What Baileys names it. */
  readonly shownAs: string;
  readonly alice: string;
  readonly bob: string;
}

async function meeting(t: TestContext): Promise<Meeting> {
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
class Gateway {
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
async function shown(
  { alice, baileys }: Meeting,
  chat: Chat,
  id: string,
): Promise<{ says: Plain; secret: Buffer | undefined; message: WAMessage }> {
  const message = await baileys.gets(id);
  const { remoteJid, participant, remoteJidAlt, participantAlt, addressingMode, fromMe } = message.key;
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
          remoteJid: alice.jid,
          participant: "",
          remoteJidAlt: alice.lid,
          participantAlt: undefined,
          addressingMode: "pn",
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
async function received(at: Meeting, chat: Chat, id: string): Promise<Plain> {
  const { says, secret } = await shown(at, chat, id);
  assert.equal(secret?.length, 32, "no secret");
  return says;
}

/** A message as JSON, with bytes in base64 and all numbers as such. */
function plain(message: proto.IMessage | null | undefined): Plain {
  const whole = proto.Message.fromObject(message ?? {});
  return proto.Message.toObject(whole, { bytes: String, longs: Number, enums: String });
}

/** Several chats, one after another. */
async function inBoth(at: Meeting, say: (chat: Chat) => Promise<void>): Promise<void> {
  for (const chat of at.chats) await say(chat);
  assert.deepEqual(at.baileys.errors, []);
}

// Texts.

test("texts of the gateway are Baileys' letter for letter", async (t) => {
  const at = await meeting(t);
  await inBoth(at, async (chat) => {
    for (const text of [
      "hello",
      " Zeile 1\n\tZeile 2 👩‍👩‍👧‍👦 *bold* https://example.com/?a=b&c ",
      "x".repeat(65_536),
    ]) {
      const id = await at.gateway.sends({ type: "text", to: chat.to, text });
      assert.deepEqual(await received(at, chat, id), { conversation: text });
    }
  });
});

test("an answer of the gateway has all of what it answers, be it its own or Baileys'", async (t) => {
  const at = await meeting(t);
  const { gateway, baileys } = at;
  await inBoth(at, async (chat) => {
    const answers = async (replyTo: string, contextInfo: Plain) => {
      const id = await gateway.sends({ type: "text", to: chat.to, text: "an answer", replyTo });
      assert.deepEqual(await received(at, chat, id), {
        extendedTextMessage: { text: "an answer", contextInfo: { stanzaId: replyTo, ...contextInfo } },
      });
    };
    const own = await gateway.sends({ type: "text", to: chat.to, text: "a question of mine" });
    await answers(own, { participant: chat.alice, quotedMessage: { conversation: "a question of mine" } });

    const theirs = await baileys.say(chat.shownAs, { text: "a question of Bob's 👋" });
    await gateway.session.event("message", { waMessageId: theirs.id });
    await answers(theirs.id, {
      participant: chat.bob,
      quotedMessage: { extendedTextMessage: { text: "a question of Bob's 👋" } },
    });

    const place = await baileys.say(chat.shownAs, {
      location: { degreesLatitude: 1.5, degreesLongitude: -2.25, name: "Here" },
    });
    await gateway.session.event("message", { waMessageId: place.id });
    await answers(place.id, {
      participant: chat.bob,
      quotedMessage: {
        locationMessage: { degreesLatitude: 1.5, degreesLongitude: -2.25, name: "Here" },
      },
    });

    const data = jpeg(64, 64);
    const media = { data: base64(data) };
    const picture = await gateway.sends({ type: "image", to: chat.to, caption: "a picture", media });
    const { imageMessage } = await received(at, chat, picture);
    await answers(picture, { participant: chat.alice, quotedMessage: { imageMessage } });

    // Not only texts answer.
    const contextInfo = {
      stanzaId: own,
      participant: chat.alice,
      quotedMessage: { conversation: "a question of mine" },
    };
    const where = await gateway.sends({
      type: "location",
      to: chat.to,
      latitude: 3,
      longitude: 4,
      replyTo: own,
    });
    assert.deepEqual(await received(at, chat, where), {
      locationMessage: { degreesLatitude: 3, degreesLongitude: 4, contextInfo },
    });
    const film = mp4(16, 16, 1_000);
    const video = { type: "video", to: chat.to, media: { data: base64(film) }, replyTo: own };
    assert.deepEqual(await file(at, chat, await gateway.sends(video), "video", film), {
      mimetype: "video/mp4",
      width: 16,
      height: 16,
      seconds: 1,
      contextInfo,
    });
    const medias = [{ data: base64(jpeg(8, 8)) }, { data: base64(jpeg(8, 8)) }];
    const album = await gateway.sends({ type: "album", to: chat.to, medias, replyTo: own });
    assert.deepEqual(await received(at, chat, album), {
      albumMessage: { expectedImageCount: 2, expectedVideoCount: 0, contextInfo },
    });

    // One that it doesn't know it quotes by its id.
    const unknown = "3EB0DEADBEEFDEADBEEF";
    await answers(unknown, {
      ...(chat.isGroup ? {} : { participant: chat.to }),
      quotedMessage: { conversation: "" },
    });
  });
});

test("whom a text or a caption of the gateway mentions is told, in the order and by the names they were given", async (t) => {
  const at = await meeting(t);
  const { gateway, bob, carol } = at;
  await inBoth(at, async (chat) => {
    const text = `@${bob.number} @${carol.lid.replace("@lid", "")}`;
    const mentions = [bob.number, carol.lid, bob.jid];
    const mentionedJid = [bob.jid, carol.lid];
    const id = await gateway.sends({ type: "text", to: chat.to, text, mentions });
    assert.deepEqual(await received(at, chat, id), {
      extendedTextMessage: { text, contextInfo: { mentionedJid } },
    });
    const media = { data: base64(randomBytes(10)), filename: "a.bin" };
    const paper = await gateway.sends({ type: "document", to: chat.to, media, caption: text, mentions });
    const { documentWithCaptionMessage: envelope } = await received(at, chat, paper);
    const { documentMessage } = (envelope as { message: { documentMessage: Plain } }).message;
    assert.deepEqual(documentMessage["contextInfo"], { mentionedJid });
  });
});

// Polls, places, people.

test("polls of the gateway: one choice, any number, several, an end, and votes that stay hidden", async (t) => {
  const at = await meeting(t);
  const { gateway, bob } = at;
  const options = ["Pizza", "Sushi 🍣", "Nothing"];
  await inBoth(at, async (chat) => {
    for (const [selectableCount, kind] of [
      [undefined, "pollCreationMessage"],
      [0, "pollCreationMessage"],
      [1, "pollCreationMessageV3"],
      [2, "pollCreationMessage"],
    ] as const) {
      const name = `Lunch? ${selectableCount} ${chat.to}`;
      const id = await gateway.sends({ type: "poll", to: chat.to, name, options, selectableCount });
      assert.deepEqual(await received(at, chat, id), {
        [kind]: {
          name,
          options: options.map((optionName) => ({ optionName })),
          selectableOptionsCount: selectableCount ?? 0,
        },
      });
      const { content } = await bob.gets(id);
      assert.deepEqual([content["endTime"], hidesVotes(name)], [undefined, undefined]);
    }
    for (const pollHideVotes of [true, false]) {
      const name = `Until when? ${pollHideVotes} ${chat.to}`;
      const pollEndTime = Date.now() + 3_600_000;
      const poll = { type: "poll", to: chat.to, name, options, selectableCount: 1 };
      const id = await gateway.sends({ ...poll, pollEndTime, pollHideVotes });
      await received(at, chat, id);
      const { content } = await bob.gets(id);
      assert.deepEqual(
        [content["name"], content["options"], content["selectableCount"], content["version"]],
        [name, options, 1, 3],
      );
      assert.equal(content["endTime"], Math.ceil(pollEndTime / 1_000));
      assert.equal(hidesVotes(name), Number(pollHideVotes));
    }
  });
});

test("places of the gateway, with and without a name", async (t) => {
  const at = await meeting(t);
  await inBoth(at, async (chat) => {
    const [latitude, longitude] = [-54.123456789, 179.987654321];
    const place = { type: "location", to: chat.to, latitude, longitude };
    const degrees = { degreesLatitude: latitude, degreesLongitude: longitude };
    const named = await at.gateway.sends({ ...place, name: "Ushuaia, fin del mundo" });
    assert.deepEqual(await received(at, chat, named), {
      locationMessage: { ...degrees, name: "Ushuaia, fin del mundo" },
    });
    const nameless = await at.gateway.sends(place);
    assert.deepEqual(await received(at, chat, nameless), { locationMessage: degrees });
    const origin = await at.gateway.sends({ ...place, latitude: 0, longitude: 0 });
    assert.deepEqual(await received(at, chat, origin), {
      locationMessage: { degreesLatitude: 0, degreesLongitude: 0 },
    });
  });
});

test("people the gateway shares, by a card of one's own and by name and number", async (t) => {
  const at = await meeting(t);
  await inBoth(at, async (chat) => {
    const shares = async (contact: Plain, contactMessage: Plain) => {
      const id = await at.gateway.sends({ type: "contact", to: chat.to, contact });
      assert.deepEqual(await received(at, chat, id), { contactMessage });
    };
    const vcard =
      "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Jane Doe\r\nORG:ACME;\r\nTEL;waid=15550001111:+1 555\r\nEND:VCARD\r\n";
    await shares({ vcard }, { displayName: "Jane Doe", vcard });
    await shares({ vcard, name: "Janie" }, { displayName: "Janie", vcard });
    await shares(
      { name: "Doe; John, Jr.", phone: "+4915112345678" },
      {
        displayName: "Doe; John, Jr.",
        vcard: [
          "BEGIN:VCARD",
          "VERSION:3.0",
          "N:;Doe\\; John\\, Jr.;;;",
          "FN:Doe\\; John\\, Jr.",
          "TEL;type=CELL;type=VOICE;waid=4915112345678:+4915112345678",
          "END:VCARD",
        ].join("\n"),
      },
    );
  });
});

// Files.

test("pictures of the gateway, JPEG and PNG, byte for byte and with a small preview", async (t) => {
  const at = await meeting(t);
  await inBoth(at, async (chat) => {
    for (const [data, mimetype] of [
      [jpeg(200, 120), "image/jpeg"],
      [png(150, 250), "image/png"],
    ] as const) {
      const [width, height] = mimetype === "image/jpeg" ? [200, 120] : [150, 250];
      for (const caption of [undefined, "grüße\nan alle"]) {
        const media = { data: base64(data) };
        const id = await at.gateway.sends({ type: "image", to: chat.to, media, caption });
        const { jpegThumbnail, ...picture } = await file(at, chat, id, "image", data);
        const own = caption === undefined ? {} : { caption };
        assert.deepEqual(picture, { mimetype, width, height, ...own });
        isPreview(jpegThumbnail, width, height);
      }
    }
    // The caption may stand in the media, and its type may be said.
    const data = png(8, 8);
    const media = { data: base64(data), mimetype: "image/png", filename: "a.png", caption: "within" };
    const id = await at.gateway.sends({ type: "image", to: chat.to, media });
    const { jpegThumbnail, ...picture } = await file(at, chat, id, "image", data);
    assert.deepEqual(picture, { mimetype: "image/png", width: 8, height: 8, caption: "within" });
    isPreview(jpegThumbnail, 8, 8);
  });
});

test("a video of the gateway, byte for byte", async (t) => {
  const at = await meeting(t);
  await inBoth(at, async (chat) => {
    for (const caption of [undefined, "a film"]) {
      const data = mp4(640, 360, 2_500);
      const media = { data: base64(data) };
      const id = await at.gateway.sends({ type: "video", to: chat.to, media, caption });
      const own = caption === undefined ? {} : { caption };
      assert.deepEqual(await file(at, chat, id, "video", data), {
        mimetype: "video/mp4",
        width: 640,
        height: 360,
        seconds: 3,
        ...own,
      });
    }
  });
});

test("Opus in Ogg of the gateway is a voice note and MP3 is not, both byte for byte", async (t) => {
  const at = await meeting(t);
  await inBoth(at, async (chat) => {
    for (const [data, mimetype] of [
      [opus(4_200), undefined],
      [opus(4_200), "audio/ogg"],
    ] as const) {
      const note = await at.gateway.sends({
        type: "audio",
        to: chat.to,
        media: { data: base64(data), mimetype },
      });
      assert.deepEqual(await file(at, chat, note, "audio", data), {
        mimetype: "audio/ogg; codecs=opus",
        ptt: true,
        seconds: 4,
      });
    }
    const data = mp3();
    const song = await at.gateway.sends({ type: "audio", to: chat.to, media: { data: base64(data) } });
    assert.deepEqual(await file(at, chat, song, "audio", data), { mimetype: "audio/mpeg", ptt: false });
  });
});

test("documents of the gateway, by their names, with a caption and without, byte for byte", async (t) => {
  const at = await meeting(t);
  const data = Buffer.concat([Buffer.from("%PDF-1.7\n"), randomBytes(3_000)]);
  await inBoth(at, async (chat) => {
    const filename = "Bericht №1.pdf";
    const named = { mimetype: "application/pdf", fileName: filename, title: filename };
    const bare = await at.gateway.sends({
      type: "document",
      to: chat.to,
      media: { data: base64(data), filename },
    });
    assert.deepEqual(await file(at, chat, bare, "document", data), named);
    const captioned = await at.gateway.sends({
      type: "document",
      to: chat.to,
      media: { data: base64(data), filename },
      caption: "to be read",
    });
    assert.deepEqual(await file(at, chat, captioned, "document", data), { ...named, caption: "to be read" });
    const { documentWithCaptionMessage } = await received(at, chat, captioned);
    assert.ok(documentWithCaptionMessage, "not in its envelope");
    const nameless = await at.gateway.sends({
      type: "document",
      to: chat.to,
      media: { data: base64(data) },
    });
    assert.deepEqual(await file(at, chat, nameless, "document", data), {
      mimetype: "application/pdf",
      fileName: "document.pdf",
      title: "document.pdf",
    });
    const noise = randomBytes(65_536);
    const strange = await at.gateway.sends({
      type: "document",
      to: chat.to,
      media: { data: base64(noise), mimetype: "application/x-own" },
    });
    assert.deepEqual(await file(at, chat, strange, "document", noise), {
      mimetype: "application/x-own",
      fileName: "document",
      title: "document",
    });
  });
});

test("a sticker of the gateway, byte for byte", async (t) => {
  const at = await meeting(t);
  await inBoth(at, async (chat) => {
    const data = webp(512, 512);
    const id = await at.gateway.sends({ type: "sticker", to: chat.to, media: { data: base64(data) } });
    assert.deepEqual(await file(at, chat, id, "sticker", data), {
      mimetype: "image/webp",
      width: 512,
      height: 512,
      isAnimated: false,
    });
  });
});

test("an album of the gateway is announced, and each of its files belongs to it", async (t) => {
  const at = await meeting(t);
  const { gateway, baileys, bob } = at;
  await inBoth(at, async (chat) => {
    const files = [jpeg(80, 60), mp4(320, 240, 1_000), png(60, 80)] as const;
    const id = await gateway.sends({
      type: "album",
      to: chat.to,
      caption: "our trip",
      medias: files.map((data) => ({ data: base64(data) })),
    });
    assert.deepEqual(await received(at, chat, id), {
      albumMessage: { expectedImageCount: 2, expectedVideoCount: 1 },
    });
    const parts: Plain[] = [];
    for (const [index, data] of files.entries()) {
      // Whoever sends it is told the album's id alone.
      const part = await baileys.all.first(`file ${index} of the album`, holds(data));
      const partId = String(part.key.id);
      const { messageContextInfo } = await received(at, chat, partId);
      const messageAssociation = {
        associationType: "MEDIA_ALBUM",
        parentMessageKey: { remoteJid: chat.to, fromMe: true, id },
      };
      assert.deepEqual(messageContextInfo, { messageAssociation });
      parts.push(await file(at, chat, partId, index === 1 ? "video" : "image", data));
      assert.equal(((await bob.gets(partId)).content["album"] as Plain | undefined)?.["id"], id);
    }
    const [first, second, third] = parts.map(({ jpegThumbnail: _, ...part }) => part);
    assert.deepEqual(first, { mimetype: "image/jpeg", width: 80, height: 60, caption: "our trip" });
    assert.deepEqual(second, { mimetype: "video/mp4", width: 320, height: 240, seconds: 1 });
    assert.deepEqual(third, { mimetype: "image/png", width: 60, height: 80 });
    isPreview(parts[0]?.["jpegThumbnail"], 80, 60);
    isPreview(parts[2]?.["jpegThumbnail"], 60, 80);
    const order = files.map((data) => baileys.all.all.findIndex(holds(data)));
    assert.deepEqual(
      order,
      order.toSorted((one, other) => one - other),
      "out of order",
    );
  });
});

test("files the gateway fetches are sent as those it is given", async (t) => {
  const at = await meeting(t);
  const picture = jpeg(96, 96);
  const paper = randomBytes(70_000);
  const film = mp4(32, 32, 9_000);
  const note = opus(1_000);
  const stamp = webp(10, 20);
  const { url, asked } = await served(t, {
    "/a%20picture": { bytes: picture, type: "application/octet-stream" },
    "/Plan%20B.xyz": { bytes: paper, type: "application/x-plan" },
    "/film.mp4": { bytes: film, type: "text/plain" },
    "/note": { bytes: note, type: "audio/ogg" },
    "/stamp": { bytes: stamp, type: "image/webp" },
  });
  await inBoth(at, async (chat) => {
    const sends = (type: string, path: string) =>
      at.gateway.sends({ type, to: chat.to, media: { url: `${url}${path}` } });
    const { jpegThumbnail, ...shownPicture } = await file(
      at,
      chat,
      await sends("image", "/a%20picture"),
      "image",
      picture,
    );
    assert.deepEqual(shownPicture, { mimetype: "image/jpeg", width: 96, height: 96 });
    isPreview(jpegThumbnail, 96, 96);
    const named = { fileName: "Plan B.xyz", title: "Plan B.xyz" };
    assert.deepEqual(await file(at, chat, await sends("document", "/Plan%20B.xyz"), "document", paper), {
      mimetype: "application/x-plan",
      ...named,
    });
    assert.deepEqual(await file(at, chat, await sends("video", "/film.mp4"), "video", film), {
      mimetype: "video/mp4",
      width: 32,
      height: 32,
      seconds: 9,
    });
    assert.deepEqual(await file(at, chat, await sends("audio", "/note"), "audio", note), {
      mimetype: "audio/ogg; codecs=opus",
      ptt: true,
      seconds: 1,
    });
    assert.deepEqual(await file(at, chat, await sends("sticker", "/stamp"), "sticker", stamp), {
      mimetype: "image/webp",
      width: 10,
      height: 20,
      isAnimated: false,
    });
    const album = await at.gateway.sends({
      type: "album",
      to: chat.to,
      medias: [
        { type: "image", url: `${url}/a%20picture` },
        { type: "video", url: `${url}/film.mp4` },
      ],
    });
    assert.deepEqual(await received(at, chat, album), {
      albumMessage: { expectedImageCount: 1, expectedVideoCount: 1 },
    });
  });
  // Each once for each message.
  assert.equal(asked.length, 14, asked.join());
  const missing = await at.gateway.asks("POST", "", {
    type: "image",
    to: at.bob.jid,
    media: { url: `${url}/nothing` },
  });
  assert.equal(missing.status, 400);
  const { details } = missing.answer["error"] as { details: Plain };
  assert.deepEqual([details["field"], details["status"]], ["media.url", 404]);
});

// What is about messages.

test("an edit of the gateway changes the text, or the caption alone, of the message Baileys has", async (t) => {
  const at = await meeting(t);
  const { gateway, baileys } = at;
  await inBoth(at, async (chat) => {
    const edits = async (target: string, text: string, editedMessage: Plain) => {
      const asked = Date.now();
      const id = await gateway.does("PATCH", `/${target}`, { chat: chat.to, text });
      assert.notEqual(id, target);
      const { says } = await shown(at, chat, id);
      const { timestampMs, ...protocolMessage } = says["protocolMessage"] as Plain;
      assert.ok(Math.abs(Number(timestampMs) - asked) < 60_000);
      assert.deepEqual(
        { ...says, protocolMessage },
        {
          protocolMessage: {
            key: ownKey(chat, target),
            type: "MESSAGE_EDIT",
            editedMessage,
          },
        },
      );
      const { update } = await baileys.changes.first(
        `the edit of ${target}`,
        ({ key, update }) => key.id === target && changedText(update) === text,
      );
      assert.deepEqual(plain(update.message?.editedMessage?.message), editedMessage);
    };
    const text = await gateway.sends({ type: "text", to: chat.to, text: "tpyo" });
    await baileys.gets(text);
    await edits(text, "typo", { conversation: "typo" });
    await edits(text, "typo, again", { conversation: "typo, again" });

    const data = jpeg(20, 10);
    const media = { data: base64(data) };
    const picture = await gateway.sends({ type: "image", to: chat.to, media, caption: "befroe" });
    const { imageMessage } = await received(at, chat, picture);
    await edits(picture, "after", { imageMessage: { ...(imageMessage as Plain), caption: "after" } });

    const paper = await gateway.sends({ type: "document", to: chat.to, media, caption: "befroe" });
    const { documentWithCaptionMessage } = await received(at, chat, paper);
    const { documentMessage } = (documentWithCaptionMessage as { message: { documentMessage: Plain } })
      .message;
    await edits(paper, "after", { documentMessage: { ...documentMessage, caption: "after" } });

    const theirs = await baileys.say(chat.shownAs, { text: "not yours" });
    await gateway.session.event("message", { waMessageId: theirs.id });
    const { status } = await gateway.asks("PATCH", `/${theirs.id}`, { chat: chat.to, text: "mine" });
    assert.equal(status, 409);
  });
});

test("what the gateway takes back is taken back at Baileys, its own and as an admin another's", async (t) => {
  const at = await meeting(t);
  const { gateway, baileys, carol, bob } = at;
  await inBoth(at, async (chat) => {
    const takesBack = async (target: string, key: Plain, more: Plain = {}) => {
      const id = await gateway.does("DELETE", `/${target}`, { chat: chat.to, ...more });
      const { says } = await shown(at, chat, id);
      assert.deepEqual(says, { protocolMessage: { key, type: "REVOKE" } });
      const { update } = await baileys.changes.first(
        `the end of ${target}`,
        ({ key, update }) => key.id === target && update.messageStubType === StubType.REVOKE,
      );
      assert.equal(update.message, null);
      assert.equal((await gateway.asks("DELETE", `/${target}`, { chat: chat.to })).status, 404);
    };
    const own = await gateway.sends({ type: "text", to: chat.to, text: "not meant" });
    await baileys.gets(own);
    await takesBack(own, { remoteJid: chat.to, fromMe: true, id: own });

    const theirs = await baileys.say(chat.shownAs, { text: "spam" });
    await gateway.session.event("message", { waMessageId: theirs.id });
    if (!chat.isGroup) {
      const { status, answer } = await gateway.asks("DELETE", `/${theirs.id}`, { chat: chat.to });
      assert.equal(status, 409, JSON.stringify(answer));
      return;
    }
    const key = { remoteJid: chat.to, fromMe: false };
    await takesBack(theirs.id, { ...key, id: theirs.id, participant: bob.lid });
    for (const sender of [carol.number, carol.jid, carol.lid]) {
      const spam = await carol.send(chat.to, `more spam for ${sender}`);
      await gateway.session.event("message", { waMessageId: spam });
      await baileys.gets(spam);
      await takesBack(spam, { ...key, id: spam, participant: carol.lid }, { sender });
    }
  });
});

test("a reaction of the gateway, another in its place, and none any more", async (t) => {
  const at = await meeting(t);
  const { gateway, baileys, carol } = at;
  await inBoth(at, async (chat) => {
    const reacts = async (method: string, target: string, emoji: string, key: Plain, more: Plain = {}) => {
      const asked = Date.now();
      const body = method === "POST" ? { emoji } : {};
      const id = await gateway.does(method, `/${target}/reaction`, { chat: chat.to, ...body, ...more });
      const { says } = await shown(at, chat, id);
      const { senderTimestampMs, ...reactionMessage } = says["reactionMessage"] as Plain;
      assert.ok(Math.abs(Number(senderTimestampMs) - asked) < 60_000);
      assert.deepEqual({ ...says, reactionMessage }, { reactionMessage: { key, text: emoji } });
      const told = await baileys.reactions.first(`reaction ${id}`, ({ reaction }) => reaction.key?.id === id);
      assert.deepEqual([told.key.id, told.key.fromMe, told.reaction.text], [target, key["fromMe"], emoji]);
    };
    const own = await gateway.sends({ type: "text", to: chat.to, text: "look" });
    await baileys.gets(own);
    // Baileys turns keys round: as it sees them, not as they were written.
    const participant = chat.isGroup ? { participant: chat.alice } : { participant: "" };
    const ofAlice = { remoteJid: chat.shownAs, fromMe: false, id: own, ...participant };
    await reacts("POST", own, "👍", ofAlice);
    await reacts("POST", own, "👩🏽‍🚀", ofAlice);
    await reacts("DELETE", own, "", ofAlice);

    const theirs = await baileys.say(chat.shownAs, { text: "and you?" });
    await gateway.session.event("message", { waMessageId: theirs.id });
    const by = chat.isGroup ? { participant: chat.bob } : { participant: "" };
    const ofBob = { remoteJid: chat.shownAs, fromMe: true, id: theirs.id, ...by };
    await reacts("POST", theirs.id, "❤️", ofBob);
    await reacts("DELETE", theirs.id, "", ofBob);

    if (!chat.isGroup) return;
    const third = await carol.send(chat.to, "hello from Carol");
    await gateway.session.event("message", { waMessageId: third });
    const ofCarol = { remoteJid: chat.to, fromMe: false, id: third, participant: carol.lid };
    await reacts("POST", third, "🇩🇪", ofCarol);
    // One that it doesn't know, by whom it is said to be.
    const unknown = { ...ofCarol, id: "3EB0FEDCBA9876543210" };
    await reacts("POST", unknown.id, "🙏", unknown, { sender: carol.number });
  });
});

test("what the gateway passes on is marked so, and its file is the same, not uploaded again", async (t) => {
  const at = await meeting(t);
  const { gateway, baileys } = at;
  const marked = { contextInfo: { isForwarded: true, forwardingScore: 0 } };
  for (const [from, to] of [at.chats, at.chats.toReversed()] as [Chat, Chat][]) {
    const passesOn = async (target: string) =>
      gateway.does("POST", `/${target}/forward`, { chat: from.to, to: to.to });

    const text = await gateway.sends({ type: "text", to: from.to, text: "pass it on" });
    const once = await passesOn(text);
    assert.notEqual(once, text);
    assert.deepEqual(await received(at, to, once), {
      extendedTextMessage: { text: "pass it on", ...marked },
    });

    const theirs = await baileys.say(from.shownAs, { text: "from Bob", mentions: [from.bob] });
    await gateway.session.event("message", { waMessageId: theirs.id });
    assert.deepEqual(await received(at, to, await passesOn(theirs.id)), {
      // Zero is what Baileys says of everybody mentioned by "@all".
      extendedTextMessage: { text: "from Bob", contextInfo: { ...marked.contextInfo, nonJidMentions: 0 } },
    });

    // Passed on once more: how often it was is counted.
    const again = await gateway.does("POST", `/${once}/forward`, { chat: to.to, to: from.to });
    assert.deepEqual(await received(at, from, again), {
      extendedTextMessage: { text: "pass it on", contextInfo: { isForwarded: true, forwardingScore: 1 } },
    });

    const data = jpeg(30, 40);
    const media = { data: base64(data) };
    const own = await gateway.sends({ type: "image", to: from.to, media, caption: "mine" });
    const { imageMessage } = await received(at, from, own);
    const passed = await passesOn(own);
    assert.deepEqual(await received(at, to, passed), {
      imageMessage: { ...(imageMessage as Plain), ...marked },
    });
    assert.deepEqual(await baileys.downloads(await baileys.gets(passed)), data);

    const note = opus(2_000);
    // Not among the fields it declares; it would have to compute it otherwise.
    const spoken = { audio: note, ptt: true, seconds: 2, waveform: new Uint8Array(64).fill(9) };
    const said = await baileys.say(from.shownAs, spoken);
    await gateway.session.event("message", { waMessageId: said.id });
    const { audioMessage } = plain(said.message);
    const onward = await passesOn(said.id);
    assert.deepEqual(await received(at, to, onward), {
      audioMessage: { ...(audioMessage as Plain), ...marked },
    });
    assert.deepEqual(await baileys.downloads(await baileys.gets(onward)), note);

    const paper = randomBytes(999);
    const written = await gateway.sends({
      type: "document",
      to: from.to,
      media: { data: base64(paper), filename: "a.bin" },
      caption: "read",
    });
    const inside = (says: Plain) =>
      (says["documentWithCaptionMessage"] as { message: { documentMessage: Plain } }).message.documentMessage;
    const original = inside(await received(at, from, written));
    const handed = await passesOn(written);
    assert.deepEqual(inside(await received(at, to, handed)), { ...original, ...marked });
    assert.deepEqual(await baileys.downloads(await baileys.gets(handed)), paper);
  }
  assert.deepEqual(baileys.errors, []);
});

// Votes.

test("the gateway votes in Baileys' poll, otherwise, and not at all", async (t) => {
  const at = await meeting(t);
  const { alice, gateway, baileys } = at;
  const values = ["Pizza", "Sushi 🍣", "Nothing"];
  await inBoth(at, async (chat) => {
    const poll = await baileys.say(chat.shownAs, { poll: { name: "Lunch?", values, selectableCount: 0 } });
    await gateway.session.event("message", { waMessageId: poll.id });
    const secret = poll.message?.messageContextInfo?.messageSecret;
    assert.ok(secret, "no secret");
    for (const options of [["Sushi 🍣"], ["Pizza", "Nothing"], []]) {
      const asked = Date.now();
      const id = await gateway.does("POST", `/${poll.id}/vote`, { chat: chat.to, options });
      const { says, message } = await shown(at, chat, id);
      const { vote, senderTimestampMs, ...update } = says["pollUpdateMessage"] as Plain;
      assert.ok(Math.abs(Number(senderTimestampMs) - asked) < 60_000);
      assert.deepEqual(
        { ...says, pollUpdateMessage: update },
        {
          pollUpdateMessage: {
            pollCreationMessageKey: {
              // As Baileys turns it round.
              remoteJid: chat.shownAs,
              fromMe: true,
              id: poll.id,
              participant: chat.isGroup ? chat.bob : "",
            },
          },
        },
      );
      assert.deepEqual(Object.keys(vote as Plain).sort(), ["encIv", "encPayload"]);
      const sealed = message.message?.pollUpdateMessage?.vote;
      assert.ok(sealed);
      const opened = decryptPollVote(sealed, {
        pollCreatorJid: chat.bob,
        pollMsgId: poll.id,
        pollEncKey: Buffer.from(secret),
        voterJid: chat.alice,
      });
      const update_ = { pollUpdateMessageKey: message.key, vote: opened };
      const counted = getAggregateVotesInPollMessage({
        message: poll.message ?? null,
        pollUpdates: [update_],
      });
      // Whoever votes is known to Baileys by their other name.
      const voter = chat.isGroup ? alice.jid : alice.lid;
      assert.deepEqual(
        counted,
        values.map((name) => ({ name, voters: options.includes(name) ? [voter] : [] })),
      );
      // The vote is told to the gateway's readers as well.
      const told = await gateway.vote(id);
      assert.deepEqual(
        [told["targetId"], told["selectedOptions"], told["fromMe"], told["chatJid"], told["senderJid"]],
        [poll.id, options, true, chat.to, alice.jid],
      );
    }
    const wrong = await gateway.asks("POST", `/${poll.id}/vote`, { chat: chat.to, options: ["Soup"] });
    assert.equal(wrong.status, 400);
  });
});

test("Baileys votes in the gateway's poll, and what for is told", async (t) => {
  const at = await meeting(t);
  const { gateway, baileys, bob } = at;
  const options = ["Pizza", "Sushi 🍣", "Nothing"];
  await inBoth(at, async (chat) => {
    const poll = await gateway.sends({ type: "poll", to: chat.to, name: "Lunch?", options });
    const { secret, message } = await shown(at, chat, poll);
    assert.ok(secret, "no secret");
    for (const chosen of [["Sushi 🍣"], ["Pizza", "Nothing"], []]) {
      const id = await baileys.votes(chat.shownAs, {
        poll: message.key,
        creator: chat.alice,
        voter: chat.bob,
        secret,
        options: chosen,
      });
      const { timestamp, ...told } = await gateway.vote(id);
      assert.ok(Math.abs(Number(timestamp) - Date.now()) < 60_000);
      assert.deepEqual(told, {
        waMessageId: id,
        chatJid: chat.to,
        senderJid: bob.jid,
        senderLid: bob.lid,
        fromMe: false,
        pushName: bob.pushName,
        type: "poll_vote",
        hasMedia: false,
        media: {},
        targetId: poll,
        selectedOptions: chosen,
      });
    }
  });
});

/** The key of a message of the gateway, as it writes it. */
function ownKey(chat: Chat, id: string): Plain {
  const participant = chat.isGroup ? { participant: chat.alice } : {};
  return { remoteJid: chat.to, fromMe: true, id, ...participant };
}

function changedText({ message }: Partial<WAMessage>): string | undefined {
  const edited = message?.editedMessage?.message;
  return (
    edited?.conversation ?? edited?.imageMessage?.caption ?? edited?.documentMessage?.caption ?? undefined
  );
}

/**
 * A file at Baileys: downloaded and compared; where it lies and what it is encrypted with are checked by what lies there.
 * What remains of its message.
 */
async function file(
  at: Meeting,
  chat: Chat,
  id: string,
  kind: MediaType & ("image" | "video" | "audio" | "document" | "sticker"),
  data: Buffer,
): Promise<Plain> {
  const { says, secret, message } = await shown(at, chat, id);
  assert.equal(secret?.length, 32, "no secret");
  const wrapper = says["documentWithCaptionMessage"] ?? says["associatedChildMessage"];
  const envelope = wrapper as { message: Plain } | undefined;
  const { messageContextInfo: _, ...only } = envelope?.message ?? says;
  assert.deepEqual(Object.keys(only), [`${kind}Message`]);
  const {
    url,
    directPath,
    mediaKey,
    fileSha256,
    fileEncSha256,
    fileLength,
    mediaKeyTimestamp,
    streamingSidecar,
    ...rest
  } = only[`${kind}Message`] as Plain;
  assert.equal(fileLength, data.length);
  assert.equal(fileSha256, hash(data));
  assert.ok(Math.abs(Number(mediaKeyTimestamp) - Date.now() / 1_000) < 60);
  assert.match(String(directPath), /^\/v\//);
  assert.ok(String(url).endsWith(String(directPath)), String(url));
  const { macKey, iv } = await getMediaKeys(Buffer.from(String(mediaKey), "base64"), kind);
  const response = await fetch(String(url));
  assert.equal(response.status, 200);
  const lying = Buffer.from(await response.arrayBuffer());
  assert.equal(fileEncSha256, hash(lying));
  assert.ok(macKey);
  const mac = (bytes: Buffer) => createHmac("sha256", macKey).update(bytes).digest().subarray(0, 10);
  // Baileys doesn't look at it.
  assert.deepEqual(lying.subarray(-10), mac(Buffer.concat([iv, lying.subarray(0, -10)])));
  const isPlayed = kind === "video" || kind === "audio";
  assert.equal(streamingSidecar, isPlayed ? base64(mac(lying)) : undefined);
  assert.deepEqual(await at.baileys.downloads(message), data);
  return rest;
}

/** A JPEG that is the picture made small. */
function isPreview(thumbnail: unknown, width: number, height: number): void {
  const bytes = Buffer.from(String(thumbnail), "base64");
  assert.deepEqual(bytes.subarray(0, 3), Buffer.of(0xff, 0xd8, 0xff));
  assert.deepEqual(bytes.subarray(-2), Buffer.of(0xff, 0xd9));
  assert.ok(bytes.length <= 5 * 1024, `${bytes.length} bytes`);
  const frame = bytes.indexOf(Buffer.of(0xff, 0xc0));
  const [shownWidth, shownHeight] = [bytes.readUInt16BE(frame + 7), bytes.readUInt16BE(frame + 5)];
  const scale = Math.min(1, 96 / Math.max(width, height));
  const near = (side: number, wanted: number) => Math.abs(side - wanted * scale) <= 1;
  assert.ok(
    near(shownWidth, width) && near(shownHeight, height),
    `${width} × ${height} became ${shownWidth} × ${shownHeight}`,
  );
}

/** A server of files, gone when the test is over; what it was asked for. */
async function served(
  t: TestContext,
  files: Readonly<Record<string, { readonly bytes: Buffer; readonly type: string }>>,
): Promise<{ readonly url: string; readonly asked: readonly string[] }> {
  const asked: string[] = [];
  const server = createServer(({ url = "" }: IncomingMessage, response: ServerResponse) => {
    asked.push(url);
    const found = files[url];
    if (found === undefined) response.writeHead(404).end();
    else response.writeHead(200, { "content-type": found.type }).end(found.bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

/** Whether a message is a picture or a video of this file. */
function holds(data: Buffer): (message: WAMessage) => boolean {
  return ({ message }) => {
    const inner = normalizeMessageContent(message ?? undefined);
    const sha256 = inner?.imageMessage?.fileSha256 ?? inner?.videoMessage?.fileSha256;
    return sha256 != null && base64(sha256) === hash(data);
  };
}

/** Field 10 of a poll of that name, `hideParticipantName`, as Baileys decrypted it. */
function hidesVotes(name: string): unknown {
  const polls = decrypted
    .flatMap((message) => fields(message))
    .flatMap(([number, value]) =>
      [49, 64].includes(number) && Buffer.isBuffer(value) ? [fields(value)] : [],
    )
    .filter((poll) => poll.some(([number, value]) => number === 2 && String(value) === name));
  assert.equal(polls.length, 1, `${polls.length} polls called ${name}`);
  return polls[0]?.find(([number]) => number === 10)?.[1];
}

/** The fields of a protobuf: numbers, and bytes. */
function fields(bytes: Buffer): [number, number | Buffer][] {
  const found: [number, number | Buffer][] = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes.readUInt8(at++);
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const type = tag % 8;
    if (type === 0) {
      found.push([Math.floor(tag / 8), varint()]);
      continue;
    }
    const length = { 1: 8, 5: 4 }[type] ?? varint();
    found.push([Math.floor(tag / 8), bytes.subarray(at, at + length)]);
    at += length;
  }
  return found;
}

function hash(data: Uint8Array): string {
  return createHash("sha256").update(data).digest("base64");
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

// Files, by their specifications. Each is another one whenever it is made.

/** One colour, and a comment. */
function jpeg(width: number, height: number): Buffer {
  const segment = (marker: number, ...payload: number[]) => [
    0xff,
    marker,
    (payload.length + 2) >> 8,
    (payload.length + 2) & 0xff,
    ...payload,
  ];
  const big = (number: number) => [number >> 8, number & 0xff];
  // The codes of the brightness: 0 for "as before", 10 for "so much more", and 7 bits. Then 0, for no pattern.
  const blocks = Math.ceil(width / 8) * Math.ceil(height / 8);
  const bits = `10${"1100100"}0${"00".repeat(blocks - 1)}`;
  const scan = bits.padEnd(Math.ceil(bits.length / 8) * 8, "1").match(/.{8}/g) ?? [];
  return Buffer.from([
    ...[0xff, 0xd8],
    ...segment(0xe0, 0x4a, 0x46, 0x49, 0x46, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0),
    ...segment(0xfe, ...randomBytes(300)),
    ...segment(0xdb, 0, ...Array<number>(64).fill(8)),
    ...segment(0xc0, 8, ...big(height), ...big(width), 1, 1, 0x11, 0),
    ...segment(0xc4, 0x00, 1, 1, ...Array<number>(14).fill(0), 0, 7),
    ...segment(0xc4, 0x10, 1, ...Array<number>(15).fill(0), 0),
    ...segment(0xda, 1, 1, 0x00, 0, 63, 0),
    ...scan.map((byte) => Number.parseInt(byte, 2)),
    ...[0xff, 0xd9],
  ]);
}

/** Noise. */
function png(width: number, height: number): Buffer {
  const chunk = (type: string, body: Buffer) => {
    const named = Buffer.concat([Buffer.from(type), body]);
    return Buffer.concat([uint32(body.length), named, uint32(crc32(named))]);
  };
  const rows = Array.from({ length: height }, () => Buffer.concat([Buffer.of(0), randomBytes(width * 3)]));
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", Buffer.concat([uint32(width), uint32(height), Buffer.of(8, 2, 0, 0, 0)])),
    chunk("IDAT", deflateSync(Buffer.concat(rows))),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** Lossless, of one colour: codes with one symbol take no bits. */
function webp(width: number, height: number): Buffer {
  const bit = (value: number, length: number) =>
    value.toString(2).padStart(length, "0").split("").reverse().join("");
  const [red, green, blue] = [...randomBytes(3)];
  const symbols = [green, red, blue, 255].map((symbol) => `101${bit(symbol ?? 0, 8)}`);
  const bits = `${bit(width - 1, 14)}${bit(height - 1, 14)}0000000${symbols.join("")}1000`;
  const bytes = bits.padEnd(Math.ceil(bits.length / 16) * 16, "0").match(/.{8}/g) ?? [];
  const body = [0x2f, ...bytes.map((byte) => Number.parseInt(byte.split("").reverse().join(""), 2)), 0];
  const length = Buffer.alloc(4);
  length.writeUInt32LE(body.length);
  const chunk = Buffer.concat([Buffer.from("WEBPVP8L"), length, Buffer.from(body)]);
  length.writeUInt32LE(chunk.length);
  return Buffer.concat([Buffer.from("RIFF"), length, chunk]);
}

/** A film's boxes, as far as players look before they play. */
function mp4(width: number, height: number, milliseconds: number): Buffer {
  const box = (name: string, ...body: Buffer[]) => {
    const inner = Buffer.concat(body);
    return Buffer.concat([uint32(inner.length + 8), Buffer.from(name), inner]);
  };
  const matrix = [0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000].map(uint32);
  const zeros = (length: number) => Buffer.alloc(length);
  const header = box(
    "mvhd",
    ...[zeros(12), uint32(1_000), uint32(milliseconds), uint32(0x10000), Buffer.of(1, 0), zeros(10)],
    ...[...matrix, zeros(24), uint32(2)],
  );
  const track = box(
    "tkhd",
    ...[uint32(7), zeros(8), uint32(1), zeros(4), uint32(milliseconds), zeros(16)],
    ...[...matrix, uint32(width * 0x10000), uint32(height * 0x10000)],
  );
  const handler = box("hdlr", zeros(8), Buffer.from("vide"), zeros(13));
  return Buffer.concat([
    box("ftyp", Buffer.from("isom"), uint32(512), Buffer.from("isomiso2mp41")),
    box("moov", header, box("trak", track, box("mdia", handler))),
    box("mdat", randomBytes(5_000)),
  ]);
}

/** Pages of Ogg with a header of Opus, and noise for sound. */
function opus(milliseconds: number): Buffer {
  const page = (granule: number, body: Buffer) => {
    const head = Buffer.alloc(28);
    head.write("OggS");
    head.writeBigUInt64LE(BigInt(granule), 6);
    head.writeUInt32LE(7, 14);
    head.writeUInt8(1, 26);
    head.writeUInt8(body.length, 27);
    return Buffer.concat([head, body]);
  };
  const skipped = 312;
  const head = Buffer.from("OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0", "latin1");
  return Buffer.concat([
    page(0, head),
    page(0, Buffer.from("OpusTags")),
    page(milliseconds * 48 + skipped, randomBytes(250)),
  ]);
}

/** Frames of 128 kbit/s at 44.1 kHz. */
function mp3(): Buffer {
  const frame = () => Buffer.concat([Buffer.of(0xff, 0xfb, 0x90, 0), randomBytes(413)]);
  return Buffer.concat(Array.from({ length: 10 }, frame));
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
