// The part of node-pty that program.ts uses. The prebuilt distribution declares its types under its own name only.
declare module 'node-pty' {
  export interface Disposable {
    dispose(): void;
  }
  export interface Pty {
    readonly pid: number;
    /** The master. Non-blocking. */
    readonly fd: number;
    onData(listener: (data: Buffer) => void): Disposable;
    onExit(listener: (exit: { exitCode: number; signal?: number }) => void): Disposable;
    write(data: string): void;
    pause(): void;
    resume(): void;
    kill(signal?: string): void;
    destroy(): void;
  }
  export function spawn(
    file: string,
    args: string[],
    options: { encoding: null; cwd?: string; env?: Record<string, string | undefined>; name?: string },
  ): Pty;
}
