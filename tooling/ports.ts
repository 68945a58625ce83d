// TCP ports of this machine's loopback.

import { createServer } from "node:net";
import { Failure } from "./failure.ts";

/** The port itself when it is free, or any free one for 0. */
export async function claimPort(port: number, flag: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", () =>
      reject(
        new Failure(
          `Port ${port} is in use on this machine. Choose another with ${flag} PORT (0: any free one).`,
        ),
      ),
    );
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      const claimed = typeof address === "object" && address !== null ? address.port : port;
      server.close(() => resolve(claimed));
    });
  });
}

export function parsePort(text: string, flag: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new Failure(`${flag} ${text}: not a port.`);
  return port;
}
