// What an Ethernet modem is made of, and where its settings are kept that AT&W writes.
import type { Profile } from '../protocol/at/profile.js';
import type { PortServerOptions } from './port-server.js';

/** `linesWhenFree` and `packing` are not for modems. `busyHoldMs` is 0 where it is absent. Times in milliseconds. */
export interface EthernetModemOptions extends PortServerOptions {
  /** 0: any free one. */
  readonly port: number;
  /** Where AT&W writes; absent: what it wrote is forgotten with this server. */
  readonly profiles?: ModemProfiles | undefined;
  /** Lines that ATI0, ATI1 and ATI2 answer. */
  readonly identity?: readonly [string, string, string];
  readonly connectTimeoutMs?: number;
}

export interface ModemProfiles {
  /** undefined: nothing was kept. */
  readonly kept: Profile | undefined;
  /** False where it cannot be written. Never rejects. */
  keep(profile: Profile): Promise<boolean>;
}
