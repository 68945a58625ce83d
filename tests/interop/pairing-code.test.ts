// Baileys links itself by a code that somebody types on the phone.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Companion } from "./baileys-client.ts";
import { Refusal } from "./http.ts";
import { Phone } from "./simulator-client.ts";
import { verifications } from "./strict-signatures.ts";

test("Baileys pairs by a typed code, and then writes and is written to", async (t) => {
  const [alice, bob] = await Promise.all([Phone.create("Alice"), Phone.create("Bob")]);
  const companion = new Companion(t, "Alice's Baileys");
  const before = verifications();
  const deviceJid = await companion.pairByCode(alice);
  assert.equal(companion.me.id, deviceJid);
  // As many as when it pairs by QR code.
  assert.ok(verifications().accepted - before.accepted >= 5);
  assert.equal(verifications().refused, before.refused);

  const there = "from a companion that was typed in";
  await companion.send(bob.jid, there);
  assert.equal((await bob.receives(there)).from, alice.jid);
  const back = "and back";
  await bob.send(alice.jid, back);
  assert.equal((await companion.receives(back)).chat, bob.jid);
  assert.deepEqual(companion.errors, []);
});

test("a mistyped code links nothing, and the right one still does", async (t) => {
  const alice = await Phone.create("Alice");
  const companion = new Companion(t, "Alice's Baileys");
  await companion.pairByCode(alice, async (code) => {
    const mistyped = [...code].map((letter) => (letter === "7" ? "8" : "7")).join("");
    await assert.rejects(alice.enterCode(mistyped), (error) => {
      return error instanceof Refusal && error.status === 422 && /code_mismatch/.test(error.message);
    });
    assert.deepEqual(await alice.devices(), []);
    return alice.enterCode(code);
  });
  assert.equal((await alice.devices()).length, 1);
});

test("Baileys connects again with an account it doesn't have yet: nobody lets it in", async (t) => {
  const alice = await Phone.create("Alice");
  const companion = new Companion(t, "Alice's Baileys");
  const registering = companion.connect();
  await registering.qr();
  await registering.socket.requestPairingCode(alice.number);
  await registering.end();
  // It takes the number it asked for for its own.
  const { code } = await companion.connect().closed();
  assert.equal(code, 401);
});
