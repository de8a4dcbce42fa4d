// What the audit says of one thing that a configuration opens or connects to. Types only.

/** `note`: as the guide advises or silent there, but the operator should know. */
export type Verdict = 'ok' | 'note' | 'against';

export interface Judged {
  readonly verdict: Verdict;
  /** What is, in a few words. */
  readonly now: string;
  readonly why: string;
}

/** One thing that the configuration opens, or connects to. */
export interface Endpoint extends Judged {
  readonly what: string;
  readonly direction: 'opens' | 'connects';
  readonly transport: 'tcp' | 'udp' | 'unix' | 'tty';
  readonly address: string;
  /** "950-965"; null where there are none. */
  readonly ports: string | null;
}
