// The simulated WhatsApp: the native program of tests/simulator, built with cargo.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure } from "./failure.ts";
import { logDir, root } from "./layout.ts";
import { complete, type Started, start } from "./processes.ts";

const START_TIMEOUT_MS = 15_000;

export interface Simulator {
  readonly url: string;
  readonly pid: number;
  readonly started: Started;
}

/** cargo knows by itself when there is nothing to do. */
export async function buildSimulator(): Promise<string | undefined> {
  const log = join(logDir, "simulator.log");
  await complete("Building the simulator", {
    program: "cargo",
    args: [
      "build",
      "-p",
      "wa-simulator",
      "--bin",
      "wa-simulator",
      "--message-format=json-render-diagnostics",
    ],
    cwd: root,
    log,
  });
  return undefined;
}

/** Read from cargo's own words, since CARGO_TARGET_DIR and the like can move it. */
export async function simulatorProgram(): Promise<string> {
  const log = join(logDir, "simulator.log");
  const path = /"executable":"([^"]*wa-simulator[^"]*)"/.exec(await readFile(log, "utf8"))?.[1];
  if (path === undefined) throw new Failure("cargo did not say where it put wa-simulator.", log);
  return path;
}

export async function startSimulator(
  listen: string,
  seed: string | undefined,
  log: string,
  onOutput?: (text: string) => void,
): Promise<Simulator> {
  const program = await simulatorProgram();
  const args = ["--listen", listen, ...(seed === undefined ? [] : ["--seed", seed])];
  let output = "";
  const started = await start({ program, args, cwd: root, log }, (text) => {
    if (output.length < 10_000) output += text;
    onOutput?.(text);
  });
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const address = /listening on (\S+:\d+)/.exec(output)?.[1];
    if (address !== undefined) return { url: `http://${address}`, pid: started.pid, started };
    const gone = await Promise.race([started.ended, sleep(50)]);
    if (gone !== undefined || Date.now() > deadline) throw new Failure("The simulator did not start.", log);
  }
}

/** Where a gateway of the simulator build finds this WhatsApp. */
export function whatsappUrl(simulatorUrl: string): string {
  return `${simulatorUrl.replace(/^http/, "ws").replace(/\/$/, "")}/ws/chat`;
}
