// Descriptors that outlive the process in the service manager's store: a file that keeps a port's state, and what kind of
// thing a descriptor is that came from there. Never reads or writes what is behind one.
import { binding } from './binding.js';

export type DescriptorKind = 'pty-master' | 'tty' | 'tcp' | 'tcp-listener' | 'unix' | 'memfd' | 'other';

/**
 * A file of so many zeros that lives only as long as somebody has it open (memfd_create(2)), close-on-exec. `name` shows in
 * /proc/PID/fd and means nothing else. The caller closes it. Throws a SystemError.
 */
export function createStateFile(name: string, bytes: number): number {
  return binding.createStateFile(name, bytes);
}

/** 'tcp' and 'unix' (a stream) are connections, or were. Throws a SystemError: EBADF. */
export function descriptorKind(fd: number): DescriptorKind {
  return binding.descriptorKind(fd) as DescriptorKind;
}

/** No program that this process starts gets it. Throws a SystemError: EBADF. */
export function setCloseOnExec(fd: number): void {
  binding.setCloseOnExec(fd);
}
