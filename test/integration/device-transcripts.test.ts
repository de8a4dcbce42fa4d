// The device role against every captured connection of the vendor's Linux driver 6.0: the host's bytes, segment by
// segment, over real sockets; each command gets the kind of answer that the driver was captured accepting.
import { afterEach, expect, test } from 'vitest';
import { CommandDecoder } from '../../src/protocol/realcom/command-decoder.js';
import { ASPP_CMD_ALIVE, ASPP_CMD_NOTIFY, ASPP_CMD_POLLING } from '../../src/protocol/realcom/constants.js';
import { FrameDecoder } from '../../src/protocol/realcom/frame-decoder.js';
import { runSimulator, type SimulatorHandle } from '../../src/serve/simulator.js';
import { RawPeer } from '../support/raw-peer.js';
import { capture, type Segment } from '../unit/protocol/realcom/support.js';

let simulator: SimulatorHandle | undefined;
const peers: RawPeer[] = [];

afterEach(async () => {
  for (const peer of peers.splice(0)) await peer.close();
  await simulator?.close();
  simulator = undefined;
});

/** What the device tells of its own accord is no answer. */
const UNASKED = new Set([ASPP_CMD_POLLING, ASPP_CMD_NOTIFY]);

/** The codes that frames begin with: those of the commands that they answer. */
function answers(decoder: FrameDecoder, bytes: Uint8Array): number[] {
  return decoder
    .decode(bytes)
    .flatMap((frame) => (UNASKED.has(frame.bytes[0] ?? 0) ? [] : [...frame.bytes.subarray(0, 1)]));
}

/** The connections of a section, each with what the host sent and what it was answered. */
function connections(section: readonly Segment[]): Segment[][] {
  const all: Segment[][] = [];
  for (const segment of section) {
    if (segment.direction === 'connect') all.push([]);
    else all.at(-1)?.push(segment);
  }
  return all.filter((connection) => connection.length > 0);
}

async function dial(port: number): Promise<RawPeer> {
  const peer = await RawPeer.connect(port);
  peers.push(peer);
  return peer;
}

async function replay(line: { commandPort: number; dataPort: number }, connection: readonly Segment[]): Promise<void> {
  const command = await dial(line.commandPort);
  const data = await dial(line.dataPort);
  const commands = new CommandDecoder();
  const frames = new FrameDecoder();
  const got: number[] = [];
  const asked: number[] = [];
  for (const { direction, bytes } of connection) {
    if (direction !== 'sent') continue;
    command.send(bytes);
    // ALIVE is an answer itself.
    const codes = commands.decode(bytes).flatMap((decoded) => [...decoded.bytes.subarray(0, 1)]);
    asked.push(...codes.filter((code) => code !== ASPP_CMD_ALIVE));
    await command.until(() => {
      got.push(...answers(frames, command.unread));
      void command.take(command.unread.length);
      return got.length >= asked.length || command.ended;
    });
  }
  expect(got).toEqual(asked);
  const captured = new FrameDecoder();
  const told = connection.flatMap(({ direction, bytes }) => (direction === 'received' ? answers(captured, bytes) : []));
  // The capture may end before the last answer.
  expect(got.slice(0, told.length)).toEqual(told);
  await command.close();
  await data.close();
}

test.each([...capture()])('%s', async (_name, section) => {
  simulator = await runSimulator({ dataPort: 0, commandPort: 0 });
  const all = connections(section);
  expect(all.length).toBeGreaterThan(0);
  for (const connection of all) await replay(simulator.port(1), connection);
});
