// A frontend made with better-auth, over the gateway's own database. docs/frontend.md shows this file as it is.

import type { DatabaseSync } from "node:sqlite";
import { apiKey } from "@better-auth/api-key";
import { betterAuth } from "better-auth";
import { jwt, organization } from "better-auth/plugins";

const ROLES = ["owner", "admin", "member"] as const;

export function betterAuthFrontend(options: {
  readonly baseURL: string;
  readonly secret: string;
  /** The `audience` of the frontend's entry in AUTH_ISSUERS; the `issuer` is the baseURL. */
  readonly audience: string;
  /** The gateway's directory: on Cloudflare its D1 binding, `env.DB`. */
  readonly database: DatabaseSync;
}) {
  const { baseURL, secret, audience, database } = options;

  /** The strongest of the roles a person has in an organization, if they have one. */
  async function orgRole(userId: string, organizationId: string): Promise<string | undefined> {
    const { adapter } = await auth.$context;
    const member = await adapter.findOne<{ role: string }>({
      model: "member",
      where: [
        { field: "userId", value: userId },
        { field: "organizationId", value: organizationId },
      ],
    });
    const roles = member?.role.split(",") ?? [];
    return ROLES.find((role) => roles.includes(role));
  }

  const auth = betterAuth({
    baseURL,
    secret,
    database,
    emailAndPassword: { enabled: true },
    // The gateway has a table `session` of its own: WhatsApp sessions.
    session: { modelName: "login_session" },
    // The platform's role. `input: false`: nobody gives it to themselves when they sign up.
    user: { additionalFields: { role: { type: "string", required: false, input: false } } },
    plugins: [
      organization(),
      jwt({
        jwt: {
          issuer: baseURL,
          audience,
          expirationTime: "15m",
          definePayload: async ({ user, session }) => {
            const active: string | undefined = session["activeOrganizationId"] ?? undefined;
            return {
              role: user["role"] ?? undefined,
              activeOrganizationId: active,
              orgRole: active === undefined ? undefined : await orgRole(user.id, active),
            };
          },
        },
      }),
      apiKey({
        references: "organization",
        defaultPrefix: "wa_",
        rateLimit: { enabled: false },
        // The gateway's table `apikey` is this plugin's, in snake case.
        schema: {
          apikey: {
            fields: {
              configId: "config_id",
              referenceId: "reference_id",
              refillInterval: "refill_interval",
              refillAmount: "refill_amount",
              lastRefillAt: "last_refill_at",
              rateLimitEnabled: "rate_limit_enabled",
              rateLimitTimeWindow: "rate_limit_time_window",
              rateLimitMax: "rate_limit_max",
              requestCount: "request_count",
              lastRequest: "last_request",
              expiresAt: "expires_at",
              createdAt: "created_at",
              updatedAt: "updated_at",
            },
          },
        },
      }),
    ],
  });
  return auth;
}
