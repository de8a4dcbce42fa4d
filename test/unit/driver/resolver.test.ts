import { expect, test } from 'vitest';
import { Resolver } from '../../../src/driver/resolver.js';

test('an address is no name: nobody is asked', async () => {
  const lookup = () => Promise.reject(new Error('asked'));
  expect(await new Resolver('192.168.127.254', lookup).addresses()).toEqual(['192.168.127.254']);
  expect(await new Resolver('fe80::1%eth1', lookup).addresses()).toEqual(['fe80::1%eth1']);
});

test('ports that connect at the same moment share one look-up, and the next connect asks again', async () => {
  const answers = [['10.0.0.1', '10.0.0.2'], ['10.0.0.3']];
  let asked = 0;
  const resolver = new Resolver('boiler.example', () => Promise.resolve(answers[asked++] ?? []));
  const both = await Promise.all([resolver.addresses(), resolver.addresses()]);
  expect(both).toEqual([
    ['10.0.0.1', '10.0.0.2'],
    ['10.0.0.1', '10.0.0.2'],
  ]);
  expect(await resolver.addresses()).toEqual(['10.0.0.3']);
  expect(asked).toBe(2);
});

test('a name that does not resolve says which and why, and is asked for again', async () => {
  let fail = true;
  const resolver = new Resolver('boiler.example', () =>
    fail ? Promise.reject(new Error('getaddrinfo ENOTFOUND boiler.example')) : Promise.resolve(['10.0.0.1']),
  );
  await expect(resolver.addresses()).rejects.toMatchObject({
    code: 'NAME_UNRESOLVED',
    message: 'boiler.example: name not resolved: getaddrinfo ENOTFOUND boiler.example',
  });
  fail = false;
  expect(await resolver.addresses()).toEqual(['10.0.0.1']);
});

test('a name without an address is a fault, not an endless attempt', async () => {
  await expect(new Resolver('boiler.example', () => Promise.resolve([])).addresses()).rejects.toMatchObject({
    code: 'NAME_UNRESOLVED',
    retryable: true,
  });
});
