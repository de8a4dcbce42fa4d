// The kernel's table of TCP sockets: lines as proc(5) has them on a little-endian machine, and the sockets of this very process.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { addressBytes, ownSockets, parseTcpTable, readTcpTables } from '../../../src/serve/tcp-table.js';

const HEADER =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     \n';
const REST = ' 00000000:00000000 00:00000000 00000000     0        0 12345 1 0000000000000000 100 0 0 10 0\n';
const IPV4 = `${HEADER}   0: 00000000:03B6 00000000:0000 0A${REST}   1: 0A01A8C0:03B6 1401A8C0:E2DA 01${REST}   2: 0A01A8C0:03B6 1401A8C0:E2DB 06${REST}   3: 0100007F:0016 00000000:0000 0A${REST}`;
const IPV6 = `${HEADER}   0: 00000000000000000000000000000000:03C6 00000000000000000000000000000000:0000 0A${REST}   1: 0000000000000000FFFF00000A01A8C0:03C6 0000000000000000FFFF00001401A8C0:E2DC 01${REST}   2: B80D0120000000000000000001000000:03C6 B80D0120000000000000000002000000:E2DD 01${REST}`;

const row = ({ state, local, localPort, remotePort }: ReturnType<typeof parseTcpTable>[number]) =>
  `${state} ${Buffer.from(local).toString('hex')}:${localPort} ${remotePort}`;

test('LISTEN and ESTABLISHED, addresses in network order, IPv4 in IPv6 as IPv4', () => {
  expect(parseTcpTable(IPV4).map(row)).toEqual([
    'listen 00000000:950 0',
    'established c0a8010a:950 58074',
    'listen 7f000001:22 0',
  ]);
  expect(parseTcpTable(IPV6).map(row)).toEqual([
    'listen 00000000000000000000000000000000:966 0',
    'established c0a8010a:966 58076',
    'established 20010db8000000000000000000000001:966 58077',
  ]);
  for (const text of ['', HEADER, 'garbage\n0: x:y\n', ' 0: 00:0001 00:0000 0A ']) parseTcpTable(text);
});

test('only what is of our listeners', () => {
  const own = [
    { address: '0.0.0.0', port: 950 },
    { address: '::', port: 966 },
  ];
  const { ipv4, ipv6 } = ownSockets(own, IPV4, IPV6);
  expect(ipv4.map(row)).toEqual([
    'listen 00000000:950 0',
    'established c0a8010a:950 58074',
    'established c0a8010a:966 58076',
  ]);
  expect(ipv6).toHaveLength(2);
  expect(ownSockets([{ address: '10.0.0.1', port: 950 }], IPV4, IPV6)).toEqual({ ipv4: [], ipv6: [] });
  expect(ownSockets([{ address: '192.168.1.10', port: 950 }], IPV4, '').ipv4.map(row)).toEqual([
    'established c0a8010a:950 58074',
  ]);
});

test('a connection of this process is in the table of this kernel', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connect(port, '127.0.0.1');
  const [accepted] = await once(server, 'connection');
  const { ipv4 } = ownSockets([{ address: '127.0.0.1', port }], ...readTcpTables());
  expect(ipv4.map(row)).toEqual([`listen 7f000001:${port} 0`, `established 7f000001:${port} ${client.localPort}`]);
  accepted.destroy();
  client.destroy();
  await once(server.close(), 'close');
});

test.each([
  ['10.0.0.1', '0a000001'],
  ['::', '00000000000000000000000000000000'],
  ['::1', '00000000000000000000000000000001'],
  ['2001:db8::2', '20010db8000000000000000000000002'],
  ['fe80::1%eth0', 'fe800000000000000000000000000001'],
  ['::ffff:192.0.2.1', '00000000000000000000ffffc0000201'],
  ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
])('%s', (address, bytes) => {
  expect(Buffer.from(addressBytes(address) ?? []).toString('hex')).toBe(bytes);
});
test('a name is no address', () => expect(addressBytes('host')).toBeUndefined());
