// `npm run simulator`: the simulated WhatsApp alone, until Ctrl-C.

import { join } from "node:path";
import { runCommand, staying } from "../command.ts";
import { Failure } from "../failure.ts";
import { parseFlags } from "../flags.ts";
import { logDir } from "../layout.ts";
import { inSteps } from "../progress.ts";
import { buildSimulator, startSimulator } from "../simulator.ts";

runCommand(async () => {
  const flags = parseFlags(
    { listen: { type: "string", default: "127.0.0.1:9700" }, seed: { type: "string" } },
    "npm run simulator -- [--listen HOST:PORT] [--seed N]",
  );
  await inSteps([{ title: "building the simulator", run: buildSimulator }]);
  const log = join(logDir, "simulator-run.log");
  const { started } = await startSimulator(flags.listen, flags.seed, log, (text) =>
    process.stdout.write(text),
  );
  staying();
  const { code, signal } = await started.ended;
  throw new Failure(`The simulator ended by itself (${signal ?? `exit code ${code}`}).`);
});
