// The database of a session's object, read beside the gateway that runs it: what no operation shows yet.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

export type Row = Readonly<Record<string, string | number | null>>;

/** Rows of a session's object, in the state of its gateway. */
export async function rowsOf(state: string, session: string, query: string): Promise<readonly Row[]> {
  const files = await readdir(state, { recursive: true });
  for (const file of files.filter((name) => name.endsWith(".sqlite"))) {
    const database = new DatabaseSync(join(state, file), { readOnly: true });
    try {
      if (database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'record'").all().length === 0) continue;
      const mine = database.prepare("SELECT 1 FROM record WHERE document ->> '$.session' = ?").all(session);
      if (mine.length > 0) return database.prepare(query).all() as readonly Row[];
    } finally {
      database.close();
    }
  }
  throw new Error(`No database of session ${session} in ${state}`);
}
