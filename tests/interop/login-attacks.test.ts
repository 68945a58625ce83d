// The known ways to get past a JWT acceptor, each a case of its own: all are answered with 401, and no byte of the
// answer tells one from another. Every way is taken with what would be a good login otherwise.

import assert from "node:assert/strict";
import { constants, createHmac } from "node:crypto";
import { suite, test } from "node:test";
import { around } from "./around.ts";
import {
  type Algorithm,
  base64url,
  Frontend,
  type Json,
  type Login,
  SigningKey,
  signingInput,
} from "./frontend.ts";
import { type Answer, type HeaderList, LoginGateway } from "./login-gateway.ts";

const ALGORITHMS: readonly Algorithm[] = ["EdDSA", "ES256", "RS256"];
/** So many there are at least: a corpus that lost most of its cases proves nothing. */
const EXPECTED_CASES = 500;
const OWNER: Login = { user: "mallory", organization: "attacked", orgRole: "owner" };
const MEMBER: Login = { ...OWNER, orgRole: "member" };

const keys: Readonly<Record<Algorithm, SigningKey>> = {
  EdDSA: new SigningKey("EdDSA", "ed"),
  ES256: new SigningKey("ES256", "ec"),
  RS256: new SigningKey("RS256", "rsa"),
};
const { EdDSA: ed, ES256: ec, RS256: rsa } = keys;
/** Both frontends have a key of this name. */
const shared = new SigningKey("EdDSA", "shared");
const sharedOfOther = new SigningKey("EdDSA", "shared");
const keyOfOther = new SigningKey("EdDSA", "of-other");
/** Never shown by anybody. */
const mallorys: Readonly<Record<Algorithm, SigningKey>> = {
  EdDSA: new SigningKey("EdDSA", "ed"),
  ES256: new SigningKey("ES256", "ec"),
  RS256: new SigningKey("RS256", "rsa"),
};

const frontend = await Frontend.start(ed, ec, rsa, shared);
const other = await Frontend.start(sharedOfOther, keyOfOther);
/** Trusted by nobody: it would show mallory's keys, were it asked. */
const evil = await Frontend.start(...Object.values(mallorys));
let gateway: LoginGateway;

around(
  async () => {
    gateway = await LoginGateway.start({
      issuers: [frontend, other],
      lifetimeSeconds: 300,
      cooldownSeconds: 1,
      maxStaleSeconds: 3_600,
    });
  },
  async () => {
    await gateway?.end();
    await Promise.all([frontend, other, evil].map((server) => server.close()));
  },
);

/** What is sent: made when it is asked for, since tokens run out. */
type Attack = () => HeaderList;
const cases: { readonly family: string; readonly name: string; readonly attack: Attack }[] = [];

function headers(family: string, attacks: Readonly<Record<string, Attack>>): void {
  for (const [name, attack] of Object.entries(attacks)) cases.push({ family, name, attack });
}

function bearer(token: string): HeaderList {
  return [["authorization", `Bearer ${token}`]];
}

function tokens(family: string, attacks: Readonly<Record<string, () => string>>): void {
  headers(
    family,
    Object.fromEntries(Object.entries(attacks).map(([name, token]) => [name, () => bearer(token())])),
  );
}

const claims = (changes: Json = {}) => ({ ...frontend.claims(OWNER), ...changes });
const good = (key: SigningKey = ed) => key.token(claims());

/** Header, claims and signature of a token. */
function parts(token: string): [string, string, string] {
  return token.split(".") as [string, string, string];
}

function withSignature(token: string, signature: Uint8Array | string): string {
  const [header, payload] = parts(token);
  return `${header}.${payload}.${typeof signature === "string" ? signature : base64url(signature)}`;
}

/** The token with another signature made of its own. */
function resigned(key: SigningKey, change: (signature: Buffer) => Uint8Array): string {
  const token = good(key);
  return withSignature(token, change(Buffer.from(parts(token)[2], "base64url")));
}

/** The claims that were signed, replaced by others under the same signature. */
function edited(key: SigningKey, from: Login, changes: Json): string {
  const before = { ...frontend.claims(from) };
  const [header, , signature] = parts(key.token(before));
  return `${header}.${base64url(JSON.stringify({ ...before, ...changes }))}.${signature}`;
}

function each<T>(
  things: readonly T[],
  attack: (thing: T) => readonly [name: string, token: () => string],
): Record<string, () => string> {
  return Object.fromEntries(things.map(attack));
}

// --- The algorithm -----------------------------------------------------------------------------------------------

const NONE = ["none", "None", "NONE", "nOnE", "none ", "\u0000none", "", "null"];
tokens("no algorithm", {
  ...each(NONE, (alg) => [
    `alg ${JSON.stringify(alg)} without a signature`,
    () => `${signingInput({ header: { ...ed.header, alg }, claims: claims() })}.`,
  ]),
  ...each(NONE, (alg) => [
    `alg ${JSON.stringify(alg)} with the signature of another token`,
    () => withSignature(ed.token(claims(), { ...ed.header, alg }), parts(good())[2]),
  ]),
  ...each(["none", "None"], (alg) => [
    `alg ${alg}, no kid, no signature`,
    () => `${signingInput({ header: { alg, typ: "JWT" }, claims: claims() })}.`,
  ]),
  "alg none and no third part": () =>
    signingInput({ header: { ...ed.header, alg: "none" }, claims: claims() }),
  "alg null": () => ed.token(claims(), { ...ed.header, alg: null }),
  "alg a list": () => ed.token(claims(), { ...ed.header, alg: ["EdDSA", "none"] }),
  "alg an object": () => ed.token(claims(), { ...ed.header, alg: { name: "EdDSA" } }),
  "alg a number": () => ed.token(claims(), { ...ed.header, alg: 0 }),
  "alg true": () => ed.token(claims(), { ...ed.header, alg: true }),
  "no alg at all": () => ed.token(claims(), { typ: "JWT", kid: ed.kid }),
  "an empty header": () => ed.token(claims(), {}),
});

