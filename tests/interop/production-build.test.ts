// The production build can't be led to anything but WhatsApp (rule 8). It runs here in workerd with its way out
// bent: whatever it fetches reaches the simulator. So its own Noise code meets a certificate chain that is sound in
// itself but not WhatsApp's, and its own configuration meets a WHATSAPP_URL.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Gateway, withGateway } from "./bent-gateway.ts";

test("the production build refuses a certificate that is not WhatsApp's, and no configuration leads it elsewhere", async () => {
  await withGateway("production", async (gateway) => {
    const session = await gateway.started(
      "a refusal",
      ({ statusReason }) => statusReason?.code === "handshake_failed",
    );
    assert.match(session.statusReason?.message ?? "", /certificate/i);
    const wanted = await gateway.wanted();
    assert.ok(wanted.length > 0);
    for (const address of wanted) assert.equal(address, "https://web.whatsapp.com/ws/chat");
  });
});

test("the simulator build, on the very same way out, believes the simulator: the refusal is the production build's own", async () => {
  await withGateway("simulator", async (gateway) => {
    const session = await gateway.started("a QR code", ({ status }) => status === "scan_qr_code");
    assert.equal(session.statusReason, null);
    assert.equal((await gateway.wanted())[0], "http://configured.invalid/ws/chat");
  });
});

interface Refused {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly details: { readonly field?: string };
  };
}

test("the production build sends webhooks over https and into the internet only, and can't be told otherwise", async () => {
  const vault = { WEBHOOK_SECRETS_KEY: Buffer.alloc(32, 7).toString("base64") };
  const inside = [
    "https://127.0.0.1/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://10.1/",
    "https://printer.local/",
  ];
  const refusesWhatIsPrivate = async (gateway: Gateway): Promise<void> => {
    for (const url of ["http://hooks.example.com/", "http://127.0.0.1:9/", ...inside]) {
      const made = await gateway.ask<Refused>("POST", "/api/v1/webhooks", { url });
      assert.equal(made.status, 400, url);
      assert.equal(made.body.error.code, "validation_error", url);
      assert.equal(made.body.error.details.field, "url", url);
    }
  };
  await withGateway(
    "production",
    async (gateway) => {
      assert.equal((await gateway.ask("GET", "/readyz")).status, 200);
      await refusesWhatIsPrivate(gateway);
      const url = "https://hooks.example.com/";
      const made = await gateway.ask<{ id: string }>("POST", "/api/v1/webhooks", { url });
      assert.equal(made.status, 201, JSON.stringify(made.body));
      // Its object and the ledger are there.
      const deliveries = await gateway.ask("GET", `/api/v1/webhooks/${made.body.id}/deliveries`);
      assert.deepEqual(deliveries, { status: 200, body: { data: [], nextCursor: null } });
    },
    vault,
  );
  await withGateway(
    "production",
    async (gateway) => {
      const ready = await gateway.ask<Refused>("GET", "/readyz");
      assert.equal(ready.status, 503);
      assert.match(ready.body.error.message, /^ALLOW_PRIVATE_WEBHOOKS /);
      await refusesWhatIsPrivate(gateway);
    },
    { ...vault, ALLOW_PRIVATE_WEBHOOKS: "true" },
  );
  await withGateway("production", async (gateway) => {
    const url = "https://hooks.example.com/";
    const made = await gateway.ask<Refused>("POST", "/api/v1/webhooks", { url });
    assert.equal(made.status, 503);
    assert.match(made.body.error.message, /WEBHOOK_SECRETS_KEY/);
  });
});
