// A caller who hangs up is no reason to stop half way: what was begun comes to its end, and into the audit log.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, test } from "node:test";
import { withBareGateway } from "./bare-gateway.ts";
import { Frontend, SigningKey } from "./frontend.ts";
import { eventually } from "./waiting.ts";

const SESSION = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const frontend = await Frontend.start(new SigningKey("EdDSA"));
after(() => frontend.close());

test("what a caller asked for who hung up meanwhile is done, and in the audit log", async () => {
  const { issuer, audience, jwksUrl } = frontend;
  await withBareGateway(
    { variables: { AUTH_ISSUERS: [{ issuer, audience, jwksUrl }] } },
    async ({ ask, run, url }) => {
      const authorization = `Bearer ${frontend.login({ organization: "organization", orgRole: "owner" })}`;
      await run(
        `INSERT INTO session (id, organization_id, created_at, updated_at) VALUES ('${SESSION}', 'organization', 0, 0)`,
      );
      // The gateway is at it when it asks for the keys, and stays so until they are shown.
      const gone = Promise.withResolvers<void>();
      frontend.behave((response) => void gone.promise.then(() => frontend.show(response)));
      const asked = frontend.askedAgain();
      const socket = connect(Number(url.port), url.hostname);
      await once(socket, "connect");
      const head = [
        `DELETE /api/v1/sessions/${SESSION} HTTP/1.1`,
        "Host: gateway",
        `Authorization: ${authorization}`,
      ];
      socket.write([...head, "X-Request-Id: gone", "", ""].join("\r\n"));
      await asked;
      const closed = once(socket, "close");
      socket.resetAndDestroy();
      await closed;
      // The gateway has heard of it when it answers somebody who came later.
      assert.equal((await ask("/healthz")).status, 200);
      gone.resolve();
      frontend.behave();
      const entry = await eventually(
        "the entry",
        async () => {
          const log = await ask("/api/v1/audit-log", { authorization });
          assert.equal(log.status, 200, log.text);
          return (JSON.parse(log.text) as { data: Record<string, unknown>[] }).data[0];
        },
        (found) => found !== undefined,
      );
      assert.equal(entry?.["requestId"], "gone");
      assert.equal(entry?.["operation"], "deleteSession");
      assert.equal(entry?.["outcome"], "success");
      const list = await ask("/api/v1/sessions", { authorization });
      assert.equal((JSON.parse(list.text) as { data: unknown[] }).data.length, 0);
    },
  );
});
