// The keystore's tests run on a native SQLite, the keystore itself on workerd's: another build, reached through
// JavaScript. Here every statement of those tests runs again, in the same order, in a Durable Object of workerd, and
// has to give the same rows, or fail as well.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { test } from "node:test";
import { isDeepStrictEqual, promisify } from "node:util";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { brief } from "./waiting.ts";

const root = process.env["REPO_ROOT"] ?? process.cwd();
/** Stays when the test fails. */
const traces = join(root, "target", "keystore-trace");
/** So many there are at least: a recording that lost most of them proves nothing. */
const EXPECTED_STATEMENTS = 10_000;
const SHOWN = 5;

/** As tests/keystore/recorded.rs writes it. A whole number is text, for those that a double can't hold. */
type Value =
  | null
  | { readonly integer: string }
  | { readonly real: number }
  | { readonly text: string }
  | { readonly blob: string };

interface Statement {
  readonly statement: string;
  readonly bindings: readonly Value[];
}

type Answer = { readonly rows: readonly (readonly Value[])[] } | { readonly error: string };

/** Calls and conversions are those of durable-objects/sql/src/workerd.rs. */
const DATABASES = `
  function toJs(value) {
    if (value === null) return null;
    if ("integer" in value) return Number(value.integer);
    if ("real" in value) return value.real;
    if ("text" in value) return value.text;
    return Uint8Array.fromHex(value.blob);
  }

  function fromJs(value) {
    if (value === null || value === undefined) return null;
    if (typeof value === "string") return { text: value };
    if (typeof value === "number") {
      const whole = Math.trunc(value) === value && Math.abs(value) <= 2 ** 53;
      return whole ? { integer: BigInt(value).toString() } : { real: value };
    }
    if (value instanceof ArrayBuffer) return { blob: new Uint8Array(value).toHex() };
    if (value instanceof Uint8Array) return { blob: value.toHex() };
    throw new Error("a column of a kind SQLite does not have");
  }

  export class Database {
    constructor(state) {
      this.sql = state.storage.sql;
    }

    async fetch(request) {
      const statements = await request.json();
      return Response.json(statements.map(({ statement, bindings }) => this.query(statement, bindings.map(toJs))));
    }

    query(statement, bindings) {
      try {
        const rows = this.sql.exec(statement, ...bindings).raw().toArray();
        return { rows: rows.map((row) => row.map(fromJs)) };
      } catch (error) {
        return { error: error.message };
      }
    }
  }

  export default {
    fetch(request, { DATABASES }) {
      const name = new URL(request.url).pathname;
      return DATABASES.get(DATABASES.idFromName(name)).fetch(request);
    },
  };`;

/** Runs the keystore's native tests, the build of `npm test -- unit`, and has them write down what they ask. */
async function record(): Promise<readonly string[]> {
  await rm(traces, { recursive: true, force: true });
  await mkdir(traces, { recursive: true });
  // Not `-p gateway-session`: its dependencies would be built again, with the features that it alone wants.
  const args = ["test", "--workspace", "--exclude", "gateway-e2e", "--test", "keystore"];
  const env = { ...process.env, KEYSTORE_TRACE_DIR: traces };
  await promisify(execFile)("cargo", args, { cwd: root, env, maxBuffer: 2 ** 26 });
  return (await readdir(traces)).sort().map((file) => join(traces, file));
}

async function read(trace: string): Promise<readonly (Statement & Answer)[]> {
  const lines = (await readFile(trace, "utf8")).split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as Statement & Answer);
}

/** All of a database in one event of its object, so that nothing comes between two statements. */
async function inWorkerd(
  workerd: Miniflare,
  database: string,
  asked: readonly Statement[],
): Promise<readonly Answer[]> {
  const body = JSON.stringify(asked.map(({ statement, bindings }) => ({ statement, bindings })));
  const response = await workerd.dispatchFetch(`http://databases/${database}`, { method: "POST", body });
  assert.equal(response.status, 200, `workerd ran ${database}`);
  return (await response.json()) as readonly Answer[];
}

/** Rows are the same row by row and type by type; an error has other words there. */
function same(native: Answer, there: Answer | undefined): boolean {
  if (there === undefined) return false;
  return "rows" in native ? "rows" in there && isDeepStrictEqual(there.rows, native.rows) : "error" in there;
}

/** Two answers from shortly before they part: a record of theirs may be of megabytes. */
function apart(native: Answer, there: Answer | undefined): string {
  const [left, right] = [native, there].map((answer) => {
    if (answer === undefined) return "nothing";
    return "rows" in answer ? JSON.stringify(answer.rows) : `error: ${answer.error}`;
  }) as [string, string];
  let same = 0;
  while (same < left.length && left[same] === right[same]) same++;
  const from = Math.max(0, same - 100);
  const shown = (text: string) => (from === 0 ? "" : "…") + brief(text.slice(from));
  return `  natively   ${shown(left)}\n  in workerd ${shown(right)}`;
}

test("the keystore's statements give in workerd what they give natively", async (t) => {
  const recorded = await record();
  const workerd = new Miniflare(
    convertV4MiniflareOptions({
      workers: [
        {
          name: "databases",
          modules: true,
          script: DATABASES,
          compatibilityDate: "2026-11-01",
          durableObjects: { DATABASES: { className: "Database", useSQLite: true } },
        },
      ],
    }),
  );
  const differences: string[] = [];
  let statements = 0;
  let refused = 0;
  try {
    for (const trace of recorded) {
      const database = basename(trace, ".jsonl");
      const native = await read(trace);
      const there = await inWorkerd(workerd, database, native);
      assert.equal(there.length, native.length);
      statements += native.length;
      refused += native.filter((answer) => "error" in answer).length;
      // What follows on the first difference in a database says little.
      const first = native.findIndex((answer, index) => !same(answer, there[index]));
      const asked = native[first];
      if (asked === undefined) continue;
      differences.push(
        `${database}, statement ${first + 1}: ${brief(asked.statement.replace(/\s+/g, " "))}\n` +
          `  bound to ${brief(JSON.stringify(asked.bindings))}\n` +
          apart(asked, there[first]),
      );
    }
  } finally {
    await workerd.dispose();
  }
  const words = [
    `${differences.length} of ${recorded.length} databases differ:`,
    ...differences.slice(0, SHOWN),
  ];
  assert.equal(differences.length, 0, words.join("\n"));
  assert.ok(statements >= EXPECTED_STATEMENTS, `only ${statements} statements were recorded`);
  assert.ok(refused > 0, "no recorded statement failed");
  await rm(traces, { recursive: true });
  const counted = `${statements.toLocaleString("en")} statements, ${refused} of them refused,`;
  t.diagnostic(`${counted} over ${recorded.length} databases gave in workerd what they gave natively`);
});
