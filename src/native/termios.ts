// Reads and sets the termios of a terminal, any rate included (TCGETS2, TCSETS2). What they mean is serial/termios.
import { binding, type RawTermios } from './binding.js';

/** The shape of serial/termios. */
export type KernelTermios = Readonly<Omit<RawTermios, 'cc'>> & { readonly cc: readonly number[] };

/** On a PTY master: the slave's. Throws a SystemError. */
export function getTermios(fd: number): KernelTermios {
  return binding.getTermios(fd);
}

export function setTermios(fd: number, termios: KernelTermios): void {
  binding.setTermios(fd, { ...termios, cc: [...termios.cc] });
}
