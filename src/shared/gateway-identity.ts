/** How the gateway names itself to clients; follows a reload (src/control/identity.ts). */
export interface GatewayIdentity {
  /** `"_meta":{"io.modelcontextprotocol/serverInfo":...}`, a member of a result. */
  readonly serverInfo: Uint8Array;
}
