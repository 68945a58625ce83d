// A file's address that leads into the network the gateway runs in: said outright, by a redirect, or by a name that turns
// out to be a machine in there. Nobody there is asked.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Hosts, type Session, withGateway } from "./bent-gateway.ts";
import { png } from "./sample-files.ts";
import { mediaAuthority, Phone } from "./simulator-client.ts";
import { eventually } from "./waiting.ts";

const FILES = "http://files.example.com";
const RESOLVER = "https://resolver.example.com/dns-query";
/** What is in there; each would be taken, were it asked. */
const INSIDE = [
  "http://10.0.0.1/",
  "http://127.0.0.1/secret.png",
  "http://[::ffff:a9fe:a9fe]/",
  "http://2130706433/",
  "http://inside.example.com/",
  "https://inside.example.com:8443/secret.png?a=b",
  "http://metadata.google.internal/",
];

interface Sent {
  readonly waMessageId?: string;
  readonly error?: { readonly code: string; readonly message: string; readonly details: { field?: string } };
}

test("a file's address that leads inwards is refused, and nobody in there is asked", async () => {
  const picture = png(8, 8);
  const body = picture.toString("base64");
  const file = { status: 200, headers: { "content-type": "image/png" }, body };
  const to = (location: string, status = 302) => ({ status, headers: { location }, body: "" });
  const says = (address: string) => ({
    status: 200,
    headers: { "content-type": "application/dns-json" },
    body: btoa(JSON.stringify({ Status: 0, Answer: [{ type: 1, data: address, TTL: 60 }] })),
  });
  const hosts: Hosts = [
    ...INSIDE.map(
      (url, number) => [`${FILES}/to/${number}`, to(url, [301, 302, 303, 307, 308][number % 5])] as const,
    ),
    ...INSIDE.map((_, number) => [`${FILES}/further/${number}`, to(`${FILES}/to/${number}`)] as const),
    [`${FILES}/picture`, file],
    [`${FILES}/outwards`, to("https://elsewhere.example.com/picture")],
    ["https://elsewhere.example.com/picture", file],
    ...INSIDE.map((url) => [new URL(url).href, file] as const),
    // As the gateway writes it.
    [`${RESOLVER}?name=inside%2Eexample%2Ecom`, says("127.0.0.1")],
    [RESOLVER, says("8.8.8.8")],
  ];
  const variables = { ALLOW_PRIVATE_WEBHOOKS: "false", DNS_OVER_HTTPS_URL: RESOLVER };
  await withGateway(
    "simulator",
    async (gateway) => {
      const [alice, bob] = await Promise.all([Phone.create("Alice"), Phone.create("Bob")]);
      const { id } = await gateway.call<Session>("POST", "/api/v1/sessions");
      const path = `/api/v1/sessions/${id}`;
      await gateway.call("POST", `${path}:start`);
      const { body: qr } = await eventually(
        "a QR code",
        () => gateway.ask<{ code: string }>("GET", `${path}/qr`),
        ({ status }) => status === 200,
      );
      await alice.scan(qr.code);
      await eventually(
        "the session to work",
        () => gateway.call<Session>("GET", path),
        ({ status }) => status === "working",
      );
      const sends = (url: string) =>
        gateway.ask<Sent>("POST", `${path}/messages`, { type: "image", to: bob.number, media: { url } });
      // What is outside is fetched, also by a redirect.
      for (const where of ["picture", "outwards"]) {
        const { status, body } = await sends(`${FILES}/${where}`);
        assert.equal(status, 200, JSON.stringify(body));
        const { content } = await bob.gets(String(body.waMessageId));
        assert.equal(content["fileLength"], picture.length);
      }
      const redirects = INSIDE.flatMap((_, number) => [
        `${FILES}/to/${number}`,
        `${FILES}/further/${number}`,
      ]);
      for (const url of [...INSIDE, ...redirects]) {
        const { status, body } = await sends(url);
        const { code, details } = body.error ?? {};
        assert.deepEqual([status, code, details?.field], [400, "validation_error", "media.url"], url);
      }
      const asked = (await gateway.wanted()).map((url) => new URL(url));
      const inside = INSIDE.map((url) => new URL(url).hostname);
      assert.deepEqual(
        // But for WhatsApp's media host, which is the simulator's.
        asked
          .filter(({ host, hostname }) => inside.includes(hostname) && host !== mediaAuthority)
          .map(({ href }) => href),
        [],
      );
      // They were all tried: each redirect was asked for, and the resolver for each name.
      for (const url of redirects)
        assert.ok(
          asked.some(({ href }) => href === url),
          url,
        );
      assert.ok(asked.some(({ searchParams }) => searchParams.get("name") === "inside.example.com"));
      assert.equal((await bob.messages()).length, 2);
      await gateway.call("POST", `${path}:stop`);
    },
    variables,
    hosts,
  );
});