/** What a careless verifier might take for the secret of an HMAC. */
function secretsOf(key: SigningKey): Readonly<Record<string, Uint8Array | string>> {
  const pem = String(key.publicKey.export({ type: "spki", format: "pem" }));
  const jwk = key.publicKey.export({ format: "jwk" });
  return {
    PEM: pem,
    "PEM without its last line break": pem.trimEnd(),
    "PEM with CRLF": pem.replaceAll("\n", "\r\n"),
    DER: key.publicKey.export({ type: "spki", format: "der" }),
    JWK: JSON.stringify(jwk),
    "JWK as published": JSON.stringify(key.jwk),
    "raw public value": Buffer.from(jwk.x ?? jwk.n ?? "", "base64url"),
    "public value as text": jwk.x ?? jwk.n ?? "",
    "key's name": key.kid,
    "empty secret": "",
  };
}

for (const algorithm of ALGORITHMS) {
  const key = keys[algorithm];
  tokens("HMAC with the public key", {
    ...each(Object.entries(secretsOf(key)), ([secret, bytes]) => [
      `HS256 with the ${algorithm} key: ${secret}`,
      () => {
        const input = signingInput({ header: { ...key.header, alg: "HS256" }, claims: claims() });
        return `${input}.${createHmac("sha256", bytes).update(input).digest("base64url")}`;
      },
    ]),
    ...each(["384", "512"], (bits) => [
      `HS${bits} with the ${algorithm} key: PEM`,
      () => {
        const input = signingInput({ header: { ...key.header, alg: `HS${bits}` }, claims: claims() });
        const secret = String(key.publicKey.export({ type: "spki", format: "pem" }));
        return `${input}.${createHmac(`sha${bits}`, secret).update(input).digest("base64url")}`;
      },
    ]),
    [`the ${algorithm} key's header over an HMAC with its PEM`]: () => {
      const input = signingInput({ header: key.header, claims: claims() });
      const secret = String(key.publicKey.export({ type: "spki", format: "pem" }));
      return `${input}.${createHmac(algorithm === "RS256" ? "sha256" : "sha512", secret)
        .update(input)
        .digest("base64url")}`;
    },
  });
}

/** Every name of an algorithm that isn't the key's, over a signature that is. */
const OTHER_NAMES = [
  "EdDSA",
  "Ed25519",
  "Ed448",
  "ES256",
  "ES256K",
  "ES384",
  "ES512",
  "RS256",
  "RS384",
  "RS512",
];
const MORE_NAMES = ["PS256", "PS384", "PS512", "HS256", "A256KW", "dir", "RSA-OAEP"];
for (const algorithm of ALGORITHMS) {
  const key = keys[algorithm];
  const wrong = [...OTHER_NAMES, ...MORE_NAMES, algorithm.toLowerCase(), ` ${algorithm}`, `${algorithm}\n`];
  tokens("an algorithm that is not the key's", {
    ...each(
      wrong.filter((alg) => alg !== algorithm),
      (alg) => [
        `${JSON.stringify(alg)} over a genuine ${algorithm} signature`,
        () => key.token(claims(), { ...key.header, alg }),
      ],
    ),
    ...each(
      ALGORITHMS.filter((name) => name !== algorithm),
      (foreign) => [
        `a genuine ${foreign} signature under the name of the ${algorithm} key`,
        () => keys[foreign].token(claims(), { ...keys[foreign].header, kid: key.kid }),
      ],
    ),
  });
}

function signedWith(
  key: SigningKey,
  alg: string,
  digest: string,
  how: Parameters<SigningKey["signature"]>[2] = {},
) {
  const input = signingInput({ header: { ...key.header, alg }, claims: claims() });
  return `${input}.${base64url(key.signature(input, digest, how))}`;
}
const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
tokens("another algorithm of the same key type", {
  "PS256, truly signed, named PS256": () => signedWith(rsa, "PS256", "sha256", PSS),
  "PS256, truly signed, named RS256": () => signedWith(rsa, "RS256", "sha256", PSS),
  "RS384, truly signed, named RS384": () => signedWith(rsa, "RS384", "sha384"),
  "RS512, truly signed, named RS512": () => signedWith(rsa, "RS512", "sha512"),
  "RS512, truly signed, named RS256": () => signedWith(rsa, "RS256", "sha512"),
  "RS1, truly signed, named RS256": () => signedWith(rsa, "RS256", "sha1"),
  "ECDSA with SHA-384, named ES256": () => signedWith(ec, "ES256", "sha384"),
  "ECDSA with SHA-512, named ES512": () => signedWith(ec, "ES512", "sha512"),
});

// --- The key -----------------------------------------------------------------------------------------------------

