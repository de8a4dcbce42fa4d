// The device's answers on UDP 4800: found by a search, kernel information, name, and which TCP connections it has. A host
// of the vendor's drops its connections every minute where nobody answers. Never changes anything, never answers an answer,
// and is no echo: what is not one of these requests, byte for byte of the right length, has no answer.
// Pure. Follows docs/protocol/dsci.md.
import {
  DEVICE_ID_BYTES,
  DSCI_EXTENSION,
  DSCI_KERNEL_INFO,
  DSCI_NETSTAT,
  DSCI_NETSTAT_EX,
  DSCI_REPLY,
  DSCI_SEARCH,
  DSCI_SERVER_NAME,
  EXTENSION_NETSTAT,
  EXTENSION_SEARCH,
  HEADER_BYTES,
  NAME_BYTES,
  STATE_ESTABLISHED,
  STATE_LISTEN,
} from './constants.js';

export interface DsciDevice {
  readonly apId: number;
  readonly hwId: number;
  /** 6 bytes. */
  readonly mac: Uint8Array;
  /** 4 bytes; where the asker finds it. */
  readonly address: Uint8Array;
  readonly name: string;
  readonly firmware: { readonly major: number; readonly minor: number };
}

/** A TCP socket of the device. Addresses have 4 bytes, or all of them 16. */
export interface DsciSocket {
  readonly state: 'listen' | 'established';
  readonly local: Uint8Array;
  readonly localPort: number;
  readonly remote: Uint8Array;
  readonly remotePort: number;
}

export interface DsciSockets {
  readonly ipv4: readonly DsciSocket[];
  readonly ipv6: readonly DsciSocket[];
}

export type DsciAnswer =
  | { readonly type: 'reply'; readonly bytes: Uint8Array }
  /** malformed: too short, or its length is not what it says; unsupported: none of those above; others: for another device. */
  | { readonly type: 'none'; readonly why: 'malformed' | 'unsupported' | 'others' };

/** Entries of one reply: it fits a frame of Ethernet, and a forged request gets no more than that. */
const PAGE = { ipv4: 64, ipv6: 32 };
const DEVICE_ID_AT = HEADER_BYTES;
const BODY_AT = HEADER_BYTES + DEVICE_ID_BYTES;

/** @param sockets asked only where the request is about them */
export function answerDsci(request: Uint8Array, device: DsciDevice, sockets: () => DsciSockets): DsciAnswer {
  const view = new DataView(request.buffer, request.byteOffset, request.byteLength);
  if (request.length < HEADER_BYTES || view.getUint16(2) !== request.length) return { type: 'none', why: 'malformed' };
  const bytes = replyTo(view, device, sockets);
  return typeof bytes === 'string' ? { type: 'none', why: bytes } : { type: 'reply', bytes };
}

function replyTo(
  request: DataView,
  device: DsciDevice,
  sockets: () => DsciSockets,
): Uint8Array | 'malformed' | 'unsupported' | 'others' {
  const length = request.byteLength;
  switch (request.getUint8(0)) {
    case DSCI_SEARCH:
      if (length === HEADER_BYTES) return search(request, device);
      if (length !== BODY_AT) return 'malformed';
      return isFor(request, device) ? search(request, device) : 'others';
    case DSCI_KERNEL_INFO:
      return length === BODY_AT ? kernelInfo(request, device, sockets().ipv4.length) : 'malformed';
    case DSCI_SERVER_NAME:
      return length === BODY_AT ? serverName(request, device) : 'malformed';
    case DSCI_NETSTAT:
      return length === BODY_AT + 2 ? netstat(request, device, sockets().ipv4, 0) : 'malformed';
    case DSCI_NETSTAT_EX:
      if (length !== BODY_AT + 4) return 'malformed';
      return netstat(request, device, sockets().ipv4, request.getUint16(BODY_AT + 2, true));
    case DSCI_EXTENSION:
      return extension(request, device, sockets);
    default:
      return 'unsupported';
  }
}

/** The begin of every reply: request's code and id, and the device's own id. */
function reply(request: DataView, device: DsciDevice, length: number): DataView {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, request.getUint8(0) | DSCI_REPLY);
  view.setUint16(2, length);
  view.setUint32(4, request.getUint32(4));
  bytes.set(deviceId(device), DEVICE_ID_AT);
  return view;
}

