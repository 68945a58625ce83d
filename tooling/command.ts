// What every command has around it: failures told in one line, children ended on the way out, whichever way.

import { describeFailure } from "./failure.ts";
import { endAll } from "./processes.ts";

/**
 * Runs `main` and exits with the code it returns. A signal, or the end of the process that started us, ends all
 * children and exits with 0 when the command was there to stay (`staying()` was called), else with 130.
 */
export function runCommand(main: () => Promise<number>): void {
  let leaving = false;
  const leave = async (code: number) => {
    if (leaving) return;
    leaving = true;
    await endAll();
    process.exit(code);
  };
  for (const event of ["SIGINT", "SIGTERM", "SIGHUP", "disconnect"] as const) {
    process.on(event, () => void leave(stays ? 0 : 130));
  }
  // A reader that went away (`| head`) is no reason to leave children behind.
  process.stdout.on("error", () => undefined);
  process.stderr.on("error", () => undefined);
  main().then(leave, async (error: unknown) => {
    if (leaving) return;
    process.stderr.write(`${await describeFailure(error)}\n`);
    await leave(1);
  });
}

let stays = false;

/** From here on being stopped is the ordinary end of the command. */
export function staying(): void {
  stays = true;
}