const TRICKY_KIDS = [
  "",
  " ed",
  "ed ",
  "ED",
  "ed\u0000",
  "ed\n",
  "unknown",
  "../../dev/null",
  "/dev/null",
  "file:///dev/null",
  "' OR '1'='1",
  "' UNION SELECT 'secret' --",
  "| id",
  "$(id)",
  "__proto__",
  "constructor",
  "0",
  "*",
  "e".repeat(257),
  "х".repeat(200),
];
tokens("the key's name", {
  "no kid": () => ed.token(claims(), { alg: "EdDSA", typ: "JWT" }),
  ...each(TRICKY_KIDS, (kid) => [
    `kid ${JSON.stringify(kid.length > 40 ? `${kid.slice(0, 10)}… (${kid.length})` : kid)}`,
    () => ed.token(claims(), { ...ed.header, kid }),
  ]),
  ...each([null, 0, true, ["ed"], { kid: "ed" }], (kid) => [
    `kid ${JSON.stringify(kid)}`,
    () => ed.token(claims(), { ...ed.header, kid }),
  ]),
  "kid of another key of this frontend": () => ed.token(claims(), { ...ed.header, kid: shared.kid }),
  "kid in the claims instead": () => ed.token(claims({ kid: ed.kid }), { alg: "EdDSA", typ: "JWT" }),
});

for (const algorithm of ALGORITHMS) {
  const { kid } = keys[algorithm];
  const mine = mallorys[algorithm];
  const urls = { jku: evil.jwksUrl, x5u: evil.jwksUrl };
  const der = mine.publicKey.export({ type: "spki", format: "der" }).toString("base64");
  const brought: Readonly<Record<string, Json>> = {
    "nothing brought along": {},
    "jwk with the attacker's key": { jwk: mine.jwk },
    "jwk of another name": { kid: "mallory", jwk: { ...mine.jwk, kid: "mallory" } },
    "jku at the attacker's": { jku: urls.jku },
    "jku at the attacker's, of another name": { kid: "mallory", jku: urls.jku },
    "jku that begins as the frontend's": { jku: `${frontend.issuer}@${new URL(evil.issuer).host}/jwks` },
    "x5u at the attacker's": { x5u: urls.x5u },
    "x5c with the attacker's key": { x5c: [der] },
    "x5t of the attacker's": { x5t: base64url("0".repeat(20)) },
    "all of them": { ...urls, jwk: mine.jwk, x5c: [der] },
  };
  tokens("a key of the attacker's own", {
    ...each(Object.entries(brought), ([name, header]) => [
      `${algorithm}, ${name}`,
      () => mine.token(claims(), { ...mine.header, kid, ...header }),
    ]),
  });
}

tokens("headers that bring rules of their own, genuinely signed", {
  ...each(
    [
      { jku: frontend.jwksUrl },
      { jku: evil.jwksUrl },
      { x5u: evil.jwksUrl },
      { jwk: ed.jwk },
      { x5c: ["MIIB"] },
      { x5t: "AAAA" },
      { "x5t#S256": "AAAA" },
      { crit: [] },
      { crit: ["exp"] },
      { crit: ["b64"], b64: false },
      { crit: ["http://example.com/unknown"], "http://example.com/unknown": true },
      { crit: "exp" },
      { b64: false },
      { zip: "DEF" },
      { cty: "JWT" },
      { typ: "JWE" },
      { typ: "logout+jwt" },
      { typ: "dpop+jwt" },
      { typ: "" },
      { typ: 1 },
    ],
    (header) => [
      JSON.stringify(header).replace(/127\.0\.0\.1:\d+/, "…"),
      () => ed.token(claims(), { ...ed.header, ...header }),
    ],
  ),
  "a payload that is signed unencoded (RFC 7797)": () => {
    const header = base64url(JSON.stringify({ ...ed.header, b64: false, crit: ["b64"] }));
    const payload = JSON.stringify(claims());
    return `${header}.${base64url(payload)}.${base64url(ed.signature(`${header}.${payload}`))}`;
  },
});

tokens("another frontend's key", {
  "the other frontend's key, this one's claims": () => keyOfOther.token(claims()),
  "the other frontend's key of the same name": () => sharedOfOther.token(claims()),
  "this frontend's key, the other one's claims": () => ed.token(other.claims(OWNER)),
  "this frontend's key of the same name, the other one's claims": () => shared.token(other.claims(OWNER)),
  "the other frontend's login, made for this one's audience": () =>
    keyOfOther.token({ ...other.claims(OWNER), aud: frontend.audience }),
  "the other frontend's key and issuer in a list": () =>
    keyOfOther.token(claims({ iss: [other.issuer, frontend.issuer] })),
  "a frontend that nobody trusts": () => evil.login(OWNER),
  "a frontend that nobody trusts, this one's audience": () =>
    mallorys.EdDSA.token({ ...evil.claims(OWNER), aud: frontend.audience }),
});

// --- The signature -----------------------------------------------------------------------------------------------

for (const algorithm of ALGORITHMS) {
  const key = keys[algorithm];
  tokens(`the ${algorithm} signature`, {
    empty: () => withSignature(good(key), ""),
    "missing with its dot": () => good(key).slice(0, good(key).lastIndexOf(".")),
    "one byte short": () => resigned(key, (signature) => signature.subarray(0, -1)),
    "one byte short at the front": () => resigned(key, (signature) => signature.subarray(1)),
    halved: () => resigned(key, (signature) => signature.subarray(0, signature.length / 2)),
    "one byte longer": () => resigned(key, (signature) => Buffer.concat([signature, Buffer.of(0)])),
    "one byte longer at the front": () =>
      resigned(key, (signature) => Buffer.concat([Buffer.of(0), signature])),
    doubled: () => resigned(key, (signature) => Buffer.concat([signature, signature])),
    "one bit flipped at the front": () => resigned(key, flipped(0)),
    "one bit flipped at the end": () => resigned(key, flipped(-1)),
    "all zero": () => resigned(key, ({ length }) => Buffer.alloc(length)),
    "all ones": () => resigned(key, ({ length }) => Buffer.alloc(length, 0xff)),
    "one in its last place": () => resigned(key, ({ length }) => Buffer.alloc(length).fill(1, length - 1)),
    "of another token": () => withSignature(good(key), parts(key.token(claims({ sub: "bob" })))[2]),
    "over the claims alone": () => {
      const token = good(key);
      return withSignature(token, key.signature(parts(token)[1]));
    },
    "over the decoded parts": () => {
      const token = good(key);
      const [header, payload] = parts(token).map((part) => Buffer.from(part, "base64url").toString());
      return withSignature(token, key.signature(`${header}.${payload}`));
    },
    "in hexadecimal": () =>
      withSignature(good(key), Buffer.from(parts(good(key))[2], "base64url").toString("hex")),
    "in base64 twice": () => withSignature(good(key), base64url(parts(good(key))[2])),
    "by a key nobody knows": () => mallorys[algorithm].token(claims(), key.header),
  });
}

