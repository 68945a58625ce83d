// What `npm test` runs: its sections, in their order. Cheap checks first, then what is built on them.

import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describeFailure } from "./failure.ts";
import { buildDir, logDir, node, packages, root } from "./layout.ts";
import { start } from "./processes.ts";
import { told } from "./progress.ts";
import { type Sandbox, startSandbox } from "./sandbox.ts";
import { one, read, type Tally } from "./tally.ts";
import { type Build, buildWasm, bundle } from "./wasm-build.ts";

export const GROUPS = ["lint", "unit", "build", "e2e", "interop"] as const;
export type Group = (typeof GROUPS)[number];

/** The Worker has to load within a second everywhere, and small is what makes that so. */
const LARGEST_GZIP = 2_800_000;
const INTEROP = join(root, "tests", "interop");

export interface Section {
  readonly group: Group;
  readonly name: string;
  readonly run: (context: Context) => Promise<Tally>;
}

export interface Context {
  /** Only tests whose name has this in it. */
  readonly filter: string | undefined;
  /** The one sandbox that the black-box tests share, started by the first who asks. */
  readonly sandbox: () => Promise<NodeJS.ProcessEnv>;
}

const WASM = ["--target", "wasm32-unknown-unknown", "-p", "whatsapp-gateway"];
const STRICT = ["--", "-D", "warnings"];

export const sections: readonly Section[] = [
  check("lint", "rustfmt", "cargo", ["fmt", "--all", "--check"]),
  check("lint", "clippy", "cargo", ["clippy", "--workspace", "--all-targets", ...STRICT]),
  check("lint", "clippy (wasm)", "cargo", ["clippy", ...WASM, ...STRICT]),
  check("lint", "clippy (wasm, simulator)", "cargo", [
    "clippy",
    ...WASM,
    "--features",
    "simulator",
    ...STRICT,
  ]),
  check("lint", "cargo doc", "cargo", ["doc", "--no-deps", "--workspace"], { RUSTDOCFLAGS: "-Dwarnings" }),
  check("lint", "tsc", node, [join(packages, "typescript", "bin", "tsc"), "--noEmit"]),
  check("lint", "biome", node, [
    join(packages, "@biomejs", "biome", "bin", "biome"),
    "check",
    "--error-on-warnings",
  ]),
  {
    group: "unit",
    name: "unit tests",
    run: ({ filter }) =>
      suite("unit", "cargo", ["test", "--workspace", "--exclude", "gateway-e2e", ...only(filter)]),
  },
  { group: "build", name: "wasm build (production)", run: () => build("production") },
  { group: "build", name: "wasm build (simulator)", run: () => build("simulator") },
  { group: "build", name: "wasm size", run: checkSize },
  {
    group: "e2e",
    name: "e2e tests",
    run: async ({ filter, sandbox }) =>
      suite("e2e", "cargo", ["test", "-p", "gateway-e2e", ...only(filter)], await sandbox()),
  },
  { group: "interop", name: "interop tests", run: interop },
];

/** Runs every cargo test binary to its end, and only the tests that have `filter` in their name. */
function only(filter: string | undefined): string[] {
  return ["--no-fail-fast", ...(filter === undefined ? [] : ["--", filter])];
}

/** A program that is content or not; its output matters only when it isn't. */
function check(
  group: Group,
  name: string,
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Section {
  const run = async () => {
    const log = join(logDir, `${name.replaceAll(/\W+/g, "-")}.log`);
    let output = "";
    let passed = false;
    await told(name, async () => {
      const started = await start(
        { program, args, cwd: root, env: { ...process.env, ...env }, log },
        (text) => {
          output += text;
        },
      );
      passed = (await started.ended).code === 0;
      return passed ? undefined : "failed";
    });
    if (!passed) process.stdout.write(withoutCompiling(output));
    return one(passed);
  };
  return { group, name, run };
}

/** A test runner: its output is shown as it comes. */
async function suite(
  name: string,
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<Tally> {
  let output = "";
  let shown = 0;
  const show = (end: number) => {
    process.stdout.write(withoutCompiling(output.slice(shown, end)));
    shown = end;
  };
  const { ended } = await start(
    { program, args, cwd: root, env, log: join(logDir, `${name}.log`) },
    (text) => {
      output += text;
      show(output.lastIndexOf("\n") + 1);
    },
  );
  const { code } = await ended;
  show(output.length);
  return read(output, code === 0);
}

/** cargo's hundreds of lines about what it is compiling bury what it has to say. */
function withoutCompiling(output: string): string {
  return output.replaceAll(
    /^ *(Adding|Blocking|Checking|Compiling|Documenting|Downloaded|Downloading|Locking|Updating) .*\n/gm,
    "",
  );
}

async function build(name: Build): Promise<Tally> {
  try {
    await told(`wasm build (${name})`, () => buildWasm(name));
    return one(true);
  } catch (error) {
    process.stdout.write(`${await describeFailure(error)}\n`);
    return one(false);
  }
}

async function checkSize(): Promise<Tally> {
  const wasm = await readFile(join(bundle("production"), "..", "index_bg.wasm")).catch(() => undefined);
  if (wasm === undefined) {
    process.stdout.write("There is no production build to weigh.\n");
    return one(false);
  }
  const size = gzipSync(wasm).length;
  process.stdout.write(
    `production wasm: ${size.toLocaleString("en")} bytes gzip of at most ${LARGEST_GZIP.toLocaleString("en")} (${wasm.length.toLocaleString("en")} unpacked)\n`,
  );
  return one(size <= LARGEST_GZIP);
}

async function interop({ filter, sandbox }: Context): Promise<Tally> {
  const files = (await readdir(INTEROP).catch(() => [])).filter((file) => file.endsWith(".test.ts")).sort();
  if (files.length === 0) {
    process.stdout.write("There are no tests in tests/interop.\n");
    return { passed: 0, failed: 0 };
  }
  const args = [
    "--disable-warning=ExperimentalWarning",
    "--test",
    "--test-reporter=spec",
    ...(filter === undefined ? [] : [`--test-name-pattern=${filter}`]),
    ...files.map((file) => join(INTEROP, file)),
  ];
  return suite("interop", node, args, await sandbox());
}

/** The environment in which black-box tests find the gateway. */
export async function startTestSandbox(): Promise<{
  sandbox: Sandbox;
  state: string;
  env: NodeJS.ProcessEnv;
}> {
  const state = await mkdtemp(join(buildDir, "test-state-"));
  const sandbox = await startSandbox({
    port: 0,
    simulatorPort: 0,
    simulatorUrl: undefined,
    seed: undefined,
    state,
    // For tests/e2e/tests/gateway: browser.rs, sessions.rs.
    vars: { CORS_ORIGINS: "https://app.example.com", ADMIN_NUMBER: "12025550100" },
  });
  const env = {
    ...process.env,
    GATEWAY_URL: sandbox.gateway,
    SIMULATOR_URL: sandbox.simulator,
    GATEWAY_STATE: state,
    GATEWAY_API_KEY: sandbox.apiKey,
    GATEWAY_ORGANIZATION: sandbox.organization,
    NODE_BIN: node,
    REPO_ROOT: root,
  };
  return { sandbox, state, env };
}

export async function removeState(state: string): Promise<void> {
  await rm(state, { recursive: true, force: true });
}
