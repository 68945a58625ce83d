// Baileys is unlinked, by its phone or by itself.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DisconnectReason } from "baileys";
import { Companion } from "./baileys-client.ts";
import { Phone } from "./simulator-client.ts";
import { eventually } from "./waiting.ts";

test("Baileys is logged out when its phone unlinks it, and is not let in again", async (t) => {
  const phone = await Phone.create("Alice");
  const companion = await Companion.paired(t, phone);
  const [device] = await phone.devices();
  assert.ok(device);

  await phone.unlink(device.device);
  assert.equal((await companion.connection.closed()).code, DisconnectReason.loggedOut);
  assert.deepEqual(await phone.devices(), []);

  assert.equal((await companion.connect().closed()).code, DisconnectReason.loggedOut);
  assert.equal(companion.connection.went.opened, false);
});

test("Baileys that was unlinked while it was away is logged out when it comes back", async (t) => {
  const phone = await Phone.create("Alice");
  const companion = await Companion.paired(t, phone);
  const [device] = await phone.devices();
  assert.ok(device);

  await companion.disconnect();
  await phone.unlink(device.device);
  assert.equal((await companion.connect().closed()).code, DisconnectReason.loggedOut);
  assert.equal(companion.connection.went.opened, false);
});

test("Baileys that logs out by itself is no longer a device of its phone", async (t) => {
  const phone = await Phone.create("Alice");
  const companion = await Companion.paired(t, phone);
  await companion.connection.socket.logout();
  assert.equal((await companion.connection.closed()).code, DisconnectReason.loggedOut);
  await eventually(
    "no device",
    () => phone.devices(),
    (devices) => devices.length === 0,
  );
});
