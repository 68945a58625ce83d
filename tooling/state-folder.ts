// A folder with a gateway's local state. Two gateways on one would write the same databases behind each other's
// back, so whoever runs on it leaves a note of itself there.

import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "./failure.ts";
import { answers } from "./http.ts";

const NOTE = "running.json";
/** What the secrets of its webhooks are sealed with: without it they can't be opened again. */
const SECRETS_KEY = "webhook-secrets.key";

/** Makes the folder, and refuses one whose gateway still answers. */
export async function claimState(state: string): Promise<void> {
  await mkdir(state, { recursive: true });
  const note = await readFile(join(state, NOTE), "utf8").catch(() => undefined);
  const url = /"gateway":"([^"]+)"/.exec(note ?? "")?.[1];
  if (url === undefined) return;
  if (await answers(url)) {
    throw new Failure(
      `A gateway on ${url} is using ${state}. Stop it, or choose another folder with --state DIR.`,
    );
  }
}

/** The Worker's `WEBHOOK_SECRETS_KEY`, made once. */
export async function webhookSecretsKey(state: string): Promise<string> {
  const file = join(state, SECRETS_KEY);
  const kept = await readFile(file, "utf8").catch(() => undefined);
  if (kept !== undefined) return kept;
  const key = randomBytes(32).toString("base64");
  await writeFile(file, key, { mode: 0o600 });
  return key;
}

/** `note` says at least `gateway`, its URL. Kept current, it also tells others which processes to look at. */
export async function leaveNote(
  state: string,
  note: { readonly gateway: string; readonly [detail: string]: unknown },
): Promise<void> {
  await writeFile(join(state, NOTE), `${JSON.stringify(note)}\n`);
}

/** Synchronous, so that it can be the last thing a process does. */
export function takeNoteAway(state: string): void {
  rmSync(join(state, NOTE), { force: true });
}
