// Which address of this machine an asker sees, by tables as a little-endian kernel prints them, and by those of this machine.
import { expect, test } from 'vitest';
import { LocalNetworks, readKernelTables } from '../../../src/serve/local-networks.js';

const TABLES = {
  route: `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	0100A8C0	0003	0	0	0	00000000	0	0	0
eth0	0000A8C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
eth1	0000000A	00000000	0001	0	0	0	0000FFFF	0	0	0
eth1	0000010A	0500000A	0003	0	0	0	0000FFFF	0	0	0
`,
  trie: `Main:
  +-- 0.0.0.0/0 3 0 5
           |-- 192.168.0.0
              /24 link UNICAST
           |-- 192.168.0.2
              /32 host LOCAL
Local:
  +-- 0.0.0.0/0 3 0 5
           |-- 127.0.0.1
              /32 host LOCAL
           |-- 192.168.0.2
              /32 host LOCAL
        |-- 10.0.3.1
           /32 host LOCAL
        |-- 10.0.255.255
           /32 link BROADCAST
`,
  inet6:
    'fd000000000000000000000000000002 04 40 00 82     eth1\n00000000000000000000000000000001 01 80 10 80       lo\n',
  mac: (name: string) => ({ eth0: '02:00:00:00:00:01\n', eth1: '02:00:00:00:00:02\n' })[name] ?? '',
};

function sight(listen: string, asker: string, tables = TABLES) {
  const { address, mac } = new LocalNetworks(tables).sight(listen, asker);
  return [address && [...address].join('.'), mac[5]];
}

test.each([
  ['the address that was asked', '10.0.3.1', '192.0.2.7', '10.0.3.1', 2],
  ['of all, that in its network', '0.0.0.0', '192.168.0.77', '192.168.0.2', 1],
  ['behind a router of another network', '0.0.0.0', '10.1.0.9', '10.0.3.1', 2],
  ['behind the default router', '0.0.0.0', '203.0.113.9', '192.168.0.2', 1],
  ['an asker on this machine', '0.0.0.0', '127.0.0.1', '127.0.0.1', 0],
  ['an asker on this machine, by its address', '0.0.0.0', '10.0.3.1', '10.0.3.1', 2],
  ['IPv4 as IPv6', '::', '::ffff:192.168.0.77', '192.168.0.2', 1],
  ['over IPv6, the IPv4 address of the same interface', 'fd00::2', 'fd00::7', '10.0.3.1', 2],
  ['loopback', '127.0.0.1', '127.0.0.1', '127.0.0.1', 0],
])('%s', (_, listen, asker, address, mac) => {
  expect(sight(listen, asker)).toEqual([address, mac]);
});

test('a machine without networks, and tables that say nothing', () => {
  const none = { route: '', trie: '', inet6: '', mac: () => 'x:y' };
  expect(sight('0.0.0.0', '192.0.2.7', none)).toEqual([undefined, 0]);
  expect(sight('::', '2001:db8::7', none)).toEqual([undefined, 0]);
  expect(sight('192.0.2.1', '192.0.2.7', none)).toEqual(['192.0.2.1', 0]);
});

test('the tables of this machine can be read', () => {
  const tables = readKernelTables();
  expect(tables.trie).toContain('LOCAL');
  expect(new LocalNetworks(tables).sight('0.0.0.0', '127.0.0.1').address).toEqual(Uint8Array.of(127, 0, 0, 1));
});
