// What a device answers by what it is, as bytes written down here (USB 2.0 chapter 9, USB 3.0 chapter 9).
import { expect, test } from 'vitest';
import type { DeviceDescription, Speed } from '../../../../src/protocol/usbip/descriptors.js';
import { isStandard, type Setup } from '../../../../src/protocol/usbip/setup.js';
import { standardAnswer } from '../../../../src/protocol/usbip/standard-requests.js';

const plain = (text: string) => text.replaceAll(/\s/g, '');

function setup(text: string): Setup {
  const bytes = Buffer.from(text, 'hex');
  return {
    requestType: bytes.readUInt8(0),
    request: bytes.readUInt8(1),
    value: bytes.readUInt16LE(2),
    index: bytes.readUInt16LE(4),
    length: bytes.readUInt16LE(6),
  };
}

function answerer(speed: Speed = 'high', interfaces = 2) {
  const device: DeviceDescription = {
    speed,
    vendorId: 0x1209,
    productId: 0x7474,
    release: 0x0800,
    manufacturer: 'ttynp',
    product: 'Serial',
    serial: 'N0',
    interfaces,
  };
  return (request: string) => {
    const answer = standardAnswer(device, setup(request));
    return answer && Buffer.from(answer).toString('hex');
  };
}

test('descriptors of a high-speed device', () => {
  const answer = answerer();
  expect(answer('8006000100004000')).toBe(plain('12010002000000400912747400080102 0301'));
  expect(answer('8006000200003700')).toBe(
    plain(`0902370002 0100c000 0904000002ffffff02 07058102000200 07050102000200
      0904010002ffffff02 07058202000200 07050202000200`),
  );
  expect(answer('800600030000ff00')).toBe('04030904');
  expect(answer('800603030904ff00')).toBe('06034e003000');
  expect(answer('800604030904ff00')).toBeUndefined();
  expect(answer('8006000600000a00')).toBe('0a060002000000400100');
  expect(answer('8006000f00000500')).toBeUndefined();
});

test('descriptors of a SuperSpeed device: companions and a BOS', () => {
  const answer = answerer('super', 1);
  expect(answer('8006000100001200')).toBe(plain('1201000300000009091274740008010203 01'));
  expect(answer('8006000200002c00')).toBe(
    plain('09022c00010100c000 0904000002ffffff02 07058102000400 063000000000 07050102000400 063000000000'),
  );
  expect(answer('8006000f00001600')).toBe(plain('050f160002 07100200000000 0a1003000e00020aff07'));
  expect(answer('8006000600000a00')).toBeUndefined();
});

test('other requests: what can be said is said, what sets something is taken, the rest stalls', () => {
  const answer = answerer();
  expect(answer('8000000000000200')).toBe('0100');
  expect(answer('8200000081000200')).toBe('0000');
  expect(answer('8008000000000100')).toBe('01');
  expect(answer('810a000000000100')).toBe('00');
  expect(answer('0009010000000000')).toBe('');
  expect(answer('0201000081000000')).toBe('');
  expect(answer('80ff000000000200')).toBeUndefined();
});

test('standard requests are told from a vendor’s and a class’s', () => {
  expect(['8006000100004000', '0009010000000000'].map((s) => isStandard(setup(s)))).toEqual([true, true]);
  expect(['c005000001000200', '4001030301000000', '2122000000000000'].map((s) => isStandard(setup(s)))).toEqual([
    false,
    false,
    false,
  ]);
});
