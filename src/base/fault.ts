// The one error type that crosses rooms: a code from a closed list that says whether to retry and whose fault it was.
// Never carries a stack to the user and never flattens the cause: errno travels as `cause`.

const CODES = {
  CANCELED: { retry: false, blame: 'local' }, // closed on purpose; never logged as an error
  PEER_NO_ROUTE: { retry: true, blame: 'peer' }, // EHOSTUNREACH, ENETUNREACH
  PEER_TIMEOUT: { retry: true, blame: 'peer' }, // no answer to the connect, or a keep-alive without answer
  PEER_REFUSED: { retry: true, blame: 'peer' },
  PEER_CLOSED: { retry: true, blame: 'peer' },
  PEER_BUSY: { retry: true, blame: 'peer' }, // accepted, then closed before it answered
  PEER_MUTE: { retry: true, blame: 'peer' }, // connected, but a command was not answered in time
  PEER_PROTOCOL: { retry: true, blame: 'peer' }, // it sent what the protocol forbids
  NAME_UNRESOLVED: { retry: true, blame: 'peer' },
  NO_DESCRIPTORS: { retry: true, blame: 'local' }, // EMFILE, ENFILE
  TTY_GONE: { retry: false, blame: 'local' },
  TTY_BUSY: { retry: false, blame: 'operator' },
  LINK_PATH_TAKEN: { retry: false, blame: 'operator' }, // something that is not ours lies at the tty's name
  PERMISSION: { retry: false, blame: 'operator' },
  ALREADY_RUNNING: { retry: false, blame: 'operator' },
  CONFIG_INVALID: { retry: false, blame: 'operator' },
  NO_SUCH_TTY: { retry: false, blame: 'operator' },
  NOT_SUPPORTED: { retry: false, blame: 'local' }, // the backend or the peer cannot carry it
  NO_DAEMON: { retry: true, blame: 'operator' },
  SYSTEM: { retry: false, blame: 'local' }, // any other errno
} as const;

export type FaultCode = keyof typeof CODES;
export type Blame = 'local' | 'peer' | 'operator';

export class Fault extends Error {
  override readonly name = 'Fault';

  /** @param message lowercase, without full stop; names the port and the peer. */
  constructor(
    readonly code: FaultCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  get retryable(): boolean {
    return CODES[this.code].retry;
  }

  get blame(): Blame {
    return CODES[this.code].blame;
  }
}

export function isFault(value: unknown): value is Fault {
  return value instanceof Fault;
}

/** What was thrown where only faults are expected: anything else is SYSTEM, with its message. */
export function asFault(value: unknown): Fault {
  return isFault(value) ? value : new Fault('SYSTEM', messageOf(value), { cause: value });
}

/** The message of anything thrown, for a log line. */
export function messageOf(value: unknown): string {
  return value instanceof Error ? value.message : String(value);
}