function flipped(at: number): (signature: Buffer) => Buffer {
  return (signature) => {
    const bent = Buffer.from(signature);
    const index = at < 0 ? bent.length + at : at;
    bent[index] = (bent[index] ?? 0) ^ 1;
    return bent;
  };
}

function toNumber(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
}

function toBytes(number: bigint, length: number): Buffer {
  return Buffer.from(number.toString(16).padStart(2 * length, "0"), "hex");
}

/** The order of Ed25519's group: S and S + L are the same to a verifier that doesn't look (RFC 8032, 8.4). */
const L = 2n ** 252n + 27_742_317_777_372_353_535_851_937_790_883_648_493n;
const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const addedToS = (times: bigint) => (signature: Buffer) => {
  const s = toNumber(Buffer.from(signature.subarray(32)).reverse()) + times * L;
  return Buffer.concat([signature.subarray(0, 32), toBytes(s, 32).reverse()]);
};
const identity = Buffer.alloc(32).fill(1, 0, 1);
const halves = (r: bigint, s: bigint) => () => Buffer.concat([toBytes(r, 32), toBytes(s, 32)]);

tokens("a signature's twins and ghosts", {
  "Ed25519 with S + L": () => resigned(ed, addedToS(1n)),
  "Ed25519 with S + 2L": () => resigned(ed, addedToS(2n)),
  "Ed25519 with the identity for R": () =>
    resigned(ed, (signature) => Buffer.concat([identity, signature.subarray(32)])),
  "Ed25519 with the identity for R and nothing for S": () =>
    resigned(ed, () => Buffer.concat([identity, Buffer.alloc(32)])),
  "Ed25519 with L for S": () => resigned(ed, () => Buffer.concat([identity, toBytes(L, 32).reverse()])),
  "Ed25519 with its halves swapped": () =>
    resigned(ed, (signature) => Buffer.concat([signature.subarray(32), signature.subarray(0, 32)])),
  "ES256 with r = n, s = n": () => resigned(ec, halves(P256_ORDER, P256_ORDER)),
  "ES256 with r = 0, s = 1": () => resigned(ec, halves(0n, 1n)),
  "ES256 with r = 1, s = 0": () => resigned(ec, halves(1n, 0n)),
  "ES256 with r = 1, s = 1": () => resigned(ec, halves(1n, 1n)),
  "ES256 with r = n, s = 1": () => resigned(ec, halves(P256_ORDER, 1n)),
  "ES256 with its halves swapped": () =>
    resigned(ec, (signature) => Buffer.concat([signature.subarray(32), signature.subarray(0, 32)])),
  "ES256 in DER": () => {
    const input = signingInput({ header: ec.header, claims: claims() });
    return `${input}.${base64url(ec.signature(input, "sha256", { dsaEncoding: "der" }))}`;
  },
  "RS256 with the modulus added": () => {
    const modulus = toNumber(Buffer.from(rsa.jwk.n ?? "", "base64url"));
    // Some signatures are small enough to stay as long as they are.
    for (let attempt = 0; ; attempt++) {
      const token = rsa.token(claims({ jti: String(attempt) }));
      const twin = toNumber(Buffer.from(parts(token)[2], "base64url")) + modulus;
      if (twin < 2n ** 2048n || attempt === 100)
        return withSignature(token, toBytes(twin, twin < 2n ** 2048n ? 256 : 257));
    }
  },
  "RS256 with 1": () => resigned(rsa, () => toBytes(1n, 256)),
  "RS256 with the modulus less 1": () =>
    resigned(rsa, () => toBytes(toNumber(Buffer.from(rsa.jwk.n ?? "", "base64url")) - 1n, 256)),
  "RS256 that is the padded digest itself, unsigned": () =>
    resigned(rsa, () =>
      Buffer.concat([Buffer.of(0, 1), Buffer.alloc(202, 0xff), Buffer.of(0), Buffer.alloc(51, 7)]),
    ),
});

// --- The encoding ------------------------------------------------------------------------------------------------

/** A good token of which some part, in the way of base64 that is not the URL's, looks otherwise. */
function inOtherAlphabet(part: 0 | 1 | 2): string {
  for (let attempt = 0; ; attempt++) {
    const header = { ...ed.header, ...(part === 0 ? { "?": "~".repeat(attempt) } : {}) };
    const token = ed.token(claims(part === 1 ? { name: `${"?".repeat(attempt)}~~>>` } : {}), header);
    const split = parts(token);
    const bent = split[part].replaceAll("-", "+").replaceAll("_", "/");
    if (bent !== split[part]) return split.with(part, bent).join(".");
  }
}

