// Everything the gateway's HTTP API sends, as Baileys receives it: texts, what they answer and whom they mention.

import assert from "node:assert/strict";
import { test } from "node:test";
import { file } from "./files-at-baileys.ts";
import { inBoth, meeting, type Plain, received } from "./meeting.ts";
import { base64, jpeg, mp4, opus, pdf, webp } from "./sample-files.ts";

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

    // One that it doesn't know it quotes by its id.
    const unknown = "3EB0DEADBEEFDEADBEEF";
    await answers(unknown, {
      ...(chat.isGroup ? {} : { participant: chat.to }),
      quotedMessage: { conversation: "" },
    });
  });
});

test("whom a text of the gateway mentions is told, in the order and by the names they were given", async (t) => {
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
  });
});

interface Sample {
  /** What is asked for. */
  readonly body: Plain;
  /** Its file, and how Baileys takes it. */
  readonly file?: readonly [Parameters<typeof file>[3], Buffer];
  /** What Baileys is shown, without the context. */
  readonly shown: Plain;
}

/** One of each type; those that can mention somebody say so. */
function samples(text: string): readonly Sample[] {
  const options = ["now", "then"];
  const poll = { name: "When?", options: options.map((optionName) => ({ optionName })) };
  const card = "BEGIN:VCARD\nVERSION:3.0\nFN:Jane\nEND:VCARD";
  const [picture, film, note, paper, stamp] = [
    jpeg(8, 8),
    mp4(16, 16, 1_000),
    opus(3_000),
    pdf(99),
    webp(9, 9),
  ];
  const media = (data: Buffer) => ({ media: { data: base64(data) } });
  const medias = [{ data: base64(picture) }, { data: base64(film) }];
  return [
    { body: { type: "text", text }, shown: { extendedTextMessage: { text } } },
    {
      body: { type: "poll", name: "When?", options },
      shown: { pollCreationMessage: { ...poll, selectableOptionsCount: 0 } },
    },
    {
      body: { type: "poll", name: "When?", options, selectableCount: 1 },
      shown: { pollCreationMessageV3: { ...poll, selectableOptionsCount: 1 } },
    },
    {
      body: { type: "location", latitude: 3, longitude: 4 },
      shown: { locationMessage: { degreesLatitude: 3, degreesLongitude: 4 } },
    },
    {
      body: { type: "contact", contact: { vcard: card } },
      shown: { contactMessage: { displayName: "Jane", vcard: card } },
    },
    {
      body: { type: "image", ...media(picture), caption: text },
      file: ["image", picture],
      shown: { mimetype: "image/jpeg", width: 8, height: 8, caption: text },
    },
    {
      body: { type: "video", ...media(film), caption: text },
      file: ["video", film],
      shown: { mimetype: "video/mp4", width: 16, height: 16, seconds: 1, caption: text },
    },
    {
      body: { type: "audio", ...media(note) },
      file: ["audio", note],
      shown: { mimetype: "audio/ogg; codecs=opus", ptt: true, seconds: 3 },
    },
    {
      body: { type: "document", ...media(paper), caption: text },
      file: ["document", paper],
      shown: { mimetype: "application/pdf", fileName: "document.pdf", title: "document.pdf", caption: text },
    },
    {
      body: { type: "document", ...media(paper) },
      file: ["document", paper],
      shown: { mimetype: "application/pdf", fileName: "document.pdf", title: "document.pdf" },
    },
    {
      body: { type: "sticker", ...media(stamp) },
      file: ["sticker", stamp],
      shown: { mimetype: "image/webp", width: 9, height: 9, isAnimated: false },
    },
    {
      body: { type: "album", medias, caption: text },
      shown: { albumMessage: { expectedImageCount: 1, expectedVideoCount: 1 } },
    },
  ];
}

test("every type of the gateway can answer, and mention whom its text or caption means", async (t) => {
  const at = await meeting(t);
  const { gateway, baileys, bob, carol } = at;
  await inBoth(at, async (chat) => {
    const own = await gateway.sends({ type: "text", to: chat.to, text: "a question of mine" });
    const theirs = await baileys.say(chat.shownAs, { text: "a question of Bob's" });
    await gateway.session.event("message", { waMessageId: theirs.id });
    const answered = [
      [own, chat.alice, { conversation: "a question of mine" }],
      [theirs.id, chat.bob, { extendedTextMessage: { text: "a question of Bob's" } }],
    ] as const;
    for (const [stanzaId, participant, quotedMessage] of answered) {
      for (const { body, file: sent, shown } of samples(`@${bob.number} and @${carol.number}`)) {
        const means = ["text", "image", "video", "document", "album"].includes(String(body["type"]));
        const mentions = means ? { mentions: [carol.lid, bob.number] } : {};
        const mentionedJid = means ? { mentionedJid: [carol.lid, bob.jid] } : {};
        const contextInfo = { stanzaId, participant, quotedMessage, ...mentionedJid };
        const id = await gateway.sends({ ...body, to: chat.to, replyTo: stanzaId, ...mentions });
        if (sent !== undefined) {
          const { jpegThumbnail: _, ...rest } = await file(at, chat, id, ...sent);
          assert.deepEqual(rest, { ...shown, contextInfo });
          continue;
        }
        const [[name, inside] = []] = Object.entries(shown);
        assert.ok(name);
        assert.deepEqual(await received(at, chat, id), { [name]: { ...(inside as Plain), contextInfo } });
      }
    }
  });
});

test("what the gateway sends to somebody's hidden id reaches them by it, and is known by their number too", async (t) => {
  const at = await meeting(t);
  const { gateway, alice, bob } = at;
  const [chat] = at.chats;
  const hidden = { isGroup: false, to: bob.lid, shownAs: alice.lid, alice: alice.lid, bob: bob.lid };
  const id = await gateway.sends({ type: "text", to: bob.lid, text: "to whom it may concern" });
  assert.deepEqual(await received(at, hidden, id), { conversation: "to whom it may concern" });
  const { payload } = await gateway.session.event("message.from_me", { waMessageId: id });
  assert.equal(payload["chatJid"], bob.lid);
  const data = jpeg(8, 8);
  const picture = { type: "image", to: bob.lid, media: { data: base64(data) } };
  await file(at, hidden, await gateway.sends(picture), "image", data);
  for (const [where, quotedId] of [
    [chat, id],
    [hidden, await gateway.sends({ type: "text", to: bob.jid, text: "to whom it may concern" })],
  ] as const) {
    const answer = { type: "text", to: where.to, text: "an answer", replyTo: quotedId };
    assert.deepEqual(await received(at, where, await gateway.sends(answer)), {
      extendedTextMessage: {
        text: "an answer",
        contextInfo: {
          stanzaId: quotedId,
          participant: alice.jid,
          quotedMessage: { conversation: "to whom it may concern" },
        },
      },
    });
  }
  assert.deepEqual(at.baileys.errors, []);
});
