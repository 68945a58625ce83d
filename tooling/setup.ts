// What has to be there before the Worker can be built, as steps.

import type { Step } from "./progress.ts";
import { ensureCargoTools } from "./rust.ts";
import { type Build, buildWasm } from "./wasm-build.ts";
import { ensureWasmTarget } from "./wasm-target.ts";

export const toolSteps: readonly Step[] = [
  { title: "Rust's library for WebAssembly", run: ensureWasmTarget },
  { title: "worker-build and wasm-bindgen", run: ensureCargoTools },
];

export function wasmStep(build: Build): Step {
  return { title: `building the gateway (wasm, ${build})`, run: () => buildWasm(build) };
}
