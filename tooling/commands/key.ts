// `npm run key`: makes an API key for an organization and prints it, the key alone, on stdout.

import { join, resolve } from "node:path";
import { mintLocally, mintRemotely, PERMISSIONS, parsePermissions } from "../api-key.ts";
import { runCommand } from "../command.ts";
import { Failure } from "../failure.ts";
import { parseFlags } from "../flags.ts";
import { root } from "../layout.ts";

const USAGE = `npm run key -- --org ORG [--permissions ${PERMISSIONS.join(",")}] [--name NAME] [--state DIR | --remote]`;

runCommand(async () => {
  const flags = parseFlags(
    {
      org: { type: "string" },
      permissions: { type: "string", default: PERMISSIONS.join(",") },
      name: { type: "string" },
      state: { type: "string", default: join(root, ".wrangler", "state") },
      remote: { type: "boolean", default: false },
    },
    USAGE,
  );
  if (!flags.org) throw new Failure(`Whose key? --org is missing.\nUsage: ${USAGE}`);
  const request = {
    organization: flags.org,
    permissions: parsePermissions(flags.permissions),
    name: flags.name,
  };
  const key = flags.remote ? await mintRemotely(request) : await mintLocally(request, resolve(flags.state));
  process.stdout.write(`${key}\n`);
  return 0;
});
