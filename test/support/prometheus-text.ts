// Reads Prometheus' text format 0.0.4 by its grammar, and throws at what breaks it. For tests that look at metrics.

export interface ReadSample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export interface ReadMetrics {
  types: Record<string, string>;
  samples: ReadSample[];
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = '([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\\\\n]|\\\\\\\\|\\\\"|\\\\n)*)"';

export function parsePrometheus(text: string): ReadMetrics {
  if (text !== '' && !text.endsWith('\n')) throw new Error('the last line does not end');
  const read: ReadMetrics = { types: {}, samples: [] };
  for (const line of text.split('\n').slice(0, -1)) {
    const type = new RegExp(`^# TYPE (${NAME}) (counter|gauge|histogram)$`).exec(line);
    const help = new RegExp(`^# HELP (${NAME}) `).test(line);
    if (type) {
      if (read.types[type[1] ?? ''] !== undefined) throw new Error(`${type[1]} has two types`);
      read.types[type[1] ?? ''] = type[2] ?? '';
    } else if (!help) {
      read.samples.push(readSample(line));
    }
  }
  return read;
}

function readSample(line: string): ReadSample {
  const match = new RegExp(`^(${NAME})(?:\\{((?:${LABEL},?)*)\\})? (\\S+)$`).exec(line);
  if (!match) throw new Error(`no sample: ${line}`);
  const labels: Record<string, string> = {};
  for (const [, key = '', value = ''] of (match[2] ?? '').matchAll(new RegExp(LABEL, 'g'))) {
    labels[key] = value.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
  }
  const number = match.at(-1) ?? '';
  const value =
    number === '+Inf' ? Number.POSITIVE_INFINITY : number === '-Inf' ? Number.NEGATIVE_INFINITY : Number(number);
  if (Number.isNaN(value)) throw new Error(`no number: ${line}`);
  return { name: match[1] ?? '', labels, value };
}

/** The value of the one sample with this name and at least these labels. */
export function sampleValue(read: ReadMetrics, name: string, labels: Record<string, string> = {}): number | undefined {
  const found = read.samples.filter(
    (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
  if (found.length > 1) throw new Error(`${name} ${JSON.stringify(labels)} is not one sample`);
  return found[0]?.value;
}
