// Baileys and the simulated WhatsApp's certificate.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Curve } from "baileys";
import { Companion, trust, WHATSAPP_ROOT } from "./baileys-client.ts";
import { rootPublicKey } from "./simulator-client.ts";
import { verifications } from "./strict-signatures.ts";

const REFUSED = { code: 400, reason: "noise intermediate certificate signature invalid" };

test("Baileys' signature check has been made to refuse a wrong signature", () => {
  const { public: publicKey, private: privateKey } = Curve.generateKeyPair();
  const message = Buffer.from("signed");
  const signature = Curve.sign(privateKey, message);
  const before = verifications();
  assert.equal(Curve.verify(publicKey, message, signature), true);
  assert.equal(Curve.verify(publicKey, Buffer.from("another"), signature), false);
  const after = verifications();
  assert.equal(after.accepted - before.accepted, 1);
  assert.equal(after.refused - before.refused, 1);
});

test("Baileys shows a QR code to a phone once it trusts the simulator's root", async (t) => {
  trust(await rootPublicKey());
  const before = verifications();
  const companion = new Companion(t, "a trusting Baileys");
  assert.match(await companion.connect().qr(), /^https:\/\/wa\.me\/|^\d@/);
  // The leaf and the intermediate.
  assert.equal(verifications().accepted - before.accepted, 2);
  assert.equal(verifications().refused, before.refused);
});

test("Baileys refuses the simulator when it trusts WhatsApp's own root", async (t) => {
  trust(WHATSAPP_ROOT);
  const connection = new Companion(t, "an untouched Baileys").connect();
  assert.deepEqual(await connection.closed(), REFUSED);
  assert.deepEqual(connection.went, { showedCode: false, opened: false });
});

test("Baileys refuses the simulator when it trusts some other root", async (t) => {
  trust(Buffer.from(Curve.generateKeyPair().public));
  const connection = new Companion(t, "a mistaken Baileys").connect();
  assert.deepEqual(await connection.closed(), REFUSED);
  assert.deepEqual(connection.went, { showedCode: false, opened: false });
});
