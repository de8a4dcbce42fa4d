// What AT&W keeps, and where: files in a directory, which may be missing or in the way.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { KeptModemProfiles } from '../../src/daemon/served/modem-profiles.js';
import type { EthernetModemOptions } from '../../src/serve/ethernet-modem-options.js';
import { endsOfTests } from '../support/leftovers.js';
import { modemRig, OK } from '../support/modem-rig.js';

const ends = endsOfTests();
const rig = (options: Partial<EthernetModemOptions> = {}) => modemRig(ends, options);

describe('AT&W', () => {
  test('is there for the next server of the port, in a file; where there is no directory it is an error', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'modem-'));
    ends.push(() => rmSync(directory, { recursive: true, force: true }));
    const first = await rig({ profiles: new KeptModemProfiles(directory).of(3) });
    await first.asks('ATE0V0S0=2&W', '0\r');
    expect(readdirSync(directory)).toEqual(['ethernet-modem-3.json']);
    const next = await rig({ profiles: new KeptModemProfiles(directory).of(3) });
    next.line.send('ATS0?\r');
    expect(await next.sees('0\r')).toBe('002\r\n0\r');
    writeFileSync(join(directory, 'ethernet-modem-3.json'), '{"flags":{');
    expect(new KeptModemProfiles(directory).of(3).kept).toBeUndefined();
    const nowhere = await rig({ profiles: new KeptModemProfiles(join(directory, 'none')).of(1) });
    await nowhere.asks('AT&W', 'ERROR\r\n');
    const alone = new KeptModemProfiles(undefined);
    const forgetful = await rig({ profiles: alone.of(1) });
    await forgetful.asks('ATS0=4&W', OK);
    expect([alone.of(1).kept?.registers[0], alone.of(2).kept]).toEqual([4, undefined]);
  });

  test('where it cannot be written it is an error, nothing is left half written, and ATZ brings back what was there', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'modem-'));
    ends.push(() => rmSync(directory, { recursive: true, force: true }));
    const { asks } = await rig({ profiles: new KeptModemProfiles(directory).of(1) });
    await asks('ATE0S0=7&W', OK);
    rmSync(join(directory, 'ethernet-modem-1.json'));
    mkdirSync(join(directory, 'ethernet-modem-1.json', 'taken'), { recursive: true });
    expect(await asks('ATS0=9&W', 'R\r\n')).toBe('\r\nERROR\r\n');
    expect(readdirSync(directory)).toEqual(['ethernet-modem-1.json']);
    expect(await asks('ATZS0?', OK)).toBe(OK);
    expect(await asks('ATS0?', OK)).toBe(`\r\n007\r\n${OK}`);
  });

  test('programs that write the same at each start do not wear out the disk', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'modem-'));
    ends.push(() => rmSync(directory, { recursive: true, force: true }));
    const { asks } = await rig({ profiles: new KeptModemProfiles(directory).of(1) });
    const path = join(directory, 'ethernet-modem-1.json');
    await asks('ATE0S0=7&W', OK);
    const file = () => {
      const { ino, mtimeNs } = statSync(path, { bigint: true });
      return [ino, mtimeNs];
    };
    const first = file();
    await asks('AT&W&W&W', OK);
    expect(file()).toEqual(first);
    // What is gone, or is another, is written.
    writeFileSync(path, 'spoilt');
    await asks('AT&W', OK);
    expect(new KeptModemProfiles(directory).of(1).kept?.registers[0]).toBe(7);
    rmSync(path);
    await asks('AT&W', OK);
    expect(new KeptModemProfiles(directory).of(1).kept?.registers[0]).toBe(7);
  });
});
