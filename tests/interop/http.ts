// JSON over HTTP, as both clients need it.

import { PATIENCE_MS } from "./waiting.ts";

export interface Call {
  readonly method?: "GET" | "POST" | "PUT" | "DELETE";
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An answer that isn't a success. */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = "Refusal";
    this.status = status;
  }
}

/** The answer's JSON, undefined when it has no body; the caller knows its shape. */
export async function call<T>(url: string, { method, body, headers = {} }: Call = {}): Promise<T> {
  const verb = method ?? (body === undefined ? "GET" : "POST");
  const response = await fetch(url, {
    method: verb,
    headers: { ...headers, ...(body === undefined ? {} : { "content-type": "application/json" }) },
    body: body === undefined ? null : JSON.stringify(body),
    // A long poll may take as long as anybody waits for what it brings.
    signal: AbortSignal.timeout(2 * PATIENCE_MS),
  });
  const text = await response.text();
  if (!response.ok) throw new Refusal(response.status, `${verb} ${url}: ${response.status} ${text}`);
  return (text === "" ? undefined : JSON.parse(text)) as T;
}