/** The same bytes to a decoder that doesn't look at the bits that are left over. */
function withTrailingBits(part: 0 | 1 | 2): string {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  for (let attempt = 0; ; attempt++) {
    const header = { ...ed.header, ...(part === 0 ? { extra: "e".repeat(attempt) } : {}) };
    const split = parts(ed.token(claims(part === 1 ? { extra: "e".repeat(attempt) } : {}), header));
    const text = split[part];
    if (text.length % 4 === 0) continue;
    const bent = text.slice(0, -1) + letters[letters.indexOf(text.at(-1) ?? "") | 1];
    assert.deepEqual(Buffer.from(bent, "base64url"), Buffer.from(text, "base64url"));
    return split.with(part, bent).join(".");
  }
}

const NAMES = ["header", "claims", "signature"] as const;
const bentParts = (bend: (text: string) => string) =>
  each(NAMES, (name) => [
    name,
    () =>
      parts(good())
        .with(NAMES.indexOf(name), bend(parts(good())[NAMES.indexOf(name)] ?? ""))
        .join("."),
  ]);
const named = (what: string, attacks: Record<string, () => string>) =>
  Object.fromEntries(Object.entries(attacks).map(([name, attack]) => [`${what}: ${name}`, attack]));
const padded = (text: string) => text + "=".repeat((4 - (text.length % 4)) % 4 || 4);

tokens("base64 that is not the URL's, or loose", {
  ...named("padded", bentParts(padded)),
  ...named(
    "one = too many",
    bentParts((text) => `${text}=`),
  ),
  ...named(
    "in the other alphabet",
    each(NAMES, (name) => [name, () => inOtherAlphabet(NAMES.indexOf(name) as 0 | 1 | 2)]),
  ),
  ...named(
    "bits left over",
    each(NAMES, (name) => [name, () => withTrailingBits(NAMES.indexOf(name) as 0 | 1 | 2)]),
  ),
  ...named(
    "a letter left over",
    bentParts((text) => (text.length % 4 === 0 ? `${text}A` : `${text}${"A".repeat(5 - (text.length % 4))}`)),
  ),
  ...named(
    "a blank inside",
    bentParts((text) => `${text.slice(0, 8)} ${text.slice(8)}`),
  ),
  ...named(
    "a tab inside",
    bentParts((text) => `${text.slice(0, 8)}\t${text.slice(8)}`),
  ),
  ...named(
    "percent-encoded",
    bentParts((text) => `%65${text.slice(1)}`),
  ),
  ...named(
    "not base64",
    bentParts((text) => `${text.slice(0, 8)}!${text.slice(9)}`),
  ),
  ...named(
    "a quotation mark around",
    bentParts((text) => `"${text}"`),
  ),
});

const tokenOf = (header: string | Uint8Array, payload: string | Uint8Array, key = ed) => {
  const input = `${base64url(header)}.${base64url(payload)}`;
  return `${input}.${base64url(key.signature(input))}`;
};
const H = JSON.stringify(ed.header);
const C = () => JSON.stringify(claims());

tokens("the shape", {
  "one part": () => base64url(C()),
  "four parts": () => `${good()}.${parts(good())[2]}`,
  "five parts, as an encrypted token has": () => `${good()}.AAAA.AAAA`,
  "a dot in front": () => `.${good()}`,
  "a dot behind": () => `${good()}.`,
  "two dots between": () => good().replace(".", ".."),
  "only dots": () => "..",
  "an empty header part": () => {
    const payload = `.${base64url(C())}`;
    return `${payload}.${base64url(ed.signature(payload))}`;
  },
  "empty claims": () => tokenOf(H, ""),
  "JSON instead of base64": () => `${H}.${C()}.AAAA`.replaceAll(" ", ""),
  "JWS in JSON": () => {
    const [header, payload, signature] = parts(good());
    return JSON.stringify({ protected: header, payload, signature });
  },
  "JWS in JSON with a header that nobody signed": () => {
    const [, payload, signature] = parts(good());
    return JSON.stringify({ header: ed.header, payload, signature });
  },
  "JWS in JSON with several signatures": () => {
    const [header, payload, signature] = parts(good());
    return JSON.stringify({ payload, signatures: [{ protected: header, signature }] });
  },
  "two tokens with a comma": () => `${good()},${good()}`,
  "a token in a token": () => tokenOf(JSON.stringify({ ...ed.header, cty: "JWT" }), good()),
  "a token in a token that doesn't say so": () => tokenOf(H, good()),
  "a token in a JSON text": () => tokenOf(H, JSON.stringify(good())),
  "a list for claims": () => tokenOf(H, `[${C()}]`),
  "a list for a header": () => tokenOf(`[${H}]`, C()),
  "null for claims": () => tokenOf(H, "null"),
  "a number for claims": () => tokenOf(H, "1"),
});

