// Baileys and sessions of the gateway write to each other: two independent clients, with only the simulator between.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Companion } from "./baileys-client.ts";
import { GatewaySession } from "./gateway-client.ts";
import { Fault, Phone } from "./simulator-client.ts";
import { eventually } from "./waiting.ts";

function aliceAndBob(): Promise<[Phone, Phone]> {
  return Promise.all([Phone.create("Alice"), Phone.create("Bob")]);
}

/** Alice on the gateway and Bob on Baileys. */
async function gatewayAndBaileys(t: TestContext): Promise<{
  readonly alice: Phone;
  readonly session: GatewaySession;
  readonly bob: Phone;
  readonly companion: Companion;
}> {
  const [alice, bob] = await aliceAndBob();
  const session = await GatewaySession.paired(t, alice);
  return { alice, session, bob, companion: await Companion.paired(t, bob) };
}

test("a text from Baileys is an event of the gateway's session", async (t) => {
  const { alice, session, bob, companion } = await gatewayAndBaileys(t);
  const body = "hello gateway, here is Baileys 👋";
  const id = await companion.send(alice.jid, body);
  const { payload } = await session.event("message", { waMessageId: id });
  assert.equal(payload["body"], body);
  assert.equal(payload["type"], "text");
  assert.equal(payload["fromMe"], false);
  assert.equal(payload["chatJid"], bob.jid);
  assert.equal(payload["pushName"], bob.pushName);
});

test("a text from the gateway is decrypted by Baileys, and the gateway learns what became of it", async (t) => {
  const { alice, session, bob, companion } = await gatewayAndBaileys(t);
  const body = "hello Baileys, here is the gateway 👋";
  const id = await session.send(bob.jid, body);
  const received = await companion.receives(body);
  assert.equal(received.id, id);
  assert.equal(received.chat, alice.jid);
  assert.equal(received.fromMe, false);
  await session.event("message.status", { messageIds: id, status: "delivered" });
  await companion.reads(received);
  await session.event("message.status", { messageIds: id, status: "read" });
});

test("Baileys and the gateway hold a conversation in which nothing is lost or repeated", async (t) => {
  const { alice, session, bob, companion } = await gatewayAndBaileys(t);
  const turns = Array.from({ length: 10 }, (_, turn) => ({
    asked: `question ${turn}`,
    answered: `answer ${turn}`,
  }));
  for (const { asked, answered } of turns) {
    await session.send(bob.number, asked);
    await companion.receives(asked);
    await companion.send(alice.jid, answered);
    await session.event("message", { body: answered });
  }
  assert.deepEqual(
    companion.heard,
    turns.map(({ asked }) => asked),
  );
  assert.deepEqual(
    await session.heard(),
    turns.map(({ answered }) => answered),
  );
  assert.deepEqual(companion.errors, []);
});

test("what Baileys sends while the gateway's session is stopped comes when it is started, once", async (t) => {
  const { alice, session, companion } = await gatewayAndBaileys(t);
  await companion.send(alice.jid, "before");
  await session.event("message", { body: "before" });
  await session.stop();
  const missed = ["while you were away 1", "while you were away 2", "while you were away 3"];
  for (const text of missed) await companion.send(alice.jid, text);
  await eventually(
    "three texts waiting at the server",
    () => alice.devices(),
    ([device]) => device !== undefined && !device.connected && device.queueLength >= missed.length,
  );
  await session.start();
  await companion.send(alice.jid, "after");
  await session.event("message", { body: "after" });
  assert.deepEqual(await session.heard(), ["before", ...missed, "after"]);
});

test("what the gateway sends while Baileys is away comes when it is back, once", async (t) => {
  const { alice, session, bob, companion } = await gatewayAndBaileys(t);
  await companion.disconnect();
  const missed = ["while you were away 1", "while you were away 2", "while you were away 3"];
  for (const text of missed) await session.send(bob.jid, text);
  await companion.connect().opened();
  await companion.receives("while you were away 3");
  await companion.send(alice.jid, "I am back");
  await session.event("message", { body: "I am back" });
  await session.send(bob.jid, "after");
  await companion.receives("after");
  assert.deepEqual(companion.heard, [...missed, "after"]);
});

