// What Baileys and libsignal leave lying about: lines on the console, and timers that would keep the process alive.

import { format } from "node:util";

/** libsignal tells the console of every session it opens and closes, private keys included. */
const NOISE = [
  /^Closing session/,
  /^Opening session/,
  /^Removing old closed session/,
  /^Closing open session in favor of incoming prekey bundle/,
  /^Session already (closed|open)/,
  /^Decrypted message with closed session/,
];

for (const level of ["info", "warn"] as const) {
  const print = console[level].bind(console);
  console[level] = (...words: unknown[]) => {
    const noise = typeof words[0] === "string" && NOISE.some((pattern) => pattern.test(String(words[0])));
    if (!noise) print(format(...words));
  };
}

// Baileys does not take back every limit it set: 30 s for a pre-key upload that is long done, 60 s for a question
// whose socket it has closed. They stay, but they no longer hold up the end of the tests.
const { setTimeout } = globalThis;
globalThis.setTimeout = Object.assign(
  (...args: Parameters<typeof setTimeout>) => setTimeout(...args).unref(),
  setTimeout,
);
