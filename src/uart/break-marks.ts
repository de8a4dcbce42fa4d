// Takes received breaks out of the bytes: with PARMRK the line discipline marks one as ff 00 00, and doubles an ff that is data. IGNBRK
// would be simpler, but where a USB driver's tty is fully raw the line discipline passes the NUL of a break on all the same.
// Source: termios(3), PARMRK; Linux, drivers/tty/n_tty.c.

const MARK = 0xff;

export class BreakMarks {
  /** Of a sequence that a read has cut. */
  #seen: 'none' | 'mark' | 'mark and zero' = 'none';

  get seen(): 'none' | 'mark' | 'mark and zero' {
    return this.#seen;
  }

  /** The reads go on behind those of another process. */
  goOn(seen: 'none' | 'mark' | 'mark and zero'): void {
    this.#seen = seen;
  }

  /** @returns the data; a view of `bytes` where there is no mark in them */
  remove(bytes: Uint8Array): Uint8Array {
    if (this.#seen === 'none' && !bytes.includes(MARK)) return bytes;
    const data = new Uint8Array(bytes.length + 1);
    let length = 0;
    for (const byte of bytes) {
      if (this.#seen === 'mark and zero') {
        // The third byte of a break is always 0; another is data, whatever came before it.
        this.#seen = 'none';
        if (byte !== 0) data[length++] = byte;
      } else if (this.#seen === 'mark') {
        this.#seen = byte === 0 ? 'mark and zero' : 'none';
        if (byte !== 0) data[length++] = byte;
      } else if (byte === MARK) this.#seen = 'mark';
      else data[length++] = byte;
    }
    return data.subarray(0, length);
  }

  /** The rest of a sequence was flushed. */
  reset(): void {
    this.#seen = 'none';
  }
}
