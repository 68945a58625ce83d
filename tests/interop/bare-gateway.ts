// The simulator build in workerd without wrangler: variables of every kind, and parts that are missing.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";

const root = process.env["REPO_ROOT"] ?? process.cwd();
const BUILD = join(root, "build", "simulator");

export interface Parts {
  readonly variables: Readonly<Record<string, unknown>>;
  /** Whether sessions have objects; without them none can be reached. */
  readonly hasObjects?: boolean;
}

export interface BareAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

export interface BareGateway {
  readonly ask: (path: string, headers?: Record<string, string>) => Promise<BareAnswer>;
  /** Where it listens itself, with nothing before it that would keep a caller's hanging up to itself. */
  readonly url: URL;
  /** Runs a statement in the directory. */
  readonly run: (statement: string) => Promise<unknown>;
}

export async function withBareGateway(
  { variables, hasObjects = true }: Parts,
  use: (gateway: BareGateway) => Promise<void>,
): Promise<void> {
  const limiter = (namespace_id: string) => ({ namespace_id, simple: { limit: 60, period: 60 as const } });
  const runtime = new Miniflare(
    convertV4MiniflareOptions({
      modulesRoot: BUILD,
      modules: [
        { type: "ESModule", path: join(BUILD, "index.js") },
        { type: "CompiledWasm", path: join(BUILD, "index_bg.wasm") },
      ],
      compatibilityDate: "2026-11-01",
      bindings: variables as Record<string, never>,
      d1Databases: { DB: "directory" },
      unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
      durableObjects: hasObjects ? { SESSIONS: { className: "Session", useSQLite: true } } : {},
      ratelimits: {
        FAILED_BY_ADDRESS: limiter("1"),
        FAILED_BY_PREFIX: limiter("2"),
        AUDITED_REFUSALS: limiter("3"),
      },
    }),
  );
  try {
    const directory = await runtime.getD1Database("DB");
    const run = (statement: string) => directory.prepare(statement).run();
    for (const statement of await migrations()) await run(statement);
    const ask = async (path: string, headers: Record<string, string> = {}) => {
      const response = await runtime.dispatchFetch(`http://gateway${path}`, { headers });
      const text = await response.text();
      return { status: response.status, headers: response.headers as unknown as Headers, text };
    };
    await use({ ask, run, url: await runtime.unsafeGetDirectURL() });
  } finally {
    await runtime.dispose();
  }
}

async function migrations(): Promise<string[]> {
  const folder = join(root, "migrations");
  const files = (await readdir(folder)).filter((file) => file.endsWith(".sql")).sort();
  const schema = await Promise.all(files.map((file) => readFile(join(folder, file), "utf8")));
  // A statement ends where a line does; a trigger's inner ones don't.
  const statements = schema.join("\n").replace(/--.*$/gm, "").split(/;$/m);
  return statements.map((text) => text.replace(/\s+/g, " ").trim()).filter(Boolean);
}
