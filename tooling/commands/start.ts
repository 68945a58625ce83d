// `npm start`: the gateway on this machine, talking to the real WhatsApp, until Ctrl-C.

import { join } from "node:path";
import { hasKey, mintLocally, PERMISSIONS } from "../api-key.ts";
import { runCommand, staying } from "../command.ts";
import { Failure } from "../failure.ts";
import { parseFlags } from "../flags.ts";
import { type Gateway, LOCAL_VARS, startGateway } from "../gateway.ts";
import { root } from "../layout.ts";
import { claimPort, parsePort } from "../ports.ts";
import { inSteps } from "../progress.ts";
import { toolSteps, wasmStep } from "../setup.ts";
import { claimState, leaveNote, takeNoteAway, webhookSecretsKey } from "../state-folder.ts";
import { migrateDatabase } from "../wrangler.ts";

const ORGANIZATION = "local";

runCommand(async () => {
  const flags = parseFlags({ port: { type: "string", default: "8787" } }, "npm start -- [--port N]");
  const asked = parsePort(flags.port, "--port");
  const state = join(root, ".wrangler", "state");
  await claimState(state);
  // Now, rather than after minutes of building.
  await claimPort(asked, "--port");

  let gateway: Gateway | undefined;
  const note = () => leaveNote(state, { gateway: gateway?.url ?? "" });
  await inSteps([
    ...toolSteps,
    wasmStep("production"),
    { title: "the database", run: () => migrateDatabase(state) },
    {
      title: "starting the gateway",
      run: async () => {
        const port = await claimPort(asked, "--port");
        const log = join(state, "gateway.log");
        const vars = { ...LOCAL_VARS, WEBHOOK_SECRETS_KEY: await webhookSecretsKey(state) };
        gateway = await startGateway({ build: "production", port, state, vars, log }, () => void note());
        return undefined;
      },
    },
  ]);
  if (gateway === undefined) throw new Failure("The gateway was not started.");
  await note();
  process.on("exit", () => takeNoteAway(state));
  staying();

  const request = { organization: ORGANIZATION, permissions: PERMISSIONS, name: "local" };
  const key = (await hasKey(ORGANIZATION, state)) ? undefined : await mintLocally(request, state);
  process.stdout.write(`\n${introduction(gateway.url, key)}\n\nCtrl-C ends it. Logs and data: ${state}\n`);
  throw await gateway.ended;
});

function introduction(url: string, key: string | undefined): string {
  const api = `${url}/api/v1/sessions`;
  return [
    `The gateway answers on ${url}.`,
    key === undefined
      ? `The organization "${ORGANIZATION}" has an API key; \`npm run -s key -- --org ${ORGANIZATION}\` makes another.`
      : `The API key of the organization "${ORGANIZATION}", shown this once:`,
    "",
    `  KEY=${key ?? "wa_…"}`,
    "",
    "Create a session; the answer holds its id:",
    "",
    `  curl -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" ${api} \\`,
    `    -d '{"label":"my number","start":true}'`,
    "",
    "Its QR code, to be scanned in WhatsApp under Linked devices, as a picture:",
    "",
    `  curl -H "Authorization: Bearer $KEY" -H "Accept: image/png" ${api}/ID/qr -o qr.png`,
    "",
    "or in the terminal, where qrencode and jq are installed:",
    "",
    `  curl -s -H "Authorization: Bearer $KEY" ${api}/ID/qr | jq -r .code | qrencode -t ansiutf8`,
  ].join("\n");
}
