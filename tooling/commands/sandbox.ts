// `npm run sandbox`: a gateway and a simulated WhatsApp on this machine, with a demonstration, until Ctrl-C.

import { join, resolve } from "node:path";
import { runCommand, staying } from "../command.ts";
import { demonstrate, howToGoOn } from "../demonstration.ts";
import { Failure } from "../failure.ts";
import { parseFlags } from "../flags.ts";
import { root } from "../layout.ts";
import { parsePort } from "../ports.ts";
import { startSandbox } from "../sandbox.ts";

const USAGE =
  "npm run sandbox -- [--port N] [--simulator-port N] [--var NAME=VALUE]… [--state DIR] [--simulator URL] [--seed N] [--once] [--empty] [--json]";

runCommand(async () => {
  const flags = parseFlags(
    {
      port: { type: "string", default: "8787" },
      "simulator-port": { type: "string", default: "9700" },
      var: { type: "string", multiple: true, default: [] },
      state: { type: "string", default: join(root, ".wrangler", "sandbox") },
      simulator: { type: "string" },
      seed: { type: "string" },
      once: { type: "boolean", default: false },
      empty: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
    USAGE,
  );
  const state = resolve(flags.state);
  const sandbox = await startSandbox({
    port: parsePort(flags.port, "--port"),
    simulatorPort: parsePort(flags["simulator-port"], "--simulator-port"),
    simulatorUrl: flags.simulator?.replace(/\/$/, ""),
    seed: flags.seed,
    state,
    vars: Object.fromEntries(flags.var.map(parseVar)),
  });
  staying();

  const { gateway, simulator, organization, apiKey, ended } = sandbox;
  if (flags.json) {
    const line = JSON.stringify({ gateway, simulator, organization, apiKey, pids: sandbox.pids() });
    process.stdout.write(`${line}\n`);
  }
  const say = (line: string) => (flags.json ? process.stderr : process.stdout).write(`${line}\n`);
  const died = ended.then((failure) => {
    throw failure;
  });
  const withLog = (error: unknown) => {
    throw error instanceof Failure ? new Failure(error.message, join(state, "gateway.log")) : error;
  };
  const play = async () => {
    const stage = { gateway, simulator, apiKey };
    say("");
    const left = flags.empty ? undefined : await demonstrate(stage, say).catch(withLog);
    if (flags.once) return;
    say(`\n${howToGoOn(stage, left)}\n\nCtrl-C ends it. Logs and data: ${state}`);
    await died;
  };
  await Promise.race([play(), died]);
  return 0;
});

function parseVar(text: string): [string, string] {
  const [, name, value] = /^([A-Za-z_]\w*)=(.*)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new Failure(`--var ${text}: write it as NAME=VALUE.`);
  return [name, value];
}
