// The contract's schemas, to hold live answers against, where they lie beside the repository.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

interface Field {
  readonly type: string;
  readonly required: boolean;
  readonly enum?: readonly unknown[];
}

const repository = process.env["REPO_ROOT"] ?? process.cwd();
const file = join(repository, "..", "shared", "contract", "schemas.json");

/** Every field is one of the schema's and of its type, and none that is required is missing. Flat schemas only. */
export async function checkSchema(name: string, answer: object): Promise<void> {
  const text = await readFile(file, "utf8").catch(() => undefined);
  if (text === undefined) return;
  const { schemas } = JSON.parse(text) as { schemas: Record<string, Record<string, Field>> };
  const fields = schemas[name];
  assert.ok(fields !== undefined, `the contract has no ${name}`);
  for (const [key, value] of Object.entries(answer) as [string, unknown][]) {
    const field = fields[key];
    assert.ok(field !== undefined, `the contract's ${name} has no ${key}`);
    const fits = field.type === "integer" ? Number.isInteger(value) : typeof value === field.type;
    assert.ok(fits, `${key} is no ${field.type}: ${value}`);
    assert.ok(field.enum === undefined || field.enum.includes(value), `${key} is ${value}`);
  }
  const missing = Object.keys(fields).filter((key) => fields[key]?.required && !(key in answer));
  assert.deepEqual(missing, []);
}
