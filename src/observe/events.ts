// The events that the log knows by name, in the groups of an NPort's system log (System, Network, Config, OpMode), each with
// the MESSAGE_ID that the journal finds it by (sd_journal_print(3), "128-bit ids"). An id never changes and is never reused.
// Data only; who writes a line names its event in the field `event`. A name that is not here has no id. An NPort's Config
// group also has imported, exported and event log cleared: `ttynp import` and `config show` only print, and nothing here
// empties a log. What was imported is told as config-changed when the daemon takes it.

export type EventGroup = 'system' | 'network' | 'config' | 'opmode';

export interface EventEntry {
  readonly group: EventGroup;
  readonly messageId: string;
  readonly means: string;
}

export const EVENTS: ReadonlyMap<string, EventEntry> = new Map<string, EventEntry>([
  [
    'cold-start',
    {
      group: 'system',
      messageId: '0b294e01bbe74436b988a9549902170d',
      means: 'The daemon began, and took over nothing.',
    },
  ],
  [
    'warm-start',
    {
      group: 'system',
      messageId: '3b5eb52525374cd8bbc9e6414f3687ad',
      means: 'The daemon began, and took over the ports of the one before.',
    },
  ],
  [
    'stopping',
    { group: 'system', messageId: '0a4b5210ed6544f9a40a68cab8bc0c5d', means: 'The daemon was told to end.' },
  ],
  ['stopped', { group: 'system', messageId: 'dcda0e588b6f411eb5dbc7dca0ce0879', means: 'The daemon has ended.' }],
  [
    'link-down',
    {
      group: 'network',
      messageId: '951780127d924771bb0289616699036f',
      means: 'No port of a device server is connected any more.',
    },
  ],
  [
    'link-up',
    {
      group: 'network',
      messageId: '9c35777dbf13487384ed511ae2f3dd02',
      means: 'A device server that was down is connected again.',
    },
  ],
  [
    'config-changed',
    { group: 'config', messageId: '46a7f88043794b6984ae2ada83a68fb7', means: 'A reload was accepted.' },
  ],
  [
    'config-refused',
    {
      group: 'config',
      messageId: 'e22fbd78b8d04becb734c052f0d11132',
      means: 'A reload was refused, and nothing has changed.',
    },
  ],
  [
    'program-upgraded',
    { group: 'config', messageId: '8f4d7de32c364d0a835a841480277cbd', means: 'Another version runs than before.' },
  ],
  [
    'connect',
    { group: 'opmode', messageId: 'e74288dcf25446d0a63adbaf05b47342', means: 'A port is connected (again).' },
  ],
  [
    'disconnect',
    {
      group: 'opmode',
      messageId: 'f5d5076ee9fb462da1888fdda36e72cd',
      means: 'A port lost its connection, or cannot get one.',
    },
  ],
  [
    'dropped',
    {
      group: 'opmode',
      messageId: '2c697a064f8346249f71a5c295a6b7fe',
      means: 'Bytes of an application were not transmitted.',
    },
  ],
  ['tty-failed', { group: 'opmode', messageId: '91003c77e29f47c1a40615c349537b97', means: 'A tty could not be made.' }],
]);
