// Everything the gateway's HTTP API sends, as Baileys receives it: what is about messages.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { type AnyMessageContent, proto, type WAMessage } from "baileys";
import { type Chat, inBoth, meeting, type Plain, plain, received, shown } from "./meeting.ts";
import { base64, jpeg, mp4, opus, webp } from "./sample-files.ts";

const { StubType } = proto.WebMessageInfo;

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

    const film = { data: base64(mp4(16, 16, 1_000)) };
    const video = await gateway.sends({ type: "video", to: chat.to, media: film, caption: "befroe" });
    const { videoMessage } = await received(at, chat, video);
    await edits(video, "after", { videoMessage: { ...(videoMessage as Plain), caption: "after" } });

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

test("a video, a sticker, a place, a person and a poll that the gateway passes on are the same", async (t) => {
  const at = await meeting(t);
  const { gateway, baileys } = at;
  const contextInfo = { isForwarded: true, forwardingScore: 0 };
  const card = "BEGIN:VCARD\nVERSION:3.0\nFN:Jane\nEND:VCARD";
  const [film, stamp] = [mp4(16, 16, 1_000), webp(9, 9)];
  for (const [from, to] of [at.chats, at.chats.toReversed()] as [Chat, Chat][]) {
    // The gateway's own, and Bob's.
    const own = [
      [{ type: "video", media: { data: base64(film) }, caption: "a film" }, film],
      [{ type: "sticker", media: { data: base64(stamp) } }, stamp],
      [{ type: "location", latitude: 3, longitude: 4, name: "There" }, undefined],
      [{ type: "contact", contact: { vcard: card } }, undefined],
      [{ type: "poll", name: "When?", options: ["now", "then"], selectableCount: 1 }, undefined],
    ] as const;
    const theirs: readonly (readonly [AnyMessageContent, Buffer | undefined])[] = [
      [{ video: film, caption: "a film" }, film],
      [{ sticker: stamp }, stamp],
      [{ location: { degreesLatitude: 1.5, degreesLongitude: -2.25, name: "Here" } }, undefined],
      [{ contacts: { displayName: "Jane", contacts: [{ vcard: card }] } }, undefined],
      [{ poll: { name: "When?", values: ["now", "then"], selectableCount: 0 } }, undefined],
    ];
    const said: [string, Plain, Buffer | undefined][] = [];
    for (const [body, bytes] of own) {
      const id = await gateway.sends({ ...body, to: from.to });
      said.push([id, await received(at, from, id), bytes]);
    }
    for (const [content, bytes] of theirs) {
      const { id, message } = await baileys.say(from.shownAs, content);
      await gateway.session.event("message", { waMessageId: id });
      const { messageContextInfo: _, ...says } = plain(message);
      said.push([id, says, bytes]);
    }
    for (const [target, says, bytes] of said) {
      const id = await gateway.does("POST", `/${target}/forward`, { chat: from.to, to: to.to });
      const [[name, inside] = []] = Object.entries(says);
      assert.ok(name);
      const { contextInfo: before, ...rest } = inside as Plain;
      const context = { ...(before as Plain | undefined), ...contextInfo };
      assert.deepEqual(await received(at, to, id), { [name]: { ...rest, contextInfo: context } });
      if (bytes !== undefined) {
        assert.deepEqual(await baileys.downloads(await baileys.gets(id)), bytes);
      }
    }
  }
  assert.deepEqual(baileys.errors, []);
});

test("of two messages with one id the gateway passes on that of the sender it is told", async (t) => {
  const at = await meeting(t);
  const { gateway, baileys, bob, carol } = at;
  const [, group] = at.chats;
  const { id } = await baileys.say(group.to, { text: "Bob's" });
  await gateway.session.event("message", { waMessageId: id, senderLid: bob.lid });
  await carol.say({ to: group.to, text: "Carol's", id });
  await gateway.session.event("message", { waMessageId: id, senderLid: carol.lid });
  for (const [text, names] of [
    ["Bob's", [bob.number, bob.jid, bob.lid]],
    ["Carol's", [carol.number, carol.jid, carol.lid]],
  ] as const) {
    for (const sender of names) {
      const passed = await gateway.does("POST", `/${id}/forward`, { chat: group.to, to: group.to, sender });
      assert.deepEqual(await received(at, group, passed), {
        extendedTextMessage: { text, contextInfo: { isForwarded: true, forwardingScore: 0 } },
      });
    }
  }
  const nobodys = { chat: group.to, to: group.to, sender: at.alice.jid };
  assert.equal((await gateway.asks("POST", `/${id}/forward`, nobodys)).status, 404);
});

/** The key of a message of the gateway, as it writes it. */
function ownKey(chat: Chat, id: string): Plain {
  const participant = chat.isGroup ? { participant: chat.alice } : {};
  return { remoteJid: chat.to, fromMe: true, id, ...participant };
}

function changedText({ message }: Partial<WAMessage>): string | undefined {
  const edited = message?.editedMessage?.message;
  return (
    edited?.conversation ??
    edited?.imageMessage?.caption ??
    edited?.videoMessage?.caption ??
    edited?.documentMessage?.caption ??
    undefined
  );
}
