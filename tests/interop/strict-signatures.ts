// Makes Baileys check signatures. As published it accepts any: its `Curve.verify` throws away the verdict of
// libsignal's `verifySignature`, and libsignal itself skips the check of a pre-key bundle. Here a wrong signature
// throws, which is what both of them take for a refusal. Import this before Baileys.

import { createRequire } from "node:module";

type Verify = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean;
type VerifySignature = (...args: [...Parameters<Verify>, isInit?: boolean]) => boolean;

const ofBaileys = createRequire(import.meta.resolve("baileys"));
const ofLibsignal = createRequire(ofBaileys.resolve("libsignal"));
// Both are CommonJS, and libsignal looks these functions up at each call.
const curve25519: { verify: Verify } = ofLibsignal("curve25519-js");
const curve: { verifySignature: VerifySignature } = ofLibsignal("./src/curve");

const tally = { accepted: 0, refused: 0 };

/** How many signatures have been checked in this process, and how that came out. */
export function verifications(): { readonly accepted: number; readonly refused: number } {
  return { ...tally };
}

const verify = curve25519.verify;
curve25519.verify = (publicKey, message, signature) => {
  if (verify(publicKey, message, signature)) {
    tally.accepted += 1;
    return true;
  }
  tally.refused += 1;
  throw new Error("a signature is wrong");
};

const verifySignature = curve.verifySignature;
curve.verifySignature = (publicKey, message, signature) => verifySignature(publicKey, message, signature);
