// The production build can't be led to anything but WhatsApp (rule 8). It runs here in workerd with its way out
// bent: whatever it fetches reaches the simulator. So its own Noise code meets a certificate chain that is sound in
// itself but not WhatsApp's, and its own configuration meets a WHATSAPP_URL.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { environment } from "./environment.ts";
import { eventually } from "./waiting.ts";

const root = process.env["REPO_ROOT"] ?? process.cwd();
const KEY = "wa_only_in_this_test";
/** Nobody listens there; it must not even be asked. */
const CONFIGURED = "ws://configured.invalid/ws/chat";

/** Writes down where a request wanted to go and brings it to the simulator. */
const WAY_OUT = `
  const wanted = [];
  export default {
    async fetch(request) {
      const url = new URL(request.url);
      if (url.pathname === "/wanted") return Response.json(wanted);
      wanted.push(request.url);
      return fetch(SIMULATOR + url.pathname, request);
    },
  };`;

interface Session {
  readonly id: string;
  readonly status: string;
  readonly statusReason: { readonly code: string; readonly message: string } | null;
}

class Gateway {
  readonly #runtime: Miniflare;

  constructor(build: "production" | "simulator", variables: Readonly<Record<string, string>>) {
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
            script: `const SIMULATOR = ${JSON.stringify(environment.simulator)};${WAY_OUT}`,
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
      .bind("key", "organization", hash, '{"gateway":["manage"]}')
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

async function withGateway(
  build: "production" | "simulator",
  use: (gateway: Gateway) => Promise<void>,
  variables: Readonly<Record<string, string>> = {},
): Promise<void> {
  const gateway = new Gateway(build, variables);
  try {
    await gateway.prepare();
    await use(gateway);
  } finally {
    await gateway.end();
  }
}

test("the production build refuses a certificate that is not WhatsApp's, and no configuration leads it elsewhere", async () => {
  await withGateway("production", async (gateway) => {
    const session = await gateway.started(
      "a refusal",
      ({ statusReason }) => statusReason?.code === "handshake_failed",
    );
    assert.match(session.statusReason?.message ?? "", /certificate/i);
    const wanted = await gateway.wanted();
    assert.ok(wanted.length > 0);
    for (const address of wanted) assert.equal(address, "https://web.whatsapp.com/ws/chat");
  });
});

test("the simulator build, on the very same way out, believes the simulator: the refusal is the production build's own", async () => {
  await withGateway("simulator", async (gateway) => {
    const session = await gateway.started("a QR code", ({ status }) => status === "scan_qr_code");
    assert.equal(session.statusReason, null);
    assert.equal((await gateway.wanted())[0], "http://configured.invalid/ws/chat");
  });
});

interface Refused {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly details: { readonly field?: string };
  };
}

test("the production build sends webhooks over https and into the internet only, and can't be told otherwise", async () => {
  const vault = { WEBHOOK_SECRETS_KEY: Buffer.alloc(32, 7).toString("base64") };
  const inside = [
    "https://127.0.0.1/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://10.1/",
    "https://printer.local/",
  ];
  const refusesWhatIsPrivate = async (gateway: Gateway): Promise<void> => {
    for (const url of ["http://hooks.example.com/", "http://127.0.0.1:9/", ...inside]) {
      const made = await gateway.ask<Refused>("POST", "/api/v1/webhooks", { url });
      assert.equal(made.status, 400, url);
      assert.equal(made.body.error.code, "validation_error", url);
      assert.equal(made.body.error.details.field, "url", url);
    }
  };
  await withGateway(
    "production",
    async (gateway) => {
      assert.equal((await gateway.ask("GET", "/readyz")).status, 200);
      await refusesWhatIsPrivate(gateway);
      const url = "https://hooks.example.com/";
      const made = await gateway.ask<{ id: string }>("POST", "/api/v1/webhooks", { url });
      assert.equal(made.status, 201, JSON.stringify(made.body));
      // Its object and the ledger are there.
      const deliveries = await gateway.ask("GET", `/api/v1/webhooks/${made.body.id}/deliveries`);
      assert.deepEqual(deliveries, { status: 200, body: { data: [], nextCursor: null } });
    },
    vault,
  );
  await withGateway(
    "production",
    async (gateway) => {
      const ready = await gateway.ask<Refused>("GET", "/readyz");
      assert.equal(ready.status, 503);
      assert.match(ready.body.error.message, /^ALLOW_PRIVATE_WEBHOOKS /);
      await refusesWhatIsPrivate(gateway);
    },
    { ...vault, ALLOW_PRIVATE_WEBHOOKS: "true" },
  );
  await withGateway("production", async (gateway) => {
    const url = "https://hooks.example.com/";
    const made = await gateway.ask<Refused>("POST", "/api/v1/webhooks", { url });
    assert.equal(made.status, 503);
    assert.match(made.body.error.message, /WEBHOOK_SECRETS_KEY/);
  });
});
