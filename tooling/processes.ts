// Starting child processes and ending them: each gets a process group of its own, so that a Ctrl-C reaches only
// this process, which then ends its children in order, each with all that it started itself.

import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { finished } from "node:stream/promises";
import { Failure } from "./failure.ts";

/** How long a process may take to end when asked, before it is killed. */
const GRACE_MS = 5_000;
/** How long its last output may take to come after its end. */
const OUTPUT_GRACE_MS = 500;

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Both outputs go here. */
  readonly log: string;
  readonly append?: boolean;
}

export interface Started {
  readonly pid: number;
  readonly child: ChildProcess;
  /** Settles when the process has ended, by itself or not. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

const running = new Set<Started>();

export async function start(command: Command, onOutput?: (text: string) => void): Promise<Started> {
  await mkdir(dirname(command.log), { recursive: true });
  const log = createWriteStream(command.log, { flags: command.append ? "a" : "w" });
  const child = spawn(command.program, command.args, {
    cwd: command.cwd,
    env: command.env ?? process.env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => {
      log.write(text);
      onOutput?.(text);
    });
  }
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.on("error", (error) => {
      log.write(`${error.message}\n`);
      resolve({ code: 127, signal: null });
    });
    child.on("close", (code, signal) => resolve({ code, signal }));
    // A grandchild that lives on keeps the outputs open, and `close` waiting.
    child.on("exit", (code, signal) => setTimeout(() => resolve({ code, signal }), OUTPUT_GRACE_MS));
  });
  const { pid = -1 } = child;
  const started = { pid, child, ended };
  if (pid > 0) {
    running.add(started);
    process.send?.({ started: pid });
  }
  void ended.then(async () => {
    running.delete(started);
    // What it left behind in its group goes with it.
    signalGroup(pid, "SIGKILL");
    if (pid > 0 && process.connected) process.send?.({ ended: pid });
    log.end();
    await finished(log).catch(() => undefined);
  });
  return started;
}

/** Runs a command to its end; a failure carries its log. Returns what it printed. */
export async function complete(what: string, command: Command): Promise<string> {
  let output = "";
  const { ended } = await start(command, (text) => {
    output += text;
  });
  const { code, signal } = await ended;
  if (code !== 0) throw new Failure(`${what} failed (${signal ?? `exit code ${code}`}).`, command.log);
  return output;
}

export async function end(started: Started): Promise<void> {
  signalGroup(started.pid, "SIGTERM");
  const patience = setTimeout(() => signalGroup(started.pid, "SIGKILL"), GRACE_MS);
  await started.ended;
  clearTimeout(patience);
}

/** Newest first: what was started last may need what was started before. */
export async function endAll(): Promise<void> {
  for (const started of [...running].reverse()) await end(started);
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  if (pid <= 0) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // The group is empty already.
  }
}
