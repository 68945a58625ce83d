// Which processes of a group are running, and how they were called.

import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { promisify } from "node:util";

export interface Process {
  readonly pid: number;
  readonly group: number;
  readonly commandLine: string;
}

export async function processesOfGroup(group: number): Promise<Process[]> {
  const all = process.platform === "linux" ? await fromProc() : await fromPs();
  return all.filter((entry) => entry.group === group);
}

/** Read from /proc: cheap enough for once a second, and there where `ps` isn't installed. */
async function fromProc(): Promise<Process[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const entries = await Promise.all(pids.map(readProc));
  return entries.filter((entry) => entry !== undefined);
}

async function readProc(pid: string): Promise<Process | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    // PID (NAME) STATE PARENT GROUP …, where NAME may hold anything.
    const [state, , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (state === "Z") return undefined;
    const commandLine = (await readFile(`/proc/${pid}/cmdline`, "utf8")).replaceAll("\0", " ");
    return { pid: Number(pid), group: Number(group), commandLine };
  } catch {
    return undefined;
  }
}

async function fromPs(): Promise<Process[]> {
  const { stdout } = await promisify(execFile)("ps", ["-A", "-ww", "-o", "pid=,pgid=,args="]);
  return stdout.split("\n").flatMap((line) => {
    const [, pid, group, commandLine] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [];
    return commandLine === undefined ? [] : [{ pid: Number(pid), group: Number(group), commandLine }];
  });
}
