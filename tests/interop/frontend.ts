// A frontend as the gateway sees one: it shows its public keys and signs its people's logins. Made of Node's crypto
// alone, so that it can also sign what no library would.

import {
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  randomUUID,
  type SignKeyObjectInput,
  sign,
} from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type Algorithm = "EdDSA" | "ES256" | "RS256";
export type Json = Readonly<Record<string, unknown>>;

/** An entry of AUTH_ISSUERS. */
export interface Issuer {
  readonly issuer: string;
  readonly audience: string;
  readonly jwksUrl: string;
}

export function base64url(content: string | Uint8Array): string {
  return Buffer.from(content).toString("base64url");
}

/** What goes into a token, its signature aside. Text stands as it is, for JSON that no serializer writes. */
export interface Unsigned {
  readonly header: Json | string;
  readonly claims: Json | string;
}

export function signingInput({ header, claims }: Unsigned): string {
  const part = (content: Json | string) =>
    base64url(typeof content === "string" ? content : JSON.stringify(content));
  return `${part(header)}.${part(claims)}`;
}

/** A key pair with a name. */
export class SigningKey {
  readonly kid: string;
  readonly algorithm: Algorithm;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;

  constructor(algorithm: Algorithm, kid: string = randomUUID()) {
    this.kid = kid;
    this.algorithm = algorithm;
    const { publicKey, privateKey } = generate(algorithm);
    this.publicKey = publicKey;
    this.privateKey = privateKey;
  }

  get jwk(): JsonWebKey {
    return { ...this.publicKey.export({ format: "jwk" }), kid: this.kid, alg: this.algorithm, use: "sig" };
  }

  get header(): Json {
    return { alg: this.algorithm, typ: "JWT", kid: this.kid };
  }

  /** As RFC 7518 and RFC 8037 have it, unless `how` bends it. */
  signature(input: string, digest?: string, how: Partial<SignKeyObjectInput> = {}): Buffer {
    const hash = digest ?? (this.algorithm === "EdDSA" ? null : "sha256");
    return sign(hash, Buffer.from(input), { key: this.privateKey, dsaEncoding: "ieee-p1363", ...how });
  }

  /** A token of this key, whatever its header says. */
  token(claims: Json | string, header: Json | string = this.header): string {
    const input = signingInput({ header, claims });
    return `${input}.${base64url(this.signature(input))}`;
  }
}

function generate(algorithm: Algorithm): { publicKey: KeyObject; privateKey: KeyObject } {
  switch (algorithm) {
    case "EdDSA":
      return generateKeyPairSync("ed25519");
    case "ES256":
      return generateKeyPairSync("ec", { namedCurve: "P-256" });
    case "RS256":
      return generateKeyPairSync("rsa", { modulusLength: 2048 });
  }
}

/** How a frontend answers when it is asked for its keys. */
export type Manner = (response: ServerResponse) => void;

export const json =
  (status: number, body: unknown): Manner =>
  (response) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  };

/** A person's login at a frontend. */
export interface Login {
  readonly user?: string;
  readonly organization?: string;
  readonly orgRole?: string;
  readonly role?: string;
}

export class Frontend implements Issuer {
  readonly audience: string;
  /** When it was asked for its keys, in epoch milliseconds. */
  readonly askedAt: number[] = [];
  /** All that it was asked for, its keys or not. */
  readonly paths: string[] = [];
  readonly #server: Server;
  #asked = Promise.withResolvers<void>();
  #port = 0;
  #keys: readonly SigningKey[];
  #manner: Manner | undefined;

  /** Listening on a port of its own, which is part of its issuer's name. */
  static async start(...keys: readonly SigningKey[]): Promise<Frontend> {
    const frontend = new Frontend(keys);
    await frontend.listen();
    return frontend;
  }

  private constructor(keys: readonly SigningKey[]) {
    this.audience = `gateway-${randomUUID()}`;
    this.#keys = keys;
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  get issuer(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get jwksUrl(): string {
    return `${this.issuer}/jwks`;
  }

  /** Shows these keys from now on, and no others. */
  publish(...keys: readonly SigningKey[]): void {
    this.#keys = keys;
  }

  /** Answers in this manner when asked for its keys; without one, with its keys. */
  behave(manner?: Manner): void {
    this.#manner = manner;
  }

  /** Answers with its keys. */
  show(response: ServerResponse): void {
    json(200, { keys: this.#keys.map(({ jwk }) => jwk) })(response);
  }

  /** Settles when it is asked for its keys the next time. */
  async askedAgain(): Promise<void> {
    return this.#asked.promise;
  }

  private async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.#port, "127.0.0.1", () => resolve());
    });
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Nobody listens on its port any more, and open connections break. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  /** What a token of this frontend says, as the contract's "Who calls" has it. */
  claims({ user = "user", organization, orgRole, role }: Login = {}): Record<string, unknown> {
    const now = Math.floor(Date.now() / 1000);
    return {
      iss: this.issuer,
      aud: this.audience,
      iat: now,
      nbf: now,
      exp: now + 600,
      sub: user,
      ...(organization === undefined ? {} : { activeOrganizationId: organization }),
      ...(orgRole === undefined ? {} : { orgRole }),
      ...(role === undefined ? {} : { role }),
    };
  }

  /** A login, signed with the first key it shows, or with another. */
  login(login: Login, key: SigningKey | undefined = this.#keys[0]): string {
    if (key === undefined) throw new Error("This frontend has no key.");
    return key.token(this.claims(login));
  }

  #answer({ url = "" }: IncomingMessage, response: ServerResponse): void {
    this.paths.push(url);
    if (url !== "/jwks") {
      json(404, { message: "Not Found" })(response);
      return;
    }
    this.askedAt.push(Date.now());
    this.#asked.resolve();
    this.#asked = Promise.withResolvers();
    if (this.#manner === undefined) this.show(response);
    else this.#manner(response);
  }
}