function deviceId({ apId, hwId, mac }: DsciDevice): Uint8Array {
  const bytes = new Uint8Array(DEVICE_ID_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, apId, true);
  view.setUint16(4, hwId, true);
  bytes.set(mac.subarray(0, 6), 6);
  return bytes;
}

function isFor(request: DataView, device: DsciDevice): boolean {
  return deviceId(device).every((byte, i) => request.getUint8(DEVICE_ID_AT + i) === byte);
}

function search(request: DataView, device: DsciDevice): Uint8Array {
  const view = reply(request, device, BODY_AT + 4);
  const bytes = bytesOf(view);
  bytes.set(device.address.subarray(0, 4), BODY_AT);
  return bytes;
}

function kernelInfo(request: DataView, device: DsciDevice, sockets: number): Uint8Array {
  const view = reply(request, device, BODY_AT + 16);
  view.setUint8(22, device.firmware.minor);
  view.setUint8(23, device.firmware.major);
  // The "dsci version": with 0 a host asks NETSTAT, which knows no second page.
  view.setUint16(34, sockets > PAGE.ipv4 ? 1 : 0, true);
  return bytesOf(view);
}

function serverName(request: DataView, device: DsciDevice): Uint8Array {
  const view = reply(request, device, BODY_AT + NAME_BYTES);
  const text = [...device.name].map((c) => c.charCodeAt(0)).filter((code) => code >= 0x20 && code < 0x7f);
  bytesOf(view).set(text.slice(0, NAME_BYTES - 1), BODY_AT);
  return bytesOf(view);
}

function netstat(request: DataView, device: DsciDevice, all: readonly DsciSocket[], start: number): Uint8Array {
  const entries = all.slice(start, start + PAGE.ipv4);
  const view = reply(request, device, BODY_AT + 4 + 16 * entries.length);
  view.setUint16(BODY_AT, entries.length, true);
  view.setUint16(BODY_AT + 2, nextStart(all, start, entries.length), true);
  entries.forEach((entry, i) => {
    setEntry(view, BODY_AT + 4 + 16 * i, entry, 4, true);
  });
  return bytesOf(view);
}

function extension(
  request: DataView,
  device: DsciDevice,
  sockets: () => DsciSockets,
): Uint8Array | 'malformed' | 'unsupported' {
  const headerEnd = BODY_AT + 8;
  if (request.byteLength < headerEnd) return 'malformed';
  const code = request.getUint32(BODY_AT + 4);
  const extended = (length: number) => {
    const view = reply(request, device, length);
    view.setUint32(BODY_AT, request.getUint32(BODY_AT));
    view.setUint32(BODY_AT + 4, code);
    return view;
  };
  if (code === EXTENSION_SEARCH && request.byteLength === headerEnd) return bytesOf(extended(44));
  if (code !== EXTENSION_NETSTAT) return 'unsupported';
  if (request.byteLength !== headerEnd + 4) return 'malformed';
  const all = sockets().ipv6;
  const start = request.getUint16(headerEnd + 2);
  const entries = all.slice(start, start + PAGE.ipv6);
  const view = extended(32 + 40 * entries.length);
  view.setUint16(28, entries.length);
  view.setUint16(30, nextStart(all, start, entries.length));
  entries.forEach((entry, i) => {
    setEntry(view, 32 + 40 * i, entry, 16, false);
  });
  return bytesOf(view);
}

/** 0: that was all. */
function nextStart(all: readonly DsciSocket[], start: number, count: number): number {
  const next = start + count;
  return count > 0 && next < all.length && next <= 0xffff ? next : 0;
}

function setEntry(view: DataView, at: number, socket: DsciSocket, addressBytes: 4 | 16, littleEndian: boolean): void {
  const bytes = bytesOf(view);
  bytes.set(socket.remote.subarray(0, addressBytes), at);
  bytes.set(socket.local.subarray(0, addressBytes), at + addressBytes);
  const ports = at + 2 * addressBytes;
  view.setUint16(ports, socket.remotePort, littleEndian);
  view.setUint16(ports + 2, socket.localPort, littleEndian);
  view.setUint8(ports + 4, 1);
  view.setUint8(ports + 5, socket.state === 'listen' ? STATE_LISTEN : STATE_ESTABLISHED);
}

const bytesOf = (view: DataView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
