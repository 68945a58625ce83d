// Baileys and simulated phones send each other pictures, voice notes and documents.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { type TestContext, test } from "node:test";
import type { proto } from "baileys";
import { Companion } from "./baileys-client.ts";
import { GatewaySession } from "./gateway-client.ts";
import { expireFile, Fault, openedFile, Phone } from "./simulator-client.ts";

/** Alice with a Baileys linked to her phone, and Bob with a phone alone. */
async function aliceAndBob(t: TestContext): Promise<{ alice: Phone; companion: Companion; bob: Phone }> {
  const [alice, bob] = await Promise.all([Phone.create("Alice"), Phone.create("Bob")]);
  return { alice, bob, companion: await Companion.paired(t, alice) };
}

function sha256(data: Uint8Array): Buffer {
  return createHash("sha256").update(data).digest();
}

function base64(bytes: Uint8Array | null | undefined): string {
  assert.ok(bytes, "no bytes");
  return Buffer.from(bytes).toString("base64");
}

/** What every kind of media says about its file. */
function describes(
  content: { readonly [field: string]: unknown },
  sent:
    | proto.Message.IImageMessage
    | proto.Message.IAudioMessage
    | proto.Message.IDocumentMessage
    | null
    | undefined,
  data: Buffer,
): void {
  assert.ok(sent, "Baileys sent something else");
  assert.equal(content["mimetype"], sent.mimetype);
  assert.equal(content["fileLength"], data.length);
  assert.equal(content["fileSha256"], sha256(data).toString("base64"));
  assert.equal(content["fileEncSha256"], base64(sent.fileEncSha256));
  assert.equal(content["mediaKey"], base64(sent.mediaKey));
  assert.equal(content["directPath"], sent.directPath);
}

test("a picture from Baileys arrives on the phone, every field and every byte", async (t) => {
  const { alice, companion, bob } = await aliceAndBob(t);
  const data = randomBytes(123_457);
  const thumbnail = randomBytes(200).toString("base64");
  const sent = await companion.say(bob.jid, {
    image: data,
    caption: "grüße",
    mimetype: "image/png",
    width: 640,
    height: 480,
    jpegThumbnail: thumbnail,
  });
  for (const phone of [bob, alice]) {
    const { kind, text, content } = await phone.gets(sent.id);
    assert.equal(kind, "image");
    assert.equal(text, null);
    describes(content, sent.message?.imageMessage, data);
    assert.equal(content["caption"], "grüße");
    assert.deepEqual([content["width"], content["height"]], [640, 480]);
    assert.equal(content["thumbnail"], thumbnail);
  }
  assert.deepEqual(await openedFile(sha256(data)), data);
});

test("a voice note from Baileys arrives and can be played", async (t) => {
  const { alice, companion, bob } = await aliceAndBob(t);
  const data = randomBytes(9_999);
  const waveform = new Uint8Array(64).fill(7);
  // Not among the fields it declares, and taken all the same: it would have to compute it otherwise.
  const note = { audio: data, ptt: true, seconds: 3, waveform, mimetype: "audio/ogg; codecs=opus" };
  const sent = await companion.say(bob.jid, note);
  const { kind, content } = await bob.gets(sent.id);
  assert.equal(kind, "audio");
  describes(content, sent.message?.audioMessage, data);
  assert.deepEqual([content["ptt"], content["seconds"]], [true, 3]);
  assert.equal(content["waveform"], base64(waveform));
  assert.deepEqual(await openedFile(sha256(data)), data);
  await bob.play(alice.jid, [sent.id]);
  await alice.receipt("played", sent.id);
});

test("a document from Baileys arrives with its name", async (t) => {
  const { companion, bob } = await aliceAndBob(t);
  const data = randomBytes(50_000);
  const sent = await companion.say(bob.jid, {
    document: data,
    fileName: "Bericht №1.pdf",
    mimetype: "application/pdf",
    caption: "to be read",
  });
  const { kind, content } = await bob.gets(sent.id);
  assert.equal(kind, "document");
  describes(content, sent.message?.documentMessage, data);
  assert.deepEqual([content["fileName"], content["caption"]], ["Bericht №1.pdf", "to be read"]);
  assert.deepEqual(await openedFile(sha256(data)), data);
});

test("Baileys downloads what a phone sends, byte for byte", async (t) => {
  const { alice, companion, bob } = await aliceAndBob(t);
  const data = randomBytes(77_777);
  const encoded = data.toString("base64");
  const image = await bob.say({
    to: alice.jid,
    kind: "image",
    data: encoded,
    caption: "c",
    width: 3,
    height: 4,
  });
  const note = await bob.say({ to: alice.jid, kind: "audio", data: encoded, ptt: true, seconds: 2 });
  const paper = await bob.say({ to: alice.jid, kind: "document", data: encoded, fileName: "a.bin" });
  const shown = await companion.gets(image);
  assert.equal(shown.message?.imageMessage?.caption, "c");
  assert.deepEqual([shown.message?.imageMessage?.width, shown.message?.imageMessage?.height], [3, 4]);
  assert.equal((await companion.gets(note)).message?.audioMessage?.ptt, true);
  assert.equal((await companion.gets(paper)).message?.documentMessage?.fileName, "a.bin");
  for (const id of [image, note, paper]) {
    assert.deepEqual(await companion.downloads(await companion.gets(id)), data);
  }
});

test("Baileys asks for a file that is gone, and its phone uploads it again", async (t) => {
  const { alice, companion, bob } = await aliceAndBob(t);
  const data = randomBytes(5_000);
  const id = await bob.say({ to: alice.jid, kind: "image", data: data.toString("base64") });
  const message = await companion.gets(id);
  await alice.gets(id);
  await expireFile(sha256(data));
  await assert.rejects(companion.downloads(message), /Failed to fetch/);
  // Until it has asked for the hosts, Baileys would look for the file on WhatsApp's own.
  const { socket } = companion.connection;
  await socket.refreshMediaConn();
  const again = await socket.updateMediaMessage(message);
  assert.deepEqual(await companion.downloads(again), data);
});

test("Baileys goes to the next host, and for new credentials", async (t) => {
  const { alice, companion, bob } = await aliceAndBob(t);
  const faults = [
    { kind: "media_error", status: 503, host: 1, on: "upload", count: 1 },
    { kind: "media_error", host: 1, on: "upload", count: 1 },
    { kind: "media_auth_expired" },
  ];
  for (const fault of faults) {
    const armed = await Fault.arm(alice.number, fault);
    const data = randomBytes(3_000);
    const sent = await companion.say(bob.jid, { document: data, mimetype: "text/plain" });
    await bob.gets(sent.id);
    assert.deepEqual(await openedFile(sha256(data)), data);
    await armed.struck();
  }
});

test("the gateway hands on what Baileys encrypts, at every edge of a block and of what it keeps", async (t) => {
  const { companion, bob } = await aliceAndBob(t);
  const session = await GatewaySession.paired(t, bob);
  // Baileys has its own AES, MAC and padding; what is larger than 1 MiB is streamed. Nothing a proxy would compress.
  for (const length of [1, 15, 16, 17, 2 ** 20, 2 ** 20 + 1, 5_000_000]) {
    const document = randomBytes(length);
    const sent = await companion.say(bob.jid, { document, mimetype: "application/zip", fileName: "a.zip" });
    await session.event("message", { waMessageId: sent.id });
    const { headers, file } = await session.media(sent.id);
    assert.deepEqual(sha256(file), sha256(document), `${length} bytes`);
    assert.equal(headers.get("content-length"), String(length));
    assert.equal(headers.get("content-type"), "application/zip");
  }
});
