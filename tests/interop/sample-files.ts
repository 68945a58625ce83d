// Files by their specifications, each another one whenever it is made, and a server that has some.

import { createHash, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { crc32, deflateSync } from "node:zlib";

/** One colour, and a comment. */
export function jpeg(width: number, height: number): Buffer {
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
export function png(width: number, height: number): Buffer {
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
export function webp(width: number, height: number): Buffer {
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
export function mp4(width: number, height: number, milliseconds: number): Buffer {
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
export function opus(milliseconds: number): Buffer {
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
export function mp3(): Buffer {
  const frame = () => Buffer.concat([Buffer.of(0xff, 0xfb, 0x90, 0), randomBytes(413)]);
  return Buffer.concat(Array.from({ length: 10 }, frame));
}

/** As far as its kind is told from it. */
export function pdf(length: number): Buffer {
  return Buffer.concat([Buffer.from("%PDF-1.7\n"), randomBytes(length)]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A server of files, gone when the test is over; what it was asked for. */
export async function served(
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

export function hash(data: Uint8Array): string {
  return createHash("sha256").update(data).digest("base64");
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
