// A gateway in workerd with its way out bent: whatever it fetches reaches the simulator, or whom a test puts in the place of
// a host.

import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { environment } from "./environment.ts";
import { eventually } from "./waiting.ts";

const root = process.env["REPO_ROOT"] ?? process.cwd();
const KEY = "wa_only_in_this_test";
/** Nobody listens there; it must not even be asked. */
const CONFIGURED = "ws://configured.invalid/ws/chat";

/** What somebody on the way answers; the body in base64. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** By the beginning of an address, the most particular first. */
export type Hosts = readonly (readonly [string, Reply])[];

/** Writes down where a request wanted to go and brings it there: to one of the hosts, or else to the simulator. */
const WAY_OUT = `
  const wanted = [];
  export default {
    async fetch(request) {
      const url = new URL(request.url);
      if (url.hostname === "way-out") return Response.json(wanted);
      wanted.push(request.url);
      const found = HOSTS.find(([beginning]) => request.url.startsWith(beginning));
      if (found !== undefined) {
        const { status, headers, body } = found[1];
        const bytes = Uint8Array.from(atob(body), (letter) => letter.charCodeAt(0));
        return new Response(bytes, { status, headers });
      }
      return fetch(SIMULATOR + url.pathname + url.search, request);
    },
  };`;

export interface Session {
  readonly id: string;
  readonly status: string;
  readonly statusReason: { readonly code: string; readonly message: string } | null;
}

export class Gateway {
  readonly #runtime: Miniflare;

  constructor(
    build: "production" | "simulator",
    variables: Readonly<Record<string, string>>,
    hosts: Hosts = [],
  ) {
    const limiter = (namespace_id: string) => ({ namespace_id, simple: { limit: 60, period: 60 as const } });
    this.#runtime = new Miniflare(
      convertV4MiniflareOptions({
        workers: [
          {
            name: "gateway",
            modulesRoot: join(root, "build", build),
            modules: [
              { type: "ESModule", path: join(root, "build", build, "index.js") },
              { type: "CompiledWasm", path: join(root, "build", build, "index_bg.wasm") },
            ],
            compatibilityDate: "2026-11-01",
            bindings: { WHATSAPP_URL: CONFIGURED, WHATSAPP_VERSION: "2.3000.1042742319", ...variables },
            d1Databases: { DB: "directory" },
            durableObjects: {
              SESSIONS: { className: "Session", useSQLite: true },
              ORGANIZATIONS: { className: "Organization", useSQLite: true },
              WEBHOOKS: { className: "Webhook", useSQLite: true },
            },
            ratelimits: {
              FAILED_BY_ADDRESS: limiter("1"),
              FAILED_BY_PREFIX: limiter("2"),
              AUDITED_REFUSALS: limiter("3"),
            },
            outboundService: "way-out",
          },
          {
            name: "way-out",
            modules: true,
            script: [
              `const SIMULATOR = ${JSON.stringify(environment.simulator)};`,
              `const HOSTS = ${JSON.stringify(hosts)};`,
              WAY_OUT,
            ].join("\n"),
            compatibilityDate: "2026-11-01",
          },
        ],
      }),
    );
  }

  async prepare(): Promise<void> {
    const directory = await this.#runtime.getD1Database("DB", "gateway");
    const migrations = join(root, "migrations");
    const files = (await readdir(migrations)).filter((file) => file.endsWith(".sql")).sort();
    const schema = await Promise.all(files.map((file) => readFile(join(migrations, file), "utf8")));
    // A statement ends where a line does; a trigger's inner ones don't.
    const statements = schema.join("\n").replace(/--.*$/gm, "").split(/;$/m);
    for (const statement of statements.map((text) => text.replace(/\s+/g, " ").trim()).filter(Boolean)) {
      await directory.prepare(statement).run();
    }
    const hash = createHash("sha256").update(KEY).digest("base64url");
    await directory
      .prepare(
        "INSERT INTO apikey (id, reference_id, key, created_at, updated_at, permissions) VALUES (?, ?, ?, 0, 0, ?)",
      )
      .bind("key", "organization", hash, '{"gateway":["manage","send"]}')
      .run();
  }

  async ask<T>(method: string, path: string, sent: unknown = {}): Promise<{ status: number; body: T }> {
    const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
    const body = method === "POST" ? JSON.stringify(sent) : null;
    const response = await this.#runtime.dispatchFetch(`http://gateway${path}`, { method, headers, body });
    return { status: response.status, body: (await response.json()) as T };
  }

  async call<T>(method: string, path: string): Promise<T> {
    return (await this.ask<T>(method, path)).body;
  }

  /** A session that was told to connect, once it is as wanted. */
  async started(what: string, wanted: (session: Session) => boolean): Promise<Session> {
    const { id } = await this.call<Session>("POST", "/api/v1/sessions");
    await this.call<Session>("POST", `/api/v1/sessions/${id}:start`);
    const session = await eventually(what, () => this.call<Session>("GET", `/api/v1/sessions/${id}`), wanted);
    await this.call<Session>("POST", `/api/v1/sessions/${id}:stop`);
    return session;
  }

  /** Where its requests wanted to go. */
  async wanted(): Promise<string[]> {
    const wayOut = (await this.#runtime.getWorker("way-out")) as unknown as { fetch: typeof fetch };
    return (await (await wayOut.fetch("http://way-out/wanted")).json()) as string[];
  }

  async end(): Promise<void> {
    await this.#runtime.dispose();
  }
}

export async function withGateway(
  build: "production" | "simulator",
  use: (gateway: Gateway) => Promise<void>,
  variables: Readonly<Record<string, string>> = {},
  hosts: Hosts = [],
): Promise<void> {
  const gateway = new Gateway(build, variables, hosts);
  try {
    await gateway.prepare();
    await use(gateway);
  } finally {
    await gateway.end();
  }
}