tokens("JSON that readers read differently", {
  "sub twice": () => tokenOf(H, C().replace('"sub":', '"sub":"admin","sub":')),
  "sub twice, escaped the first time": () => tokenOf(H, C().replace('"sub":', '"\\u0073ub":"admin","sub":')),
  "sub twice, escaped the second time": () => tokenOf(H, C().replace(/\}$/, ',"s\\u0075b":"admin"}')),
  "sub twice with the same value": () => tokenOf(H, C().replace('"sub":', '"sub":"mallory","sub":')),
  "iss twice": () => tokenOf(H, C().replace('"iss":', `"iss":"${other.issuer}","iss":`)),
  "aud twice": () => tokenOf(H, C().replace('"aud":', `"aud":"${other.audience}","aud":`)),
  "exp twice": () => tokenOf(H, C().replace('"exp":', '"exp":1,"exp":')),
  "organization twice": () =>
    tokenOf(
      H,
      C().replace('"activeOrganizationId":', '"activeOrganizationId":"other","activeOrganizationId":'),
    ),
  "role twice": () => tokenOf(H, C().replace(/\}$/, ',"role":"user","role":"super_admin"}')),
  "a name twice inside": () => tokenOf(H, C().replace(/\}$/, ',"deep":{"a":[{"b":1,"b":2}]}}')),
  "alg twice": () => tokenOf(H.replace('"alg":', '"alg":"none","alg":'), C()),
  "alg twice, escaped": () => tokenOf(H.replace('"alg":', '"\\u0061lg":"none","alg":'), C()),
  "alg twice with the same value": () => tokenOf(H.replace('"alg":', '"alg":"EdDSA","alg":'), C()),
  "kid twice": () => tokenOf(H.replace('"kid":', '"kid":"unknown","kid":'), C()),
  "kid twice, escaped": () => tokenOf(H.replace(/\}$/, ',"\\u006bid":"unknown"}'), C()),
  "jku, escaped": () => tokenOf(H.replace(/\}$/, `,"\\u006aku":"${evil.jwksUrl}"}`), C()),
  "crit, escaped": () => tokenOf(H.replace(/\}$/, ',"cri\\u0074":["x"]}'), C()),
  "a byte order mark before the header": () => tokenOf(`\uFEFF${H}`, C()),
  "a byte order mark before the claims": () => tokenOf(H, `\uFEFF${C()}`),
  "claims in UTF-16": () => tokenOf(H, Buffer.from(C(), "utf16le")),
  "claims that are not UTF-8": () =>
    tokenOf(H, Buffer.from(C().replace("mallory", "m\u00e9llory"), "latin1")),
  "an overlong encoding": () =>
    tokenOf(
      H,
      Buffer.concat([
        Buffer.from(C().slice(0, -1)),
        Buffer.from(',"x":"'),
        Buffer.of(0xc0, 0xaf),
        Buffer.from('"}'),
      ]),
    ),
  "half a surrogate pair": () => tokenOf(H, C().replace("mallory", "\\ud800")),
  "a NUL behind the claims": () => tokenOf(H, `${C()}\u0000`),
  "a NUL in a name": () => tokenOf(H, C().replace('"sub"', '"sub\u0000"')),
  "more behind the header": () => tokenOf(`${H}{}`, C()),
  "more behind the claims": () => tokenOf(H, `${C()}${C()}`),
  "a comma too many": () => tokenOf(H, C().replace(/\}$/, ",}")),
  "a comment": () => tokenOf(H, C().replace("{", "{/* */")),
  "single quotation marks": () => tokenOf(H, C().replaceAll('"', "'")),
  "NaN for exp": () => tokenOf(H, C().replace(/"exp":\d+/, '"exp":NaN')),
  "Infinity for exp": () => tokenOf(H, C().replace(/"exp":\d+/, '"exp":Infinity')),
  "1e400 for exp": () => tokenOf(H, C().replace(/"exp":\d+/, '"exp":1e400')),
  "hexadecimal for exp": () => tokenOf(H, C().replace(/"exp":\d+/, '"exp":0xffffffff')),
  "cut off": () => tokenOf(H, C().slice(0, -1)),
});

/** A good token of exactly so many bytes. */
function ofLength(length: number): string {
  const sized = (fill: number) => ed.token(claims({ fill: "f".repeat(fill) }));
  let fill = Math.floor(((length - sized(0).length) * 3) / 4);
  while (sized(fill).length < length) fill++;
  while (sized(fill).length > length) fill--;
  return sized(fill);
}
const LIMIT = 8 * 1024;

tokens("huge and deep", {
  "a few bytes more than 8 KiB": () => ofLength(LIMIT + 4),
  "16 KiB": () => ofLength(2 * LIMIT),
  "a signature that makes it too long": () => withSignature(good(), "A".repeat(LIMIT)),
  "a header that makes it too long": () => ed.token(claims(), { ...ed.header, fill: "f".repeat(LIMIT) }),
  "8 KiB of dots": () => ".".repeat(LIMIT),
  "8 KiB without a dot": () => `eyJ${"A".repeat(LIMIT - 3)}`,
  "claims 2,500 lists deep": () =>
    tokenOf(H, C().replace(/\}$/, `,"deep":${"[".repeat(2_500)}${"]".repeat(2_500)}}`)),
  "claims 900 objects deep": () =>
    tokenOf(H, C().replace(/\}$/, `,"deep":${'{"a":'.repeat(900)}1${"}".repeat(900)}}`)),
  "a header 2,500 lists deep": () =>
    tokenOf(H.replace(/\}$/, `,"deep":${"[".repeat(2_500)}${"]".repeat(2_500)}}`), C()),
  "lists that never close": () => tokenOf(H, "[".repeat(5_000)),
  "a number of 5,000 digits for exp": () =>
    tokenOf(H, C().replace(/"exp":\d+/, `"exp":${"9".repeat(5_000)}`)),
});

// --- The claims --------------------------------------------------------------------------------------------------

const now = () => Math.floor(Date.now() / 1000);
const without = (name: string) => () => {
  const { [name]: _, ...rest } = claims() as Record<string, unknown>;
  return ed.token(rest);
};
const changed = (name: string, values: Readonly<Record<string, () => unknown>>) =>
  named(
    name,
    each(Object.entries(values), ([what, value]) => [what, () => ed.token(claims({ [name]: value() }))]),
  );

