// A gateway and a simulated WhatsApp on this machine, set up and started step by step.

import { join } from "node:path";
import { mintLocally, PERMISSIONS } from "./api-key.ts";
import { Failure } from "./failure.ts";
import { type Gateway, LOCAL_VARS, startGateway } from "./gateway.ts";
import { answers } from "./http.ts";
import { claimPort } from "./ports.ts";
import { inSteps, type Step } from "./progress.ts";
import { toolSteps, wasmStep } from "./setup.ts";
import { buildSimulator, type Simulator, startSimulator, whatsappUrl } from "./simulator.ts";
import { claimState, leaveNote, takeNoteAway, webhookSecretsKey } from "./state-folder.ts";
import { migrateDatabase } from "./wrangler.ts";

const ORGANIZATION = "sandbox";

export interface SandboxOptions {
  readonly port: number;
  readonly simulatorPort: number;
  /** One that is running already, instead of one of our own. */
  readonly simulatorUrl: string | undefined;
  readonly seed: string | undefined;
  readonly state: string;
  readonly vars: Readonly<Record<string, string>>;
}

export interface Sandbox {
  readonly gateway: string;
  readonly simulator: string;
  readonly organization: string;
  readonly apiKey: string;
  readonly pids: () => Pids;
  /** Settles with the reason when a part of it ended by itself. */
  readonly ended: Promise<Failure>;
}

/** `gateway` is the workerd that runs the Worker. It changes when that one crashes and comes back. */
export interface Pids {
  readonly sandbox: number;
  readonly wrangler: number;
  readonly workerd: number | null;
  readonly gateway: number | null;
  readonly simulator: number | null;
}

export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const { state } = options;
  await claimState(state);
  await checkEarly(options);

  const simulatorLog = join(state, "simulator.log");
  let simulator: Simulator | undefined;
  let gateway: Gateway | undefined;
  const simulatorUrl = () => simulator?.url ?? options.simulatorUrl ?? "";
  const pids = (): Pids => {
    const { wrangler, workerd } = gateway?.processes() ?? { wrangler: -1, workerd: null };
    return { sandbox: process.pid, wrangler, workerd, gateway: workerd, simulator: simulator?.pid ?? null };
  };
  const note = () =>
    leaveNote(state, { gateway: gateway?.url ?? "", simulator: simulatorUrl(), pids: pids() });

  const ownSimulator: Step[] = [
    { title: "building the simulator", run: buildSimulator },
    {
      title: "starting the simulator",
      run: async () => {
        const port = await claimPort(options.simulatorPort, "--simulator-port");
        simulator = await startSimulator(`127.0.0.1:${port}`, options.seed, simulatorLog);
        return undefined;
      },
    },
  ];
  await inSteps([
    ...toolSteps,
    wasmStep("simulator"),
    ...(options.simulatorUrl === undefined ? ownSimulator : []),
    { title: "the database", run: () => migrateDatabase(state) },
    {
      title: "starting the gateway",
      run: async () => {
        const port = await claimPort(options.port, "--port");
        const vars = {
          ...LOCAL_VARS,
          WHATSAPP_URL: whatsappUrl(simulatorUrl()),
          WEBHOOK_SECRETS_KEY: await webhookSecretsKey(state),
          ALLOW_PRIVATE_WEBHOOKS: "true",
          ...options.vars,
        };
        const log = join(state, "gateway.log");
        gateway = await startGateway({ build: "simulator", port, state, vars, log }, () => void note());
        return undefined;
      },
    },
  ]);
  if (gateway === undefined) throw new Failure("The gateway was not started.");
  process.on("exit", () => takeNoteAway(state));
  await note();
  const request = { organization: ORGANIZATION, permissions: PERMISSIONS, name: "sandbox" };
  return {
    gateway: gateway.url,
    simulator: simulatorUrl(),
    organization: ORGANIZATION,
    apiKey: await mintLocally(request, state),
    pids,
    ended: Promise.race([gateway.ended, endOf(simulator, simulatorLog)]),
  };
}

/** What would fail only after minutes of building otherwise. */
async function checkEarly(options: SandboxOptions): Promise<void> {
  await claimPort(options.port, "--port");
  if (options.simulatorUrl === undefined) {
    await claimPort(options.simulatorPort, "--simulator-port");
  } else if (!(await answers(options.simulatorUrl))) {
    throw new Failure(`No simulator answers on ${options.simulatorUrl}.`);
  }
}

async function endOf(simulator: Simulator | undefined, log: string): Promise<Failure> {
  if (simulator === undefined) return new Promise(() => undefined);
  const { code, signal } = await simulator.started.ended;
  return new Failure(`The simulator ended by itself (${signal ?? `exit code ${code}`}).`, log);
}
