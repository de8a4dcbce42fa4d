// What is wrong with a command line: exit code 2, and where to read more.

export class UsageError extends Error {
  override readonly name = 'UsageError';
}
