// The Worker as WebAssembly, in its two builds. Each lies in build/NAME beside a stamp of what it was built from.

import { existsSync } from "node:fs";
import { copyFile, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { contentHash, hasStamp, writeStamp } from "./content-stamp.ts";
import { buildDir, logDir, root } from "./layout.ts";
import { complete } from "./processes.ts";
import { rustcVersion, wasmToolsEnvironment } from "./rust.ts";

export type Build = "production" | "simulator";

/** The production build is what is deployed; the simulator's trades size for a build in half the time. */
const ARGUMENTS: Record<Build, readonly string[]> = {
  production: ["--release", "--out-dir", "build/production", "."],
  simulator: [
    "--profile",
    "simulator",
    "--no-opt",
    "--out-dir",
    "build/simulator",
    ".",
    "--features",
    "simulator",
  ],
};

/** All that can change what comes out. Tests and documents are not in it. */
const INPUTS = [
  "Cargo.lock",
  "Cargo.toml",
  "rust-toolchain.toml",
  ".cargo",
  "src",
  "domain",
  "durable-objects/object",
  "durable-objects/organization",
  "durable-objects/sql",
  "durable-objects/session/Cargo.toml",
  "durable-objects/session/src",
  "durable-objects/webhook/Cargo.toml",
  "durable-objects/webhook/src",
];

/** The bundle that wrangler is given. */
export function bundle(build: Build): string {
  return join(buildDir, build, "index.js");
}

/**
 * A copy of the bundle in the state folder, to be served: wrangler watches what it serves, and a build that is made
 * anew under a running gateway would take it down.
 */
export async function bundleToServe(build: Build, state: string): Promise<string> {
  const served = join(state, "served");
  await rm(served, { recursive: true, force: true });
  await mkdir(served, { recursive: true });
  for (const file of ["index.js", "index_bg.wasm"]) {
    await copyFile(join(buildDir, build, file), join(served, file));
  }
  return join(served, "index.js");
}

/** Builds unless nothing changed. */
export async function buildWasm(build: Build): Promise<string | undefined> {
  const args = ARGUMENTS[build];
  const stamp = join(buildDir, `${build}.stamp`);
  const hash = await contentHash(INPUTS, [...args, await rustcVersion()]);
  if ((await hasStamp(stamp, hash)) && existsSync(bundle(build))) return "unchanged";
  await complete(`Building the gateway (wasm, ${build})`, {
    program: "worker-build",
    args,
    cwd: root,
    env: await wasmToolsEnvironment(),
    log: join(logDir, `wasm-${build}.log`),
  });
  await writeStamp(stamp, hash);
  return undefined;
}
