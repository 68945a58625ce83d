// A failure that the user can do something about: one line, the end of a log, no stack trace.

import { readFile } from "node:fs/promises";
import { relative } from "node:path";

const TAIL_LINES = 40;

export class Failure extends Error {
  readonly log: string | undefined;

  constructor(message: string, log?: string) {
    super(message);
    this.name = "Failure";
    this.log = log;
  }
}

export async function lastLines(log: string, count: number = TAIL_LINES): Promise<string> {
  const text = await readFile(log, "utf8").catch(() => "");
  return text.trimEnd().split("\n").slice(-count).join("\n");
}

/** What a failure looks like to the user: the log's last lines first, so that the reason ends the output. */
export async function describeFailure(error: unknown): Promise<string> {
  if (!(error instanceof Failure))
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  if (error.log === undefined) return error.message;
  const where = relative(process.cwd(), error.log);
  const shown = where.startsWith("..") ? error.log : where;
  return `${await lastLines(error.log)}\n\n${error.message} (all of it: ${shown})`;
}
