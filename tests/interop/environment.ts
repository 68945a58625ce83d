// Where the tests find the gateway and the simulated WhatsApp: `npm test -- interop` starts both and says so here.

export interface Environment {
  readonly gateway: string;
  readonly simulator: string;
  readonly apiKey: string;
}

export const environment: Environment = {
  gateway: given("GATEWAY_URL"),
  simulator: given("SIMULATOR_URL"),
  apiKey: given("GATEWAY_API_KEY"),
};

function given(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === "") {
    throw new Error(`${name} is not set: run these tests with \`npm test -- interop\`.`);
  }
  return value.replace(/\/$/, "");
}
