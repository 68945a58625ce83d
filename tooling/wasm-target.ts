// Rust's standard library for wasm32-unknown-unknown. rustup brings it; where rustup's server can't be reached it
// is built from the sources that Debian packages for exactly this compiler.

import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Failure } from "./failure.ts";
import { logDir } from "./layout.ts";
import { complete } from "./processes.ts";
import { printed, rustcVersion, sysroot } from "./rust.ts";

const TARGET = "wasm32-unknown-unknown";
/** The suite of Debian that carries new compilers' sources. */
const DEBIAN_SUITE = "trixie-backports";
const DEBIAN_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** GATEWAY_WASM_TARGET=debian takes the second way at once, to try it out. */
export async function ensureWasmTarget(): Promise<string | undefined> {
  const libraries = join(await sysroot(), "lib", "rustlib", TARGET, "lib");
  if (await holdsStd(libraries)) return "there";

  const log = join(logDir, "wasm-target.log");
  if (process.env["GATEWAY_WASM_TARGET"] !== "debian") {
    const added = await complete(`rustup target add ${TARGET}`, {
      program: "rustup",
      args: ["target", "add", TARGET],
      cwd: join(import.meta.dirname, ".."),
      log,
    }).catch(() => undefined);
    if (added !== undefined && (await holdsStd(libraries))) return undefined;
  }
  await buildFromDebianSources(libraries, log);
  return "built from Debian's rust-src";
}

async function holdsStd(libraries: string): Promise<boolean> {
  const files = await readdir(libraries).catch(() => []);
  return files.some((file) => /^libstd-.*\.rlib$/.test(file));
}

async function buildFromDebianSources(libraries: string, log: string): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), "wasm-target-"));
  try {
    const sources = await rustSources(work, log);
    await withSourcesInSysroot(sources, () => buildStd(work, log));
    // Only now, when all is built: half a library would pass for a whole one next time.
    const deps = join(work, "std", "target", TARGET, "release", "deps");
    const built = (await readdir(deps)).filter(
      (file) => file.endsWith(".rlib") && !file.startsWith("libempty-"),
    );
    await mkdir(libraries, { recursive: true });
    for (const file of built) await cp(join(deps, file), join(libraries, file));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Unpacks Debian's rust-src of this compiler's version; the machine's own package lists stay as they are. */
async function rustSources(work: string, log: string): Promise<string> {
  const version = await rustcVersion();
  const advice = `Install the target by hand: \`rustup target add ${TARGET}\`.`;
  const site = await debianMirror();
  if (site === undefined) {
    throw new Failure(
      `rustup can't be reached, and this is no Debian whose rust-src could stand in. ${advice}`,
      log,
    );
  }
  for (const folder of ["lists/partial", "cache/archives/partial"]) {
    await mkdir(join(work, folder), { recursive: true });
  }
  const list = join(work, "sources.list");
  await writeFile(list, `deb [signed-by=${DEBIAN_KEYRING}] ${site} ${DEBIAN_SUITE} main\n`);
  const own = [
    `Dir::Etc::SourceList=${list}`,
    "Dir::Etc::SourceParts=-",
    `Dir::State::Lists=${join(work, "lists")}`,
    `Dir::Cache=${join(work, "cache")}`,
    // Without it apt drops to a user that may not write to this folder, and warns.
    "APT::Sandbox::User=root",
  ].flatMap((option) => ["-o", option]);
  const apt = (program: string, ...args: string[]) =>
    complete(`${program} ${args[0]}`, { program, args: [...own, ...args], cwd: work, log, append: true });

  await apt("apt-get", "update");
  const offered = await apt("apt-cache", "madison", "rust-src");
  const exact = offered
    .split("\n")
    .map((line) => line.split("|")[1]?.trim() ?? "")
    .find((candidate) => candidate.startsWith(`${version}+`));
  if (exact === undefined) {
    throw new Failure(
      `rustup can't be reached, and ${DEBIAN_SUITE} has no rust-src of ${version}. ${advice}`,
      log,
    );
  }
  await apt("apt-get", "download", `rust-src=${exact}`);
  const archive = (await readdir(work)).find((file) => file.endsWith(".deb")) ?? "";
  await complete("Unpacking rust-src", {
    program: "dpkg-deb",
    args: ["-x", archive, "unpacked"],
    cwd: work,
    log,
    append: true,
  });
  return join(work, "unpacked", "usr", "src", `rustc-${version}`);
}

/** The mirror this machine is set up with, so that none has to be named here. */
async function debianMirror(): Promise<string | undefined> {
  const filters = ["Created-By: Packages", "Origin: Debian", "Label: Debian"];
  const sites = await printed("apt-get", ["indextargets", "--format", "$(SITE)", ...filters]);
  return sites?.split("\n").find((site) => /^https?:/.test(site));
}

/** Where `-Zbuild-std` looks for them. The link is taken away again: it leads into a temporary folder. */
async function withSourcesInSysroot(sources: string, build: () => Promise<void>): Promise<void> {
  const parent = join(await sysroot(), "lib", "rustlib", "src");
  const link = join(parent, "rust");
  const present = await readFile(join(link, "library", "Cargo.lock")).then(
    () => true,
    () => false,
  );
  if (present) return build();
  await mkdir(parent, { recursive: true });
  await rm(link, { force: true });
  await symlink(sources, link);
  try {
    await build();
  } finally {
    await rm(link, { force: true });
  }
}

/** Builds std as a dependency of a crate with nothing in it. */
async function buildStd(work: string, log: string): Promise<void> {
  const crate = join(work, "std");
  await mkdir(join(crate, "src"), { recursive: true });
  await writeFile(
    join(crate, "Cargo.toml"),
    '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2024"\n',
  );
  await writeFile(join(crate, "src", "lib.rs"), "#![no_std]\n");
  await complete("Building Rust's standard library for WebAssembly", {
    program: "cargo",
    args: [
      "build",
      "--release",
      "-Zbuild-std=std,panic_unwind,panic_abort,proc_macro,test",
      "--target",
      TARGET,
    ],
    cwd: crate,
    // The toolchain must be the repository's, which the folder here does not tell rustup.
    env: {
      ...process.env,
      RUSTUP_TOOLCHAIN: await sysroot(),
      RUSTC_BOOTSTRAP: "1",
      CARGO_TARGET_DIR: join(crate, "target"),
    },
    log,
    append: true,
  });
}
