// What is said of a key that the configuration does not have: what was meant, where that can be known. The same thing has another
// name in another section: the TCP port of a server is dataPort, of a serial port that is offered tcpPort. Pure.
import { parseFormat } from '../serial/format.js';
import { suggestion } from './problems.js';

const TOWARDS_DEVICES = ['servers', 'ttys', 'defaults'];
const FORMAT = 'format has rate, data bits, parity and stop bits, such as "9600,8N1"';

/** In which sections, which keys, and what was meant. */
const ELSEWHERE: readonly (readonly [sections: readonly string[], keys: readonly string[], text: string])[] = [
  [TOWARDS_DEVICES, ['tcpPort'], 'the TCP port is dataPort here; tcpPort is an option of serialPorts'],
  [TOWARDS_DEVICES, ['flowControl'], 'the application sets it; flowControl is an option of serialPorts'],
  [TOWARDS_DEVICES, ['listen', 'maxConnection', 'packing', 'accessibleIps', 'device'], 'is an option of serialPorts'],
  [['serialPorts'], ['protocol'], 'what is spoken is mode here: real-com, rfc2217 or tcp-server'],
  [
    ['serialPorts'],
    ['server', 'address', 'alias'],
    'is an option of servers and ttys, which connect to device servers',
  ],
  [['serialPorts'], ['port'], 'the TCP port is tcpPort, or dataPort and commandPort in mode real-com'],
  [[...TOWARDS_DEVICES, 'serialPorts'], ['baud', 'baudRate', 'speed', 'dataBits', 'parity', 'stopBits'], FORMAT],
];

/** @param path of the map that has the key, @param known the keys that it may have */
export function unknownKey(path: readonly PropertyKey[], key: string, known: readonly string[]): string {
  // In a flow map the comma of 9600,8N1 ends the value.
  if (parseFormat(key) !== undefined) return `unknown key: between braces write format: "9600,${key}" with quotes`;
  // The section itself has names, not options.
  const section = path.length > 1 ? String(path[0]) : '';
  const meant = ELSEWHERE.find(([sections, keys]) => sections.includes(section) && keys.includes(key));
  return meant === undefined ? `unknown key${suggestion(key, known)}` : `unknown key: ${meant[2]}`;
}
