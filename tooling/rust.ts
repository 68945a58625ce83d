// The Rust compiler of this machine: its version, its sysroot, and the cargo tools that build the Worker.

import { execFile } from "node:child_process";
import { access, readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Failure } from "./failure.ts";
import { logDir, packages, root } from "./layout.ts";
import { complete } from "./processes.ts";

const WORKER_BUILD_VERSION = "0.8.7";

const execute = promisify(execFile);

/** What a program prints on stdout, or undefined when it is not there or fails. */
export async function printed(program: string, args: readonly string[]): Promise<string | undefined> {
  return execute(program, args, { cwd: root }).then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  );
}

export async function rustcVersion(): Promise<string> {
  const version = /\d+\.\d+\.\d+/.exec((await printed("rustc", ["--version"])) ?? "")?.[0];
  if (version === undefined) throw new Failure("`rustc --version` failed.");
  return version;
}

export async function sysroot(): Promise<string> {
  const path = await printed("rustc", ["--print", "sysroot"]);
  if (path === undefined) throw new Failure("`rustc --print sysroot` failed.");
  return path;
}

/** worker-build and wasm-bindgen from crates.io: their own way, a download from GitHub, is not always to be had. */
export async function ensureCargoTools(): Promise<string | undefined> {
  const bindgen = await wasmBindgenVersion();
  const installs: string[][] = [];
  if ((await printed("worker-build", ["--version"])) !== WORKER_BUILD_VERSION) {
    installs.push([`worker-build@${WORKER_BUILD_VERSION}`, "--locked"]);
  }
  if ((await printed("wasm-bindgen", ["--version"])) !== `wasm-bindgen ${bindgen}`) {
    // Not --locked: the lock file that wasm-bindgen-cli was published with names a yanked crate.
    installs.push([`wasm-bindgen-cli@${bindgen}`]);
  }
  for (const args of installs) {
    await complete(`Installing ${args[0]} with cargo`, {
      program: "cargo",
      args: ["install", "--force", ...args],
      cwd: root,
      log: join(logDir, "cargo-tools.log"),
    });
  }
  return installs.length === 0 ? "there" : undefined;
}

/** wasm-bindgen's code generator must be exactly of the version of the library that the Worker is built with. */
async function wasmBindgenVersion(): Promise<string> {
  const lock = await readFile(join(root, "Cargo.lock"), "utf8");
  const version = /name = "wasm-bindgen"\nversion = "([^"]+)"/.exec(lock)?.[1];
  if (version === undefined) throw new Failure("Cargo.lock names no wasm-bindgen.");
  return version;
}

/** Where worker-build finds its tools, so that it downloads none. */
export async function wasmToolsEnvironment(): Promise<NodeJS.ProcessEnv> {
  return {
    ...process.env,
    WASM_BINDGEN_BIN: await onPath("wasm-bindgen"),
    WASM_OPT_BIN: join(packages, ".bin", "wasm-opt"),
    ESBUILD_BIN: join(packages, ".bin", "esbuild"),
  };
}

async function onPath(program: string): Promise<string> {
  const folders = [...(process.env["PATH"] ?? "").split(":"), join(homedir(), ".cargo", "bin")];
  for (const folder of folders) {
    const path = join(folder, program);
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  throw new Failure(`${program} is not on the PATH.`);
}
