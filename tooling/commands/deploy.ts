// `npm run deploy`: builds the Worker, brings the D1 database up to date and deploys. Needs wrangler to be logged in
// (`npx wrangler login` or CLOUDFLARE_API_TOKEN) and the database's id in wrangler.toml.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { runCommand } from "../command.ts";
import { node, packages, root } from "../layout.ts";
import { inSteps } from "../progress.ts";
import { toolSteps, wasmStep } from "../setup.ts";
import { DATABASE } from "../wrangler.ts";

runCommand(async () => {
  await inSteps([...toolSteps, wasmStep("production")]);
  const commands = [
    ["d1", "migrations", "apply", DATABASE, "--remote"],
    ["deploy", ...process.argv.slice(2)],
  ];
  for (const args of commands) {
    // Not `wrangler()`: here a person may have to answer it.
    const program = join(packages, "wrangler", "bin", "wrangler.js");
    const { status } = spawnSync(node, [program, ...args], { cwd: root, stdio: "inherit" });
    if (status !== 0) return status ?? 1;
  }
  return 0;
});
