// Baileys links itself to a simulated phone.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Companion } from "./baileys-client.ts";
import { Phone } from "./simulator-client.ts";
import { verifications } from "./strict-signatures.ts";
import { eventually } from "./waiting.ts";

test("Baileys pairs by QR code, restarts when told to, and is the device that the phone linked", async (t) => {
  const phone = await Phone.create("Alice");
  const companion = new Companion(t, "Alice's Baileys");
  const deviceJid = await companion.pair(phone);

  const [device, ...more] = await phone.devices();
  assert.ok(device, "the phone has no device");
  assert.deepEqual(more, []);
  assert.equal(device.jid, deviceJid);
  assert.equal(device.connected, true);
  assert.equal(companion.me.id, device.jid);
  assert.equal(companion.me.lid, device.lid);
});

test("Baileys verifies every signature of a pairing: two certificate chains and the phone's", async (t) => {
  const phone = await Phone.create("Alice");
  const before = verifications();
  await Companion.paired(t, phone);
  const after = verifications();
  // Leaf and intermediate when it registers, the account's signature over the device, leaf and intermediate again.
  assert.ok(after.accepted - before.accepted >= 5, `only ${after.accepted - before.accepted} were verified`);
  assert.equal(after.refused, before.refused);
});

test("Baileys learns its account's name from the app state, whose MACs it verifies", async (t) => {
  const phone = await Phone.create("Alice in the app state");
  const companion = await Companion.paired(t, phone);
  await eventually(
    "the push name",
    async () => companion.me.name,
    (name) => name === phone.pushName,
  );
  assert.deepEqual(companion.errors, []);
});

test("a second Baileys becomes another device of the account, and both stay connected", async (t) => {
  const phone = await Phone.create("Alice");
  const first = await Companion.paired(t, phone);
  const second = await Companion.paired(t, phone);
  assert.notEqual(first.me.id, second.me.id);
  const devices = await phone.devices();
  assert.deepEqual(
    devices.map(({ jid, connected }) => ({ jid, connected })),
    [first, second].map(({ me }) => ({ jid: me.id, connected: true })),
  );
});
