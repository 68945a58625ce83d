// `npm run build [production|simulator …]`: the Worker as WebAssembly in build/, ready for wrangler.

import { runCommand } from "../command.ts";
import { Failure } from "../failure.ts";
import { inSteps } from "../progress.ts";
import { toolSteps, wasmStep } from "../setup.ts";
import type { Build } from "../wasm-build.ts";

runCommand(async () => {
  const wanted = process.argv.slice(2);
  await inSteps([...toolSteps, ...(wanted.length > 0 ? wanted : ["production"]).map(named).map(wasmStep)]);
  return 0;
});

function named(name: string): Build {
  if (name === "production" || name === "simulator") return name;
  throw new Failure(`There is no build "${name}"; there are production and simulator.`);
}
