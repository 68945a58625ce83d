// A gateway of the login tests' own: the one that the other tests share trusts no frontend.

import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type IncomingHttpHeaders, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { environment } from "./environment.ts";
import type { Issuer } from "./frontend.ts";
import { PATIENCE_MS } from "./waiting.ts";

const root = process.env["REPO_ROOT"] ?? process.cwd();
/** A build that is not there yet is made first. */
const START_TIMEOUT_MS = 15 * 60_000;
const SHOWN_OUTPUT = 4_000;

/** AUTH_ISSUERS, and the JWKS_… variables by the rest of their names. */
export interface LoginOptions {
  readonly issuers: readonly Issuer[];
  readonly lifetimeSeconds: number;
  readonly cooldownSeconds: number;
  readonly maxStaleSeconds: number;
  readonly metricsToken?: string;
}

/** Headers in their order; a name may stand twice. */
export type HeaderList = readonly (readonly [name: string, value: string])[];

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** When it was asked and when it had answered, in epoch milliseconds. */
  readonly asked: number;
  readonly answered: number;
}

export interface Question {
  readonly method?: string;
  readonly path?: string;
  /** Whether the path is not under /api/v1. */
  readonly outside?: boolean;
  readonly headers?: HeaderList;
  readonly body?: unknown;
  /** Where it comes from; when absent, an address that nobody else has. */
  readonly address?: string;
}

/** wrangler takes our word for it, so that no failed login uses up another's. */
export function anyAddress(): string {
  return `10.${[...randomBytes(3)].join(".")}`;
}

export class LoginGateway {
  readonly url: string;
  /** An API key that may everything in its organization. */
  readonly apiKey: string;
  readonly state: string;
  readonly #process: ChildProcess;

  static async start(options: LoginOptions): Promise<LoginGateway> {
    const state = await mkdtemp(join(tmpdir(), "login-gateway-"));
    const vars = {
      AUTH_ISSUERS: JSON.stringify(
        options.issuers.map(({ issuer, audience, jwksUrl }) => ({ issuer, audience, jwksUrl })),
      ),
      JWKS_LIFETIME_SECONDS: options.lifetimeSeconds,
      JWKS_COOLDOWN_SECONDS: options.cooldownSeconds,
      JWKS_MAX_STALE_SECONDS: options.maxStaleSeconds,
      ...(options.metricsToken === undefined ? {} : { METRICS_TOKEN: options.metricsToken }),
    };
    const args = ["sandbox", "--empty", "--json", "--port=0", `--simulator=${environment.simulator}`];
    const started = spawn(
      process.execPath,
      [
        join(root, "tooling", "run.mjs"),
        ...args,
        `--state=${state}`,
        ...Object.entries(vars).map(([name, value]) => `--var=${name}=${value}`),
      ],
      { cwd: root, stdio: ["ignore", "pipe", "pipe"] },
    );
    const { gateway, apiKey } = await announcement(started);
    return new LoginGateway(gateway, apiKey, state, started);
  }

  private constructor(url: string, apiKey: string, state: string, started: ChildProcess) {
    this.url = url;
    this.apiKey = apiKey;
    this.state = state;
    this.#process = started;
  }

  async end(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = once(this.#process, "exit");
      this.#process.kill("SIGTERM");
      await ended;
    }
    await rm(this.state, { recursive: true, force: true });
  }

  /** Asks without what `fetch` adds or mends. Any status is an answer; none in time is an error. */
  async ask({
    method = "GET",
    path = "/sessions",
    outside = false,
    headers = [],
    body,
    address = anyAddress(),
  }: Question): Promise<Answer> {
    const sent = body === undefined ? undefined : JSON.stringify(body);
    const asked = Date.now();
    const url = new URL(outside ? path : `/api/v1${path}`, this.url);
    const outgoing = request(url, {
      method,
      agent: false,
      headers: [
        ["host", url.host],
        ["cf-connecting-ip", address],
        ...headers,
        ...(sent === undefined
          ? []
          : [
              ["content-type", "application/json"],
              ["content-length", String(Buffer.byteLength(sent))],
            ]),
      ].flat(),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    outgoing.end(sent);
    const [response] = await once(outgoing, "response");
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString("utf8");
    return { status: response.statusCode, headers: response.headers, text, asked, answered: Date.now() };
  }

  /** Asks with a login, by default for the list of sessions. */
  async as(token: string, question: Omit<Question, "headers"> = {}): Promise<Answer> {
    return this.ask({ ...question, headers: [["authorization", `Bearer ${token}`]] });
  }
}

/** What the sandbox says when it is up; when it ends instead, why. */
async function announcement(started: ChildProcess): Promise<{ gateway: string; apiKey: string }> {
  if (started.stdout === null || started.stderr === null) throw new Error("The sandbox has no outputs.");
  let words = "";
  started.stderr.setEncoding("utf8").on("data", (text: string) => {
    words = `${words}${text}`.slice(-SHOWN_OUTPUT);
  });
  const lines = createInterface({ input: started.stdout });
  const late = setTimeout(() => started.kill("SIGTERM"), START_TIMEOUT_MS);
  try {
    for await (const line of lines) return JSON.parse(line);
  } finally {
    clearTimeout(late);
    started.stdout.resume();
  }
  throw new Error(`The login tests' gateway did not start.\n${words}`);
}
