// What must be on the machine before anything can set itself up: Node, npm and rustup's Rust. Runs on Node 18
// without node_modules, so it is plain JavaScript.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

const OLDEST_NODE = 18;

/** One line for the user: what is missing and how to get it. */
export class MissingPrerequisite extends Error {}

/**
 * Returns what has to be added to the environment for the right compiler to be found.
 * @param {string} root
 * @returns {Record<string, string>}
 */
export function checkMachine(root) {
  const node = Number(process.versions.node.split(".")[0]);
  if (node < OLDEST_NODE) {
    throw new MissingPrerequisite(
      `Node ${OLDEST_NODE} or newer is needed, this is ${process.versions.node}. Install it from nodejs.org or with your package manager.`,
    );
  }
  // rustup's installer changes the PATH of the next shell, not of this one.
  const cargoBin = join(process.env["CARGO_HOME"] ?? join(homedir(), ".cargo"), "bin");
  const env = { ...process.env, PATH: `${process.env["PATH"] ?? ""}:${cargoBin}` };

  if (output("npm", ["--version"], root, env) === undefined) {
    throw new MissingPrerequisite(
      "npm is missing. It comes with Node; some distributions package it as `npm`.",
    );
  }
  return { PATH: env.PATH, ...chooseToolchain(root, env) };
}

/**
 * @param {string} root
 * @param {NodeJS.ProcessEnv} env
 * @returns {Record<string, string>}
 */
function chooseToolchain(root, env) {
  const pinned =
    /^channel = "(.+)"$/m.exec(readFileSync(join(root, "rust-toolchain.toml"), "utf8"))?.[1] ?? "";
  if (output("cargo", ["--version"], tmpdir(), env) === undefined && !hasRustup(env)) {
    throw new MissingPrerequisite(
      `Rust is missing: \`cargo\` is not on the PATH. Install rustup from rustup.rs; it brings Rust ${pinned}.`,
    );
  }
  // Asked without permission to install, so that a missing toolchain shows at once and the download has a line.
  const asked = { ...env, RUSTUP_AUTO_INSTALL: "0" };
  const found = version(output("rustc", ["--version"], root, asked));
  if (found !== undefined) {
    if (atLeast(found, pinned)) return {};
    throw new MissingPrerequisite(
      `Rust ${pinned} or newer is needed, \`rustc\` here is ${found}. With rustup: \`rustup toolchain install ${pinned}\`.`,
    );
  }
  // A machine may have just this version under another name (`stable`) and no way to download it again.
  const usual = version(output("rustc", ["--version"], tmpdir(), asked));
  if (usual === pinned) {
    const name = output("rustup", ["show", "active-toolchain"], tmpdir(), asked)?.split(/\s/)[0];
    if (name) return { RUSTUP_TOOLCHAIN: name };
  }
  process.stderr.write(`installing Rust ${pinned} …\n`);
  const install = ["toolchain", "install", pinned, "--profile", "minimal", "-c", "rustfmt", "-c", "clippy"];
  if (output("rustup", install, tmpdir(), env) === undefined) {
    throw new MissingPrerequisite(
      `Rust ${pinned} is not installed and \`rustup toolchain install ${pinned}\` failed. Run it by hand to see why.`,
    );
  }
  return {};
}

/** @param {NodeJS.ProcessEnv} env */
function hasRustup(env) {
  return output("rustup", ["--version"], tmpdir(), env) !== undefined;
}

/**
 * What a command prints, or undefined when it isn't there or fails.
 * @param {string} command
 * @param {string[]} args
 * @param {string} cwd
 * @param {NodeJS.ProcessEnv} env
 */
function output(command, args, cwd, env) {
  const run = spawnSync(command, args, { cwd, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  return run.status === 0 ? run.stdout.trim() : undefined;
}

/** @param {string | undefined} text */
function version(text) {
  return /\d+\.\d+\.\d+/.exec(text ?? "")?.[0];
}

/**
 * @param {string} found
 * @param {string} wanted
 */
function atLeast(found, wanted) {
  const [a, b] = [found, wanted].map((text) => text.split(".").map(Number));
  for (const [index, part] of (b ?? []).entries()) {
    const other = a?.[index] ?? 0;
    if (other !== part) return other > part;
  }
  return true;
}
