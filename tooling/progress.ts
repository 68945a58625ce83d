// Long work told step by step on stderr (stdout belongs to results): a line when a step starts, its seconds while
// it runs, a line when it is done.

/** How often a step that takes long says so where lines can't be rewritten. */
const REMINDER_MS = 15_000;
/** A step that is over sooner gets one line, not two. */
const NOT_WORTH_A_START_MS = 400;

export interface Step {
  readonly title: string;
  /** May return a word that replaces the seconds, such as "unchanged". */
  readonly run: () => Promise<string | undefined>;
}

export async function inSteps(steps: readonly Step[]): Promise<void> {
  for (const [index, step] of steps.entries()) {
    await told(`[${index + 1}/${steps.length}] ${step.title}`, step.run);
  }
}

export async function told(label: string, run: Step["run"]): Promise<void> {
  const began = Date.now();
  const seconds = () => `${Math.round((Date.now() - began) / 1000)} s`;
  const rewrites = process.stderr.isTTY;
  const say = (text: string) => process.stderr.write(rewrites ? `\r${text}` : `${text}\n`);

  const starting = setTimeout(() => say(`${label} …`), rewrites ? 0 : NOT_WORTH_A_START_MS);
  const ticking = setInterval(() => say(`${label} … ${seconds()}`), rewrites ? 1_000 : REMINDER_MS);
  let outcome = "failed";
  try {
    outcome = (await run()) ?? seconds();
  } finally {
    clearTimeout(starting);
    clearInterval(ticking);
    say(`${label} … ${outcome}`);
    if (rewrites) process.stderr.write("\n");
  }
}
