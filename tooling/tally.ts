// Counting tests: reading the closing lines of cargo's and node's test runners, and adding up.

export interface Tally {
  readonly passed: number;
  readonly failed: number;
}

export const NOTHING: Tally = { passed: 0, failed: 0 };

export function sum(tallies: readonly Tally[]): Tally {
  return tallies.reduce(
    (total, { passed, failed }) => ({ passed: total.passed + passed, failed: total.failed + failed }),
    NOTHING,
  );
}

/** A check that is not a suite of tests counts as one. */
export function one(passed: boolean): Tally {
  return passed ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

/** A runner that failed without a failed test (it didn't compile, it crashed) counts as one failure. */
export function read(output: string, succeeded: boolean): Tally {
  const tally = sum([...ofCargo(output), ofNode(output)]);
  return succeeded || tally.failed > 0 ? tally : sum([tally, one(false)]);
}

function ofCargo(output: string): Tally[] {
  return [...output.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed/gm)].map(
    ([, passed, failed]) => ({
      passed: Number(passed),
      failed: Number(failed),
    }),
  );
}

function ofNode(output: string): Tally {
  const number = (word: string) => Number(new RegExp(`^(?:#|ℹ) ${word} (\\d+)`, "m").exec(output)?.[1] ?? 0);
  return { passed: number("pass"), failed: number("fail") + number("cancelled") };
}
