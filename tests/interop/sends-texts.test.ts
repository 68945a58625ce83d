// Everything the gateway's HTTP API sends, as Baileys receives it: texts, what they answer and whom they mention.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { file } from "./files-at-baileys.ts";
import { inBoth, meeting, type Plain, received } from "./meeting.ts";
import { base64, jpeg, mp4 } from "./sample-files.ts";

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
