// JSON that carries bytes: a Uint8Array anywhere in a value is written as { "$bytes": base64 } and comes back as one. What a
// process leaves to the next one is written so. Never meant for what a peer sends.

/** Rejects nothing that JSON.stringify takes; undefined members are left out, as there. */
export function stringifyWithBytes(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) => {
    if (isBytesAsJson(member)) return { $bytes: Buffer.from(member.data).toString('base64') };
    if (member instanceof Uint8Array) return { $bytes: Buffer.from(member).toString('base64') };
    return member;
  });
}

/** Throws a SyntaxError. */
export function parseWithBytes(text: string): unknown {
  return JSON.parse(text, (_, member: unknown) =>
    isRecord(member) && typeof member.$bytes === 'string'
      ? new Uint8Array(Buffer.from(member.$bytes, 'base64'))
      : member,
  );
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

/** A Buffer, which has made itself this before the replacer sees it. */
const isBytesAsJson = (value: unknown): value is { readonly data: readonly number[] } =>
  isRecord(value) && value.type === 'Buffer' && Array.isArray(value.data);
