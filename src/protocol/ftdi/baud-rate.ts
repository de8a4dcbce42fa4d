// The divisor of an FTDI high-speed chip, and the rate that an application meant by it. The driver rounds; so a code that it
// gives to a usual rate means that rate, and any other is computed. Source: drivers/usb/serial/ftdi_sio.c
// (ftdi_2232h_baud_base_to_divisor and ftdi_232bm_baud_base_to_divisor).

const HIGH_SPEED_CLOCK = 12_000_000;
const CLOCK = 3_000_000;
/** Bit 17 of a code: the high-speed clock. */
const HIGH_SPEED = 0x20000;
/** The driver uses the high-speed clock from this rate on. */
const HIGH_SPEED_FROM = 1200;
/** Eighths 0..7 as the chip numbers them. */
const EIGHTHS = [0, 3, 2, 4, 1, 5, 6, 7];

const USUAL = [
  50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 7200, 9600, 14_400, 19_200, 28_800, 31_250, 38_400,
  56_000, 57_600, 76_800, 115_200, 128_000, 230_400, 250_000, 256_000, 460_800, 500_000, 576_000, 921_600, 1_000_000,
  1_152_000, 1_500_000, 2_000_000, 2_500_000, 3_000_000, 3_500_000, 4_000_000,
];

/** The 18 bits that the driver sends for a rate: wValue is the low 16, the rest is above the port in wIndex. */
export function divisorCode(baudRate: number): number {
  const fast = baudRate >= HIGH_SPEED_FROM;
  // As the driver, in eighths, rounded to the nearest.
  const base = fast ? HIGH_SPEED_CLOCK * 8 : CLOCK * 8;
  const eighths = Math.floor((base + Math.floor(baudRate / 2)) / baudRate);
  let code = (eighths >> 3) | ((EIGHTHS[eighths & 7] ?? 0) << 14);
  if (code === 1) code = 0;
  else if (code === 0x4001) code = 1;
  return fast ? code | HIGH_SPEED : code;
}

const MEANT: ReadonlyMap<number, number> = new Map(USUAL.map((rate) => [divisorCode(rate), rate]));

/** Bits per second. */
export function rateOfCode(code: number): number {
  const meant = MEANT.get(code);
  if (meant !== undefined) return meant;
  const clock = code & HIGH_SPEED ? HIGH_SPEED_CLOCK : CLOCK;
  const divisor = code & 0x3fff;
  const eighths = EIGHTHS.indexOf((code >> 14) & 7);
  if (divisor === 0 && eighths === 0) return clock;
  if (divisor === 1 && eighths === 0) return Math.round(clock / 1.5);
  return Math.round(clock / (divisor + eighths / 8));
}