tokens("claims", {
  ...named(
    "missing",
    each(["iss", "aud", "exp", "sub"], (name) => [name, without(name)]),
  ),
  ...changed("exp", {
    "a little over a minute ago": () => now() - 61,
    "an hour ago": () => now() - 3_600,
    "in milliseconds, of yesterday, negative": () => -(Date.now() - 86_400_000),
    zero: () => 0,
    negative: () => -1,
    "as text": () => String(now() + 600),
    "as an ISO date": () => new Date(Date.now() + 600_000).toISOString(),
    null: () => null,
    true: () => true,
    "in a list": () => [now() + 600],
    "beyond all numbers": () => 1e300,
  }),
  ...changed("nbf", {
    "in two minutes": () => now() + 120,
    "in an hour": () => now() + 3_600,
    "as text": () => String(now()),
    null: () => null,
    negative: () => -1,
    "in a list": () => [0],
  }),
  ...changed("iat", {
    "in two minutes": () => now() + 120,
    "in an hour": () => now() + 3_600,
    "in milliseconds": () => Date.now(),
    "as text": () => String(now()),
    null: () => null,
  }),
  ...changed("iss", {
    "another one": () => "https://evil.example",
    empty: () => "",
    null: () => null,
    "in a list": () => [frontend.issuer],
    "with a slash behind": () => `${frontend.issuer}/`,
    "with a blank behind": () => `${frontend.issuer} `,
    "in capitals": () => frontend.issuer.toUpperCase(),
    "that begins alike": () => `${frontend.issuer}.evil.example`,
    "cut short": () => frontend.issuer.slice(0, -1),
    "the other frontend's": () => other.issuer,
  }),
  ...changed("aud", {
    "another one": () => "somebody-else",
    empty: () => "",
    null: () => null,
    "an empty list": () => [],
    "a list of others": () => ["somebody-else", other.audience],
    "a list in a list": () => [[frontend.audience]],
    "an object": () => ({ [frontend.audience]: true }),
    "with a blank behind": () => `${frontend.audience} `,
    "that begins alike": () => `${frontend.audience}-2`,
    "cut short": () => frontend.audience.slice(0, -1),
    "in capitals": () => frontend.audience.toUpperCase(),
    "several in one text": () => `${frontend.audience},somebody-else`,
    "the other frontend's": () => other.audience,
  }),
  ...changed("sub", {
    empty: () => "",
    null: () => null,
    "a number": () => 1,
    "a list": () => ["mallory"],
    "an object": () => ({ id: "mallory" }),
    "of 256 letters": () => "s".repeat(256),
  }),
  ...changed("activeOrganizationId", {
    empty: () => "",
    "a number": () => 1,
    "a list": () => ["attacked"],
    "an object": () => ({ id: "attacked" }),
    true: () => true,
  }),
  ...changed("orgRole", {
    "a list": () => ["owner"],
    "an object": () => ({ owner: true }),
    true: () => true,
  }),
  ...changed("role", {
    "a list": () => ["super_admin"],
    "an object": () => ({ super_admin: true }),
    true: () => true,
  }),
});

for (const algorithm of ALGORITHMS) {
  const key = keys[algorithm];
  tokens("claims edited under the signature", {
    [`${algorithm}: a member makes itself owner`]: () => edited(key, MEMBER, { orgRole: "owner" }),
    [`${algorithm}: an owner moves to another organization`]: () =>
      edited(key, OWNER, { activeOrganizationId: "other" }),
    [`${algorithm}: a person becomes another`]: () => edited(key, OWNER, { sub: "alice" }),
    [`${algorithm}: an owner makes itself super_admin`]: () => edited(key, OWNER, { role: "super_admin" }),
    [`${algorithm}: a login lives longer`]: () => edited(key, OWNER, { exp: now() + 86_400 }),
    [`${algorithm}: the header of one, the claims of another`]: () => {
      const [, payload] = parts(key.token(claims({ sub: "alice" })));
      const [header, , signature] = parts(good(key));
      return `${header}.${payload}.${signature}`;
    },
    [`${algorithm}: a header with a member more`]: () => {
      const [, payload, signature] = parts(good(key));
      return `${base64url(JSON.stringify({ ...key.header, more: 1 }))}.${payload}.${signature}`;
    },
  });
}

// --- Where the credential stands ---------------------------------------------------------------------------------

