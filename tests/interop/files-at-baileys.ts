// A file that was sent, as Baileys has it.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { getMediaKeys, type MediaType, normalizeMessageContent, type WAMessage } from "baileys";
import { type Chat, type Meeting, type Plain, shown } from "./meeting.ts";
import { base64, hash } from "./sample-files.ts";

/**
 * A file at Baileys: downloaded and compared; where it lies and what it is encrypted with are checked by what lies there.
 * What remains of its message.
 */
export async function file(
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
export function isPreview(thumbnail: unknown, width: number, height: number): void {
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

/** Whether a message is a picture or a video of this file. */
export function holds(data: Buffer): (message: WAMessage) => boolean {
  return ({ message }) => {
    const inner = normalizeMessageContent(message ?? undefined);
    const sha256 = inner?.imageMessage?.fileSha256 ?? inner?.videoMessage?.fileSha256;
    return sha256 != null && base64(sha256) === hash(data);
  };
}
