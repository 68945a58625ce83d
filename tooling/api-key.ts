// API keys, made outside the gateway: better-auth's layout in the table `apikey`, of which only a hash is stored.

import { createHash, randomBytes, randomInt } from "node:crypto";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import { Failure } from "./failure.ts";
import { logDir } from "./layout.ts";
import { complete } from "./processes.ts";
import { DATABASE, databaseFiles, migrateDatabase, wrangler } from "./wrangler.ts";

export const PERMISSIONS = ["manage", "send", "read", "events"] as const;
export type Permission = (typeof PERMISSIONS)[number];

export interface KeyRequest {
  readonly organization: string;
  readonly permissions: readonly Permission[];
  readonly name: string | undefined;
}

const PREFIX = "wa_";
const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/** 32 letters of 62 hold 190 bits. */
const LENGTH = 32;
/** 6 letters of 62 hold the 32 bits of the checksum. */
const CHECKSUM_LENGTH = 6;
/** How long a write waits for workerd's own. */
const BUSY_MS = 5_000;

/** Writes straight into workerd's SQLite file, which may be in use: the gateway sees the key at its next request. */
export async function mintLocally(request: KeyRequest, state: string): Promise<string> {
  await migrateDatabase(state);
  const { key, row } = newKey(request);
  const columns = Object.keys(row);
  const sql = `INSERT INTO apikey (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`;
  await inDirectory(state, (database) => database.prepare(sql).run(...Object.values(row)));
  return key;
}

/** Whether the organization has a key that works. */
export async function hasKey(organization: string, state: string): Promise<boolean> {
  const sql = "SELECT 1 FROM apikey WHERE reference_id = ? AND enabled = 1 LIMIT 1";
  return inDirectory(state, (database) => database.prepare(sql).get(organization) !== undefined);
}

/** Does something with the one of the state's databases that is the gateway's directory. */
async function inDirectory<T>(state: string, use: (database: DatabaseSync) => T): Promise<T> {
  for (const file of await databaseFiles(state)) {
    const database = new DatabaseSync(file, { timeout: BUSY_MS });
    try {
      const table = database
        .prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'apikey'")
        .get();
      if (table !== undefined) return use(database);
    } finally {
      database.close();
    }
  }
  throw new Failure(`There is no table apikey in the databases of ${state}.`);
}

/** Through wrangler into the database of the deployed gateway. */
export async function mintRemotely(request: KeyRequest): Promise<string> {
  const { key, row } = newKey(request);
  const values = Object.values(row).map((value) =>
    typeof value === "number" ? String(value) : value === null ? "NULL" : `'${value.replaceAll("'", "''")}'`,
  );
  const sql = `INSERT INTO apikey (${Object.keys(row).join(", ")}) VALUES (${values.join(", ")})`;
  const args = ["d1", "execute", DATABASE, "--remote", "--yes", "--command", sql];
  await complete("Storing the key with wrangler", wrangler(args, logDir, join(logDir, "key.log")));
  return key;
}

function newKey(request: KeyRequest): { key: string; row: Record<string, string | number | null> } {
  const letters = Array.from({ length: LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]);
  const body = `${PREFIX}${letters.join("")}`;
  const key = `${body}_${checksum(body)}`;
  const now = Date.now();
  return {
    key,
    row: {
      id: randomBytes(16).toString("hex"),
      name: request.name ?? null,
      start: key.slice(0, 6),
      prefix: PREFIX,
      key: createHash("sha256").update(key).digest("base64url"),
      reference_id: request.organization,
      enabled: 1,
      permissions: JSON.stringify({ gateway: request.permissions }),
      expires_at: null,
      created_at: now,
      updated_at: now,
    },
  };
}

/** As domain/src/checksum.rs has it: CRC-32 in base62, padded. */
function checksum(text: string): string {
  let rest = crc32(text);
  let digits = "";
  while (digits.length < CHECKSUM_LENGTH) {
    digits = `${ALPHABET[rest % ALPHABET.length]}${digits}`;
    rest = Math.floor(rest / ALPHABET.length);
  }
  return digits;
}

export function parsePermissions(text: string): Permission[] {
  const wanted = text.split(",").map((word) => word.trim());
  const unknown = wanted.find((word) => !PERMISSIONS.some((permission) => permission === word));
  if (unknown !== undefined) {
    throw new Failure(`There is no permission "${unknown}". Permissions: ${PERMISSIONS.join(",")}.`);
  }
  return PERMISSIONS.filter((permission) => wanted.includes(permission));
}
