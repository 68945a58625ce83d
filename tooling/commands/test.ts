// `npm test [-- SECTION … --filter NAME]`: everything that can be checked on one machine, counted. Its last line is
// `N passed, N failed`.

import { mkdir } from "node:fs/promises";
import { parseArgs } from "node:util";
import { runCommand } from "../command.ts";
import { describeFailure, Failure } from "../failure.ts";
import { buildDir } from "../layout.ts";
import { endAll } from "../processes.ts";
import { inSteps } from "../progress.ts";
import { toolSteps } from "../setup.ts";
import { one, sum, type Tally } from "../tally.ts";
import {
  GROUPS,
  type Group,
  removeState,
  type Section,
  sections,
  startTestSandbox,
} from "../test-sections.ts";

interface Result {
  readonly name: string;
  readonly seconds: number;
  readonly tally: Tally;
}

runCommand(async () => {
  const { groups, filter } = parseArguments();
  const results: Result[] = [];
  let state: string | undefined;
  let sandbox: Promise<NodeJS.ProcessEnv> | undefined;
  const context = {
    filter,
    sandbox: () => {
      sandbox ??= startTestSandbox().then((started) => {
        state = started.state;
        return started.env;
      });
      return sandbox;
    },
  };

  await mkdir(buildDir, { recursive: true });
  const setup = {
    group: "build" as const,
    name: "set-up",
    run: () => inSteps(toolSteps).then(() => one(true)),
  };
  const wanted = sections.filter(({ group }) => groups.includes(group));
  for (const section of [setup, ...wanted]) {
    const result = await runSection(section, context);
    // Set-up is no test: it is only worth a line when nothing can follow.
    if (section !== setup) results.push(result);
    else if (result.tally.failed > 0) {
      results.push(result);
      break;
    }
  }

  await endAll();
  const total = sum(results.map(({ tally }) => tally));
  if (state !== undefined) {
    if (total.failed === 0) await removeState(state);
    else process.stdout.write(`\nThe gateway's logs and data: ${state}\n`);
  }
  process.stdout.write(`\n${table(results)}\n\n${total.passed} passed, ${total.failed} failed\n`);
  return total.failed === 0 ? 0 : 1;
});

async function runSection(section: Section, context: Parameters<Section["run"]>[0]): Promise<Result> {
  process.stdout.write(`\n━━ ${section.name} ━━\n`);
  const began = Date.now();
  let tally = one(false);
  try {
    tally = await section.run(context);
  } catch (error) {
    process.stdout.write(`${await describeFailure(error)}\n`);
  }
  return { name: section.name, seconds: (Date.now() - began) / 1000, tally };
}

function table(results: readonly Result[]): string {
  const row = (name: string, seconds: string, passed: string, failed: string) =>
    `${name.padEnd(26)}${seconds.padStart(9)}${passed.padStart(9)}${failed.padStart(9)}`;
  return [
    row("section", "seconds", "passed", "failed"),
    ...results.map(({ name, seconds, tally }) =>
      row(name, seconds.toFixed(1), String(tally.passed), String(tally.failed)),
    ),
  ].join("\n");
}

function parseArguments(): { groups: readonly Group[]; filter: string | undefined } {
  try {
    const { values, positionals } = parseArgs({
      options: { filter: { type: "string" } },
      allowPositionals: true,
    });
    const groups = positionals.map((word) => {
      const group = GROUPS.find((candidate) => candidate === word);
      if (group === undefined) throw new Error(`There is no section "${word}".`);
      return group;
    });
    return { groups: groups.length > 0 ? groups : GROUPS, filter: values.filter };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Failure(`${reason}\nUsage: npm test -- [${GROUPS.join("|")}]… [--filter NAME]`);
  }
}
