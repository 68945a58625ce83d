// Baileys and simulated phones write to each other.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Companion, Status } from "./baileys-client.ts";
import { Fault, Phone } from "./simulator-client.ts";
import { verifications } from "./strict-signatures.ts";

/** Alice with a Baileys linked to her phone, and Bob with a phone alone. */
async function aliceAndBob(t: TestContext): Promise<{ alice: Phone; companion: Companion; bob: Phone }> {
  const [alice, bob] = await Promise.all([Phone.create("Alice"), Phone.create("Bob")]);
  return { alice, bob, companion: await Companion.paired(t, alice) };
}

test("what Baileys sends arrives on the phone it is for, and a copy on its own phone", async (t) => {
  const { alice, companion, bob } = await aliceAndBob(t);
  const greeting = "grüße 👋 from Baileys\nin two lines";
  const id = await companion.send(bob.jid, greeting);

  const received = await bob.receives(greeting);
  assert.equal(received.messageId, id);
  assert.equal(received.from, alice.jid);
  assert.equal(received.fromMe, false);

  const copy = await alice.receives(greeting);
  assert.equal(copy.messageId, id);
  assert.equal(copy.chat, bob.jid);
  assert.equal(copy.fromMe, true);
});

test("what a phone sends arrives at Baileys, and the phone learns that it did", async (t) => {
  const { alice, companion, bob } = await aliceAndBob(t);
  const greeting = "hello from a phone";
  const id = await bob.send(alice.jid, greeting);

  const received = await companion.receives(greeting);
  assert.equal(received.id, id);
  assert.equal(received.chat, bob.jid);
  assert.equal(received.pushName, bob.pushName);
  assert.equal(received.fromMe, false);
  await bob.receipt("delivery", id);
});

test("Baileys learns that its text was delivered, and then that it was read", async (t) => {
  const { alice, companion, bob } = await aliceAndBob(t);
  const greeting = "a text with receipts";
  const id = await companion.send(bob.jid, greeting);
  await bob.receives(greeting);
  await companion.reaches(Status.DELIVERY_ACK, id);
  await bob.read(alice.jid, [id]);
  await companion.reaches(Status.READ, id);
});

test("what is typed on its own phone arrives at Baileys as written by itself", async (t) => {
  const { alice, companion, bob } = await aliceAndBob(t);
  const typed = "typed by hand";
  const id = await alice.send(bob.jid, typed);
  await bob.receives(typed);

  const seen = await companion.receives(typed);
  assert.equal(seen.id, id);
  assert.equal(seen.chat, bob.jid);
  assert.equal(seen.fromMe, true);
});

test("a phone can be written to, and write, under hidden ids", async (t) => {
  const { alice, companion, bob } = await aliceAndBob(t);
  const there = "to a hidden id";
  await companion.send(bob.lid, there);
  assert.equal((await bob.receives(there)).from, alice.jid);

  const back = "from a hidden id";
  await bob.send(alice.lid, back);
  assert.equal((await companion.receives(back)).chat, bob.lid);
});

test("a conversation of thirty texts arrives complete and in order on both sides", async (t) => {
  const { alice, companion, bob } = await aliceAndBob(t);
  const turns = Array.from({ length: 15 }, (_, turn) => ({
    asked: `question ${turn}`,
    answered: `answer ${turn}`,
  }));
  for (const { asked, answered } of turns) {
    await companion.send(bob.jid, asked);
    await bob.receives(asked);
    await bob.send(alice.jid, answered);
    await companion.receives(answered);
  }
  assert.deepEqual(
    (await bob.messages()).map(({ text }) => text),
    turns.map(({ asked }) => asked),
  );
  assert.deepEqual(
    companion.heard,
    turns.map(({ answered }) => answered),
  );
  assert.deepEqual(companion.errors, []);
});

test("Baileys writes a note to self, which its phone takes in once", async (t) => {
  const { alice, companion } = await aliceAndBob(t);
  const id = await companion.send(alice.jid, "remember the milk");
  await alice.receives("remember the milk");
  await companion.send(alice.jid, "and the bread");
  await alice.receives("and the bread");
  const notes = await alice.messages();
  assert.deepEqual(
    notes.map(({ text, chat, fromMe }) => ({ text, chat, fromMe })),
    ["remember the milk", "and the bread"].map((text) => ({ text, chat: alice.jid, fromMe: true })),
  );
  assert.equal(notes[0]?.messageId, id);
});

test("Baileys verifies the signed pre-keys of those it writes to", async (t) => {
  const { companion, bob } = await aliceAndBob(t);
  const before = verifications();
  await companion.send(bob.jid, "a first text");
  await bob.receives("a first text");
  // Bob's phone and its own, to both of which it had no session.
  assert.ok(verifications().accepted - before.accepted >= 2);
  assert.equal(verifications().refused, before.refused);
  assert.deepEqual(companion.errors, []);
});

test("a text that Baileys can't decrypt is asked for again, and then shown once", async (t) => {
  const { alice, companion, bob } = await aliceAndBob(t);
  const fault = await Fault.arm(companion.me.id, { kind: "corrupt_ciphertext" });
  const id = await bob.send(alice.jid, "damaged");
  assert.equal((await companion.receives("damaged")).id, id);
  await fault.struck();
  assert.ok(companion.logged(/failed to decrypt message/));

  await bob.send(alice.jid, "the next");
  await companion.receives("the next");
  assert.deepEqual(companion.heard, ["damaged", "the next"]);
});

test("a text of Baileys that a phone can't decrypt is sent again, and taken in once", async (t) => {
  const { companion, bob } = await aliceAndBob(t);
  const fault = await Fault.arm(`${bob.number}:0@s.whatsapp.net`, { kind: "corrupt_ciphertext" });
  const id = await companion.send(bob.jid, "damaged");
  assert.equal((await bob.receives("damaged")).messageId, id);
  await fault.struck();
  assert.ok(companion.logged(/recv retry request/));

  await companion.send(bob.jid, "the next");
  await bob.receives("the next");
  assert.deepEqual(
    (await bob.messages()).map(({ text }) => text),
    ["damaged", "the next"],
  );
});