headers("where the credential stands", {
  "no credentials": () => [],
  "an API key that nobody has": () => bearer(`wa_${"A".repeat(43)}`),
  "an API key that nobody has, in X-Api-Key": () => [["x-api-key", `wa_${"A".repeat(43)}`]],
  "a login and somebody's API key": () => [...bearer(good()), ["x-api-key", gateway.apiKey]],
  "an API key and somebody's login in X-Api-Key": () => [...bearer(gateway.apiKey), ["x-api-key", good()]],
  "a bad login and a good API key": () => [...bearer(`${good()}A`), ["x-api-key", gateway.apiKey]],
  "a good login and a bad API key": () => [...bearer(good()), ["x-api-key", "wa_wrong"]],
  "a good login and an empty API key": () => [...bearer(good()), ["x-api-key", ""]],
  "an empty login and a good API key": () => [
    ["authorization", "Bearer "],
    ["x-api-key", gateway.apiKey],
  ],
  "another scheme and a good API key": () => [
    ["authorization", "Basic bWFsbG9yeTpzZWNyZXQ="],
    ["x-api-key", gateway.apiKey],
  ],
  "two different logins": () => [...bearer(good()), ...bearer(ed.token(claims({ sub: "alice" })))],
  "a good login and a bad one": () => [...bearer(good()), ...bearer("eyJ.eyJ.A")],
  "a bad login and a good one": () => [...bearer("eyJ.eyJ.A"), ...bearer(good())],
  "two API keys in X-Api-Key": () => [
    ["x-api-key", gateway.apiKey],
    ["x-api-key", "wa_wrong"],
  ],
  "a login in X-Api-Key": () => [["x-api-key", good()]],
  "a login in X-Api-Key with its scheme": () => [["x-api-key", `Bearer ${good()}`]],
  "a login without a scheme": () => [["authorization", good()]],
  "no scheme but a blank": () => [["authorization", ` ${good()}`]],
  "scheme Basic": () => [["authorization", `Basic ${good()}`]],
  "scheme Basic, encoded": () => [
    ["authorization", `Basic ${Buffer.from(`mallory:${good()}`).toString("base64")}`],
  ],
  "scheme Token": () => [["authorization", `Token ${good()}`]],
  "scheme JWT": () => [["authorization", `JWT ${good()}`]],
  "scheme DPoP": () => [["authorization", `DPoP ${good()}`]],
  "scheme Bearer:": () => [["authorization", `Bearer: ${good()}`]],
  "scheme Bearer=": () => [["authorization", `Bearer=${good()}`]],
  "scheme twice": () => [["authorization", `Bearer Bearer ${good()}`]],
  "scheme without a token": () => [["authorization", "Bearer"]],
  "scheme with blanks for a token": () => [["authorization", "Bearer    "]],
  "a tab for the blank": () => [["authorization", `Bearer\t${good()}`]],
  "quotation marks": () => [["authorization", `Bearer "${good()}"`]],
  "a parameter behind": () => [["authorization", `Bearer ${good()}, realm="x"`]],
  "a word behind": () => [["authorization", `Bearer ${good()} x`]],
  "letters that are not ASCII": () => [["authorization", `Bearer ${good()}\u00e9`]],
  "a login behind an API key's prefix": () => bearer(`wa_${good()}`),
  "a login in a cookie": () => [["cookie", `token=${good()}; better-auth.session_token=${good()}`]],
  "a login in Proxy-Authorization": () => [["proxy-authorization", `Bearer ${good()}`]],
  "a login in X-Authorization": () => [["x-authorization", `Bearer ${good()}`]],
  "a user in X-Forwarded-User": () => [["x-forwarded-user", "alice"]],
});

// -----------------------------------------------------------------------------------------------------------------

/** All that a caller can read of an answer; the request's id and the time are new every time. */
function readable({ status, headers, text }: Answer): Json {
  const { "x-request-id": _id, date: _date, ...rest } = headers;
  return { status, headers: rest, text };
}

test("what the attacks are made of opens the door", async () => {
  for (const key of [...Object.values(keys), shared]) {
    assert.equal((await gateway.as(good(key))).status, 200, `a login signed by ${key.kid}`);
  }
  for (const key of [sharedOfOther, keyOfOther]) {
    assert.equal((await gateway.as(other.login(OWNER, key))).status, 200, `the other one's, by ${key.kid}`);
  }
  const apiKey: HeaderList = [["x-api-key", gateway.apiKey]];
  assert.equal((await gateway.ask({ headers: apiKey })).status, 200, "the API key");
  assert.equal((await gateway.as(ofLength(LIMIT))).status, 200, "a token of 8 KiB");
  const plain = ed.token(claims({ fill: { deep: [[[{ a: 1 }]]] } }), { ...ed.header, more: 1 });
  assert.equal((await gateway.as(plain)).status, 200, "claims and headers that nobody knows");
});

test("every attack is refused with 401, and all answers are one", async (t) => {
  const refusal = readable(await gateway.ask({}));
  assert.equal(refusal["status"], 401);
  assert.equal(JSON.parse(String(refusal["text"])).error.code, "unauthorized");
  const families = Map.groupBy(cases, ({ family }) => family);
  for (const [family, members] of families) {
    await t.test(family, async (t) => {
      for (const { name, attack } of members) {
        await t.test(name, async () => {
          assert.deepEqual(readable(await gateway.ask({ headers: attack() })), refusal);
        });
      }
    });
  }
  t.diagnostic(`${cases.length} attacks in ${families.size} families`);
  assert.ok(cases.length >= EXPECTED_CASES, `only ${cases.length} attacks`);
});

test("no attack made the gateway ask where a token told it to, nor forget the keys it knows", async () => {
  assert.deepEqual(evil.paths, []);
  assert.deepEqual([...new Set([...frontend.paths, ...other.paths])], ["/jwks"]);
  assert.equal((await gateway.as(good())).status, 200);
});

suite("an attack is refused wherever it comes in", () => {
  const operations = [
    ["GET", "/admin/sessions"],
    ["POST", "/sessions"],
    ["GET", "/sessions/01ARZ3NDEKTSV4RRFFQ69G5FAV"],
    ["DELETE", "/sessions/01ARZ3NDEKTSV4RRFFQ69G5FAV"],
    ["POST", "/sessions/01ARZ3NDEKTSV4RRFFQ69G5FAV/messages"],
    ["GET", "/sessions/01ARZ3NDEKTSV4RRFFQ69G5FAV/events"],
  ] as const;
  for (const [method, path] of operations) {
    test(`${method} ${path}`, async () => {
      const refusal = readable(await gateway.ask({}));
      const forged = () => edited(ed, OWNER, { role: "super_admin" });
      assert.deepEqual(readable(await gateway.as(forged(), { method, path })), refusal);
    });
  }
  for (const name of ["access_token", "token", "jwt", "apiKey", "key"]) {
    test(`a login in the query, as ${name}`, async () => {
      const refusal = readable(await gateway.ask({}));
      assert.deepEqual(readable(await gateway.ask({ path: `/sessions?${name}=${good()}` })), refusal);
    });
  }
});
