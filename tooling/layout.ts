// Where things lie in the repository.

import { dirname, join } from "node:path";

export const root = dirname(import.meta.dirname);
export const buildDir = join(root, "build");
export const logDir = join(buildDir, "logs");
export const migrationsDir = join(root, "migrations");
export const packages = join(root, "node_modules");

/** The Node that npm installed; this process runs on it, whatever the machine's own is. */
export const node = process.execPath;
