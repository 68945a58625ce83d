#!/usr/bin/env node
// The door of every npm command: `node tooling/run.mjs COMMAND …`. It is the only file that must start on a
// bare machine (any Node from 18 on, no node_modules), so it is plain JavaScript and imports nothing installed.
// It checks the machine, installs the npm packages and hands over to tooling/commands/COMMAND.ts under the Node
// that those packages bring (wrangler refuses anything below 22).

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { checkMachine, MissingPrerequisite } from "./prerequisites.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const commands = readdirSync(join(root, "tooling", "commands")).map((file) => file.replace(/\.ts$/, ""));
const [command = "", ...args] = process.argv.slice(2);

if (!commands.includes(command)) {
  stop(`There is no command "${command}". Commands: ${commands.sort().join(", ")}.`);
}

try {
  const env = { ...process.env, ...checkMachine(root) };
  installPackages(env);
  handOver(env);
} catch (error) {
  if (!(error instanceof MissingPrerequisite)) throw error;
  stop(error.message);
}

/**
 * `npm ci` when the lock file is not the one that was installed last.
 * @param {NodeJS.ProcessEnv} env
 */
function installPackages(env) {
  const stamp = join(root, "node_modules", ".installed-lock");
  const lock = createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;

  const began = Date.now();
  process.stderr.write("installing the npm packages …\n");
  npm(["ci", "--ignore-scripts", "--no-fund", "--no-audit", "--loglevel=error"], env);
  // Only the install scripts that package.json allows: they fetch this platform's programs. Others would run on
  // the machine's own Node, which may be too old for them.
  const { allowScripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  npm(
    ["rebuild", "--loglevel=error", ...Object.keys(allowScripts).filter((name) => allowScripts[name])],
    env,
  );
  writeFileSync(stamp, lock);
  process.stderr.write(`installing the npm packages … ${Math.round((Date.now() - began) / 1000)} s\n`);
}

/**
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 */
function npm(args, env) {
  const run = spawnSync("npm", args, { cwd: root, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  if (run.status === 0) return;
  process.stderr.write(`${run.stdout}${run.stderr}`.trimEnd().split("\n").slice(-40).join("\n"));
  stop(`\nInstalling the npm packages failed (\`npm ${args[0]}\`): its last lines are above.`);
}

/**
 * Runs the command and becomes its shadow: signals go on to it, its exit code is ours. Should it be killed
 * before it could end what it started, that is done here.
 * @param {NodeJS.ProcessEnv} env
 */
function handOver(env) {
  const node = join(root, "node_modules", ".bin", "node");
  const entry = join(root, "tooling", "commands", `${command}.ts`);
  // The IPC channel does two things: the command tells which process groups it has running, and it learns from
  // the broken channel when this process is gone.
  const child = spawn(node, ["--disable-warning=ExperimentalWarning", entry, ...args], {
    env: { ...env, PATH: `${join(root, "node_modules", ".bin")}:${env["PATH"]}` },
    stdio: ["inherit", "inherit", "inherit", "ipc"],
  });

  /** @type {Set<number>} */
  const running = new Set();
  child.on("message", (message) => {
    const { started, ended } = /** @type {{ started?: number, ended?: number }} */ (message);
    if (started !== undefined) running.add(started);
    if (ended !== undefined) running.delete(ended);
  });
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
    process.on(signal, () => child.kill(signal));
  }
  child.on("error", (error) => stop(`${entry} could not be started: ${error.message}`));
  child.on("exit", (code) => {
    for (const group of running) {
      try {
        process.kill(-group, "SIGKILL");
      } catch {
        // It had ended already.
      }
    }
    process.exit(code ?? 1);
  });
}

/**
 * @param {string} message
 * @returns {never}
 */
function stop(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
