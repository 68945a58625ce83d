// Everything the gateway's HTTP API sends, as Baileys receives it: files, byte for byte.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { file, holds, isPreview } from "./files-at-baileys.ts";
import { inBoth, meeting, type Plain, received } from "./meeting.ts";
import { base64, jpeg, mp3, mp4, opus, png, served, webp } from "./sample-files.ts";

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
    for (const [beside, within] of [[], ["a film"], [undefined, "within"]] as const) {
      const data = mp4(640, 360, 2_500);
      // The caption may stand in the media, and its type may be said.
      const more = within === undefined ? {} : { caption: within, mimetype: "video/mp4" };
      const media = { data: base64(data), ...more };
      const id = await at.gateway.sends({ type: "video", to: chat.to, media, caption: beside });
      const caption = beside ?? within;
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
    const within = await at.gateway.sends({
      type: "document",
      to: chat.to,
      media: { data: base64(data), filename, caption: "within" },
    });
    assert.deepEqual(await file(at, chat, within, "document", data), { ...named, caption: "within" });
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
    for (const mimetype of [undefined, "image/webp"]) {
      const data = webp(512, 512);
      const media = { data: base64(data), mimetype };
      const id = await at.gateway.sends({ type: "sticker", to: chat.to, media });
      assert.deepEqual(await file(at, chat, id, "sticker", data), {
        mimetype: "image/webp",
        width: 512,
        height: 512,
        isAnimated: false,
      });
    }
  });
});

test("an album of the gateway is announced, and each of its files belongs to it, be they given or fetched", async (t) => {
  const at = await meeting(t);
  const { gateway, baileys, bob } = at;
  const shelf: Record<string, { bytes: Buffer; type: string }> = {};
  const { url, asked } = await served(t, shelf);
  let albums = 0;
  await inBoth(at, async (chat) => {
    for (const isFetched of [false, true]) {
      const files = [jpeg(80, 60), mp4(320, 240, 1_000), png(60, 80), mp4(32, 32, 2_000)] as const;
      albums += 1;
      const paths = files.map((_, index) => `/${albums}/${index}`);
      // What they are is told by their bytes, by the type, by the media type.
      const said = [
        isFetched ? { type: "image" } : {},
        { type: "video" },
        { mimetype: "image/png" },
        { type: "video", mimetype: "video/mp4" },
      ];
      const medias = files.map((data, index) => {
        const path = paths[index] ?? "";
        shelf[path] = { bytes: data, type: "application/octet-stream" };
        return { ...said[index], ...(isFetched ? { url: `${url}${path}` } : { data: base64(data) }) };
      });
      const id = await gateway.sends({ type: "album", to: chat.to, caption: "our trip", medias });
      assert.deepEqual(await received(at, chat, id), {
        albumMessage: { expectedImageCount: 2, expectedVideoCount: 2 },
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
        parts.push(await file(at, chat, partId, index % 2 === 1 ? "video" : "image", data));
        assert.equal(((await bob.gets(partId)).content["album"] as Plain | undefined)?.["id"], id);
      }
      assert.deepEqual(
        parts.map(({ jpegThumbnail: _, ...part }) => part),
        [
          { mimetype: "image/jpeg", width: 80, height: 60, caption: "our trip" },
          { mimetype: "video/mp4", width: 320, height: 240, seconds: 1 },
          { mimetype: "image/png", width: 60, height: 80 },
          { mimetype: "video/mp4", width: 32, height: 32, seconds: 2 },
        ],
      );
      isPreview(parts[0]?.["jpegThumbnail"], 80, 60);
      isPreview(parts[2]?.["jpegThumbnail"], 60, 80);
      const order = files.map((data) => baileys.all.all.findIndex(holds(data)));
      assert.deepEqual(
        order,
        order.toSorted((one, other) => one - other),
        "out of order",
      );
      // Each once, and in their order.
      const fetched = asked.filter((path) => path.startsWith(`/${albums}/`));
      assert.deepEqual(fetched, isFetched ? paths : []);
    }
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
  });
  // Each once for each message.
  assert.equal(asked.length, 10, asked.join());
  const missing = await at.gateway.asks("POST", "", {
    type: "image",
    to: at.bob.jid,
    media: { url: `${url}/nothing` },
  });
  assert.equal(missing.status, 400);
  const { details } = missing.answer["error"] as { details: Plain };
  assert.deepEqual([details["field"], details["status"]], ["media.url", 404]);
});
