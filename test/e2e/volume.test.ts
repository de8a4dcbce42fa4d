// Much through one port: the device sends 64 MB and takes 64 MB, while the application's reader stops now and then. Each
// side hashes what it sent and what it got; nobody's memory grows with what is on the way.
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { Whole } from '../support/e2e.js';
import { Python } from '../support/e2e-python.js';

const MEGABYTES = 64;

const APPLICATION = `
import hashlib, threading, random
def volume(path, megabytes):
    s = serial.Serial(path, 921600, timeout=20)
    sent, got = hashlib.sha256(), hashlib.sha256()
    total = megabytes << 20
    def write():
        for i in range(megabytes):
            block = os.urandom(1 << 20)
            sent.update(block)
            s.write(block)
    t = threading.Thread(target=write)
    t.start()
    have, pauses = 0, 0
    while have < total:
        if have // (4 << 20) > pauses:
            pauses += 1
            time.sleep(0.1)
        part = s.read(min(65536, total - have))
        if not part: break
        got.update(part)
        have += len(part)
    t.join()
    s.close()
    return [have, sent.hexdigest(), got.hexdigest()]
`;

test(`${MEGABYTES} MB out and back with a reader that stops now and then: byte-exact, memory bounded`, async () => {
  const atDevice = createHash('sha256');
  let arrived = 0;
  const whole = await Whole.start({
    simulator: {
      unpaced: true,
      observer: () => ({
        transmitted: (bytes) => {
          arrived += bytes.length;
          atDevice.update(bytes);
        },
      }),
    },
    tty: { disconnectDelay: '50ms' },
  });
  const python = new Python();
  try {
    await python.run(APPLICATION);
    const before = whole.daemon.memory;
    const result = await python.run(`volume(${JSON.stringify(whole.path())}, ${MEGABYTES})`, 120_000);
    const far = atDevice.digest('hex');
    expect(result).toEqual([MEGABYTES << 20, far, far]);
    expect(arrived).toBe(MEGABYTES << 20);
    expect(whole.daemon.memory - before).toBeLessThan(32 * 1024 * 1024);
    const { drops, sent, received, connects } = await whole.port();
    expect({ sent: sent.bytes, received: received.bytes, connects }).toEqual({
      sent: arrived,
      received: arrived,
      connects: 1,
    });
    expect(drops).toMatchObject({ offline: 0, held: 0, flushed: 0, closing: 0, linkLost: 0, unread: 0, stale: 0 });
  } finally {
    await python.close();
    await whole.close();
  }
}, 150_000);
