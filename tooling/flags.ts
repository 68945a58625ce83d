// Command-line flags: node's own parser, its complaints told as one line.

import { type ParseArgsConfig, parseArgs } from "node:util";
import { Failure } from "./failure.ts";

export function parseFlags<T extends ParseArgsConfig["options"] & object>(options: T, usage: string) {
  try {
    return parseArgs({ args: process.argv.slice(2), options, allowPositionals: false, strict: true }).values;
  } catch (error) {
    throw new Failure(`${error instanceof Error ? error.message : String(error)}\nUsage: ${usage}`);
  }
}
