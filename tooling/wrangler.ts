// wrangler as this repository runs it: without questions, without asking anything of the internet, and with its
// traces in the state folder only.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { contentHash, hasStamp, writeStamp } from "./content-stamp.ts";
import { node, packages, root } from "./layout.ts";
import { type Command, complete } from "./processes.ts";

export const DATABASE = "DB";

/** `wrangler ARGS` against the local state in `state`. */
export function wrangler(args: readonly string[], state: string, log: string): Command {
  return {
    program: node,
    args: [join(packages, "wrangler", "bin", "wrangler.js"), ...args],
    cwd: root,
    env: {
      ...process.env,
      CI: "1",
      CLOUDFLARE_CF_FETCH_ENABLED: "false",
      DO_NOT_TRACK: "1",
      FORCE_COLOR: "0",
      WRANGLER_HIDE_BANNER: "true",
      WRANGLER_NO_SKILLS_UPDATE_PROMPTS: "true",
      WRANGLER_REGISTRY_PATH: join(state, "registry"),
      WRANGLER_SEND_ERROR_REPORTS: "false",
      WRANGLER_SEND_METRICS: "false",
      WRANGLER_WRITE_LOGS: "false",
    },
    log,
  };
}

/** Brings the state's database up to migrations/; knows by a stamp when there is nothing to do. */
export async function migrateDatabase(state: string): Promise<string | undefined> {
  const stamp = join(state, "migrations.stamp");
  const hash = await contentHash(["migrations"]);
  if ((await hasStamp(stamp, hash)) && (await databaseFiles(state)).length > 0) return "up to date";
  const args = ["d1", "migrations", "apply", DATABASE, "--local", "--persist-to", state];
  await complete("Applying the migrations", wrangler(args, state, join(state, "migrations.log")));
  await writeStamp(stamp, hash);
  return undefined;
}

/** The SQLite files in which workerd keeps D1 databases. */
export async function databaseFiles(state: string): Promise<string[]> {
  const folder = join(state, "v3", "d1", "miniflare-D1DatabaseObject");
  const files = await readdir(folder).catch(() => []);
  return files
    .filter((file) => file.endsWith(".sqlite") && file !== "metadata.sqlite")
    .map((file) => join(folder, file));
}
