// Baileys goes and comes back: the pairing stays, and so does what was sent in the meantime.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Companion } from "./baileys-client.ts";
import { Fault, type LinkedDevice, Phone } from "./simulator-client.ts";
import { eventually } from "./waiting.ts";

/** The one device of this phone, once the server sees it so. */
async function theDevice(
  phone: Phone,
  state: string,
  wanted: (device: LinkedDevice) => boolean,
): Promise<LinkedDevice> {
  const [device] = await eventually(
    `a device ${state}`,
    () => phone.devices(),
    ([device]) => device !== undefined && wanted(device),
  );
  assert.ok(device);
  return device;
}

for (const code of [undefined, 1011]) {
  const how = code === undefined ? "drops the connection" : `closes the socket with ${code}`;
  test(`Baileys comes back without pairing again after the server ${how}`, async (t) => {
    const [alice, bob] = await Promise.all([Phone.create("Alice"), Phone.create("Bob")]);
    const companion = await Companion.paired(t, alice);
    const before = await theDevice(alice, "connected", ({ connected }) => connected);

    await Fault.arm(before.jid, { kind: "close", ...(code === undefined ? {} : { code }) });
    await companion.connection.closed();
    await companion.connect().opened();
    assert.equal(companion.connection.went.showedCode, false);

    const after = await theDevice(alice, "connected again", ({ connected }) => connected);
    assert.equal(after.jid, before.jid);
    assert.equal(after.logins, before.logins + 1);

    const greeting = "are you back?";
    await bob.send(alice.jid, greeting);
    await companion.receives(greeting);
    await companion.send(bob.jid, "I am");
    await bob.receives("I am");
  });
}

test("Baileys gets what was sent while it was away exactly once and in order", async (t) => {
  const [alice, bob] = await Promise.all([Phone.create("Alice"), Phone.create("Bob")]);
  const companion = await Companion.paired(t, alice);
  await bob.send(alice.jid, "before");
  await companion.receives("before");
  await companion.disconnect();
  await theDevice(alice, "gone", ({ connected }) => !connected);

  const missed = Array.from({ length: 5 }, (_, index) => `while you were away ${index}`);
  for (const text of missed) await bob.send(alice.jid, text);
  const typed = "typed on the phone meanwhile";
  await alice.send(bob.jid, typed);
  await theDevice(alice, "with six messages waiting", ({ queueLength }) => queueLength >= 6);

  await companion.connect().opened();
  await companion.receives(typed);
  await theDevice(alice, "to which nothing is owed", ({ queueLength }) => queueLength === 0);

  // Once more: what has been acknowledged doesn't come again.
  await companion.disconnect();
  await companion.connect().opened();
  await bob.send(alice.jid, "after");
  await companion.receives("after");
  assert.deepEqual(
    companion.messages.all.map(({ text }) => text).filter((text) => text !== undefined),
    ["before", ...missed, typed, "after"],
  );
});
