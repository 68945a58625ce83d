// Protobufs as numbers and bytes: what Baileys was sent, also where its definitions lack a field.

import assert from "node:assert/strict";
import { proto } from "baileys";

/** What Baileys decrypted. Its definitions lack a poll's newest fields, and what they lack it drops. */
const decrypted: Buffer[] = [];
const { decode } = proto.Message;
proto.Message.decode = (reader, length) => {
  if (reader instanceof Uint8Array) decrypted.push(Buffer.from(reader));
  return decode(reader, length);
};

/** A number in the poll of that name as Baileys decrypted it: 9 is `endTime`, 10 `hideParticipantName`. */
export function numberOfPoll(name: string, field: 9 | 10): unknown {
  const polls = decrypted
    .flatMap((message) => fields(message))
    .flatMap(([number, value]) =>
      [49, 64].includes(number) && Buffer.isBuffer(value) ? [fields(value)] : [],
    )
    .filter((poll) => poll.some(([number, value]) => number === 2 && String(value) === name));
  assert.equal(polls.length, 1, `${polls.length} polls called ${name}`);
  return polls[0]?.find(([number]) => number === field)?.[1];
}

/** The fields of a protobuf: numbers, and bytes. */
export function fields(bytes: Buffer): [number, number | Buffer][] {
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
