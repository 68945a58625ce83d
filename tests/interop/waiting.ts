// Waiting for what has to happen: never a fixed time, always up to a deadline, and then a word on what was missing.

import { setTimeout as sleep } from "node:timers/promises";

/** Long enough for a loaded machine; nothing here takes more than a few seconds on an idle one. */
export const PATIENCE_MS = 30_000;
const POLL_MS = 50;
const POLL_SECONDS = 1;
const SHOWN = 20;

/** Things that happen, in their order, and those who wait for one of them. */
export class Observed<T> {
  readonly #of: string;
  readonly #show: (thing: T) => string;
  readonly #context: () => string;
  readonly #things: T[] = [];
  #next = Promise.withResolvers<void>();

  /**
   * @param of what is observed, for error messages: "the messages of 1555…"
   * @param context what else helps to understand that something is missing
   */
  constructor(of: string, show: (thing: T) => string, context: () => string = () => "") {
    this.#of = of;
    this.#show = show;
    this.#context = context;
  }

  push(...things: readonly T[]): void {
    this.#things.push(...things);
    this.#next.resolve();
    this.#next = Promise.withResolvers();
  }

  get all(): readonly T[] {
    return this.#things;
  }

  /** The first that is wanted, which may have happened already. */
  async first(what: string, wanted: (thing: T) => boolean): Promise<T> {
    const deadline = new AbortController();
    const late = sleep(PATIENCE_MS, undefined, { signal: deadline.signal }).then(
      () => true,
      () => true,
    );
    try {
      for (;;) {
        const found = this.#things.find(wanted);
        if (found !== undefined) return found;
        if (await Promise.race([this.#next.promise, late])) throw new Error(this.missing(what));
      }
    } finally {
      deadline.abort();
    }
  }

  missing(what: string): string {
    const seen = this.#things.slice(-SHOWN).map((thing) => `\n  ${brief(this.#show(thing))}`);
    const list = seen.length > 0 ? `There were:${seen.join("")}` : "There was nothing.";
    const context = this.#context();
    return `Waited ${PATIENCE_MS / 1000} s in vain for ${what} among ${this.#of}. ${list}${context && `\n${context}`}`;
  }
}

/** A list on a server that is long-polled for what comes next. */
export class Feed<T> {
  readonly #seen: Observed<T>;
  readonly #next: (waitSeconds: number) => Promise<readonly T[]>;

  constructor(of: string, next: (waitSeconds: number) => Promise<readonly T[]>) {
    this.#seen = new Observed(of, (thing) => JSON.stringify(thing));
    this.#next = next;
  }

  async first(what: string, wanted: (thing: T) => boolean): Promise<T> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const found = this.#seen.all.find(wanted);
      if (found !== undefined) return found;
      if (Date.now() > deadline) throw new Error(this.#seen.missing(what));
      this.#seen.push(...(await this.#next(POLL_SECONDS)));
    }
  }

  async upToNow(): Promise<readonly T[]> {
    this.#seen.push(...(await this.#next(0)));
    return this.#seen.all;
  }
}

/** Asks again until the answer is the wanted one. */
export async function eventually<T, Wanted extends T>(
  what: string,
  ask: () => Promise<T>,
  wanted: (answer: T) => answer is Wanted,
): Promise<Wanted>;
export async function eventually<T>(
  what: string,
  ask: () => Promise<T>,
  wanted: (answer: T) => boolean,
): Promise<T>;
export async function eventually<T>(
  what: string,
  ask: () => Promise<T>,
  wanted: (answer: T) => boolean,
): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ask();
    if (wanted(answer)) return answer;
    if (Date.now() > deadline) {
      throw new Error(`Waited ${PATIENCE_MS / 1000} s in vain for ${what}. Last: ${JSON.stringify(answer)}`);
    }
    await sleep(POLL_MS);
  }
}

export function brief(text: string): string {
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}
