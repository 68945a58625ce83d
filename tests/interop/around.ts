// What a file's tests need, brought up before them and taken down after them.

import { after, before } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";

/**
 * Instead of `before` and `after` of its own. When the filter leaves a file no test, Node calls both at once: what
 * comes up then, nobody would take down, and the file would never end.
 */
export function around(begin: () => Promise<void>, end: () => Promise<void>): void {
  let begun: Promise<void> | undefined;
  let isOver = false;
  before(async () => {
    await nextTurn();
    if (isOver) return;
    begun = begin();
    await begun;
  });
  after(async () => {
    isOver = true;
    // Whether it failed is for `before` to say.
    await begun?.catch(() => undefined);
    await end();
  });
}
