// The gateway on this machine: `wrangler dev` over a wasm build and a state folder, kept running.
//
// wrangler has two workerd processes: one takes the requests in, one runs the Worker. When the second crashes,
// wrangler starts it again and goes on. When the first crashes wrangler starts it again too, but it then answers
// nothing (wrangler 4.164), so here wrangler as a whole is started anew over the same state. The same when it gives up
// starting the second: one that crashes while it starts is not started again.

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure } from "./failure.ts";
import { answers } from "./http.ts";
import { root } from "./layout.ts";
import { processesOfGroup } from "./process-table.ts";
import { end, type Started, start } from "./processes.ts";
import { type Build, bundleToServe } from "./wasm-build.ts";
import { wrangler } from "./wrangler.ts";

const START_TIMEOUT_MS = 60_000;
const WATCH_INTERVAL_MS = 1_000;
const GIVEN_UP_AFTER_MS = 8_000;

/** What tells a gateway on this machine from a deployed one. */
export const LOCAL_VARS = { GATEWAY_ID: "gw-local" } as const;

export interface GatewayOptions {
  readonly build: Build;
  readonly port: number;
  readonly state: string;
  readonly vars: Readonly<Record<string, string>>;
  readonly log: string;
}

export interface GatewayProcesses {
  readonly wrangler: number;
  /** The workerd that runs the Worker. */
  readonly workerd: number | null;
}

export interface Gateway {
  readonly url: string;
  readonly processes: () => GatewayProcesses;
  /** Settles with the reason when the gateway ended by itself. */
  readonly ended: Promise<Failure>;
}

export async function startGateway(options: GatewayOptions, onChange: () => void): Promise<Gateway> {
  let wranglerProcess = await startWrangler(options, false);
  let workerds = await findWorkerds(wranglerProcess, options.port);

  const watch = async (): Promise<Failure> => {
    let aliveAt = Date.now();
    for (;;) {
      const outcome = await Promise.race([wranglerProcess.ended, sleep(WATCH_INTERVAL_MS)]);
      if (outcome !== undefined) {
        return new Failure(
          `wrangler ended by itself (${outcome.signal ?? `exit code ${outcome.code}`}).`,
          options.log,
        );
      }
      if (isAlive(workerds.worker)) aliveAt = Date.now();
      if (isAlive(workerds.entrance) && isAlive(workerds.worker)) continue;
      const entranceCrashed = !isAlive(workerds.entrance);
      workerds = await findWorkerds(wranglerProcess, options.port);
      const isGivenUp = !isAlive(workerds.worker) && Date.now() - aliveAt > GIVEN_UP_AFTER_MS;
      if (entranceCrashed || isGivenUp) {
        await end(wranglerProcess);
        wranglerProcess = await startWrangler(options, true);
        workerds = await findWorkerds(wranglerProcess, options.port);
        aliveAt = Date.now();
      }
      if (isAlive(workerds.worker)) onChange();
    }
  };

  return {
    url: urlOf(options.port),
    processes: () => ({ wrangler: wranglerProcess.pid, workerd: workerds.worker }),
    ended: watch().catch((error: unknown) =>
      error instanceof Failure ? error : new Failure(String(error), options.log),
    ),
  };
}

function urlOf(port: number): string {
  return `http://127.0.0.1:${port}`;
}

async function startWrangler(options: GatewayOptions, again: boolean): Promise<Started> {
  const vars = Object.entries(options.vars).flatMap(([name, value]) => ["--var", `${name}:${value}`]);
  const args = [
    "dev",
    await bundleToServe(options.build, options.state),
    // Named, because wrangler would look for it beside the bundle.
    `--config=${join(root, "wrangler.toml")}`,
    "--ip=127.0.0.1",
    `--port=${options.port}`,
    "--inspector-port=0",
    "--show-interactive-dev-session=false",
    `--persist-to=${options.state}`,
    ...vars,
  ];
  const started = await start({ ...wrangler(args, options.state, options.log), append: again });
  const deadline = Date.now() + START_TIMEOUT_MS;
  // The first request is also what makes wrangler load the Worker.
  while (!(await answers(urlOf(options.port)))) {
    const gone = await Promise.race([started.ended, sleep(100)]);
    if (gone !== undefined)
      throw new Failure("`wrangler dev` ended instead of serving the gateway.", options.log);
    if (Date.now() > deadline) {
      await end(started);
      throw new Failure(`The gateway did not answer within ${START_TIMEOUT_MS / 1000} s.`, options.log);
    }
  }
  return started;
}

interface Workerds {
  /** Takes the requests in. */
  readonly entrance: number | null;
  /** Runs the Worker. */
  readonly worker: number | null;
}

async function findWorkerds(wranglerProcess: Started, port: number): Promise<Workerds> {
  const workerds = (await processesOfGroup(wranglerProcess.pid)).filter(({ commandLine }) =>
    /\/workerd(\.exe)? serve /.test(commandLine),
  );
  const isEntrance = (commandLine: string) => commandLine.includes(`entry=127.0.0.1:${port} `);
  return {
    entrance: workerds.find(({ commandLine }) => isEntrance(commandLine))?.pid ?? null,
    worker: workerds.find(({ commandLine }) => !isEntrance(commandLine))?.pid ?? null,
  };
}

function isAlive(pid: number | null): boolean {
  if (pid === null) return false;
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