test("a text of Baileys that the gateway can't decrypt is sent again, and is one event", async (t) => {
  const { alice, session, companion } = await gatewayAndBaileys(t);
  const fault = await Fault.arm(await session.deviceJid(), { kind: "corrupt_ciphertext" });
  const id = await companion.send(alice.jid, "damaged");
  await session.event("message", { waMessageId: id, body: "damaged" });
  await fault.struck();
  assert.ok(companion.logged(/recv retry request/));
  await companion.send(alice.jid, "the next");
  await session.event("message", { body: "the next" });
  assert.deepEqual(await session.heard(), ["damaged", "the next"]);
});

test("a text of the gateway that Baileys can't decrypt is sent again, and shown once", async (t) => {
  const { session, bob, companion } = await gatewayAndBaileys(t);
  const fault = await Fault.arm(companion.me.id, { kind: "corrupt_ciphertext" });
  const id = await session.send(bob.jid, "damaged");
  assert.equal((await companion.receives("damaged")).id, id);
  await fault.struck();
  assert.ok(companion.logged(/failed to decrypt message/));
  await session.send(bob.jid, "the next");
  await companion.receives("the next");
  assert.deepEqual(companion.heard, ["damaged", "the next"]);
});

test("the gateway writes to a Baileys that was linked after it had begun to write to its phone", async (t) => {
  const [alice, bob] = await aliceAndBob();
  const session = await GatewaySession.paired(t, alice);
  await session.send(bob.jid, "to the phone alone");
  await bob.receives("to the phone alone");

  const companion = await Companion.paired(t, bob);
  await session.send(bob.jid, "to the phone and Baileys");
  await companion.receives("to the phone and Baileys");
  await bob.receives("to the phone and Baileys");
  assert.deepEqual(companion.heard, ["to the phone and Baileys"]);
});

test("Baileys writes to a gateway session that was linked after it had begun to write to its phone", async (t) => {
  const [alice, bob] = await aliceAndBob();
  const companion = await Companion.paired(t, bob);
  await companion.send(alice.jid, "to the phone alone");
  await alice.receives("to the phone alone");

  const session = await GatewaySession.paired(t, alice);
  await companion.send(alice.jid, "to the phone and the gateway");
  await session.event("message", { body: "to the phone and the gateway" });
  await alice.receives("to the phone and the gateway");
  assert.deepEqual(await session.heard(), ["to the phone and the gateway"]);
});

test("Baileys and a gateway session on one account both get what is sent to it", async (t) => {
  const [alice, bob] = await aliceAndBob();
  const session = await GatewaySession.paired(t, alice);
  const companion = await Companion.paired(t, alice);
  assert.notEqual(await session.deviceJid(), companion.me.id);

  const body = "to every device of Alice";
  const id = await bob.send(alice.jid, body);
  assert.equal((await companion.receives(body)).id, id);
  assert.equal((await session.event("message", { waMessageId: id })).payload["body"], body);
});

test("Baileys and a gateway session on one account see what the other one sends", async (t) => {
  const [alice, bob] = await aliceAndBob();
  const session = await GatewaySession.paired(t, alice);
  const companion = await Companion.paired(t, alice);

  const first = await session.send(bob.jid, "Alice through the gateway");
  await bob.receives("Alice through the gateway");
  const { id, chat, fromMe } = await companion.receives("Alice through the gateway");
  assert.deepEqual({ id, chat, fromMe }, { id: first, chat: bob.jid, fromMe: true });

  const second = await companion.send(bob.jid, "Alice through Baileys");
  await bob.receives("Alice through Baileys");
  const { payload } = await session.event("message.from_me", { waMessageId: second });
  assert.equal(payload["body"], "Alice through Baileys");
  assert.equal(payload["chatJid"], bob.jid);
  assert.equal(payload["fromMe"], true);
});
