// The text format, read back by a parser that follows its grammar and knows nothing of the formatter.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Family, formatMetrics, Histogram } from '../../../src/observe/prometheus.js';
import { parsePrometheus } from '../../support/prometheus-text.js';

test('a family: help, type, one line per sample', () => {
  const text = formatMetrics([
    {
      name: 'ttynp_port_sent_bytes_total',
      help: "Bytes that the device's TCP took.",
      type: 'counter',
      samples: [{ labels: { tty: 'ttyNP0', server: 'boiler-house' }, value: 412 }],
    },
    { name: 'ttynp_ports', help: 'Ports.', type: 'gauge', samples: [{ value: 16 }] },
    { name: 'ttynp_nothing', help: 'Left out.', type: 'gauge', samples: [] },
  ]);
  expect(text).toBe(`# HELP ttynp_port_sent_bytes_total Bytes that the device's TCP took.
# TYPE ttynp_port_sent_bytes_total counter
ttynp_port_sent_bytes_total{tty="ttyNP0",server="boiler-house"} 412
# HELP ttynp_ports Ports.
# TYPE ttynp_ports gauge
ttynp_ports 16
`);
});

test('a histogram cumulates its buckets and counts what is above the last one', () => {
  const histogram = new Histogram([0.001, 0.01, 0.1]);
  for (const value of [0.0005, 0.001, 0.05, 7]) histogram.observe(value);
  const text = formatMetrics([
    { name: 'x_seconds', help: 'X.', type: 'histogram', samples: [{ labels: { tty: 'a' }, histogram }] },
  ]);
  expect(text.split('\n').slice(2, -1)).toEqual([
    'x_seconds_bucket{tty="a",le="0.001"} 2',
    'x_seconds_bucket{tty="a",le="0.01"} 2',
    'x_seconds_bucket{tty="a",le="0.1"} 3',
    'x_seconds_bucket{tty="a",le="+Inf"} 4',
    'x_seconds_sum{tty="a"} 7.0515',
    'x_seconds_count{tty="a"} 4',
  ]);
});

describe('whatever a name or a value is', () => {
  test('labels and values come back as they were', () => {
    const word = fc.stringMatching(/^[a-z_][a-z0-9_]{0,8}$/);
    const labels = fc.dictionary(word, fc.string({ unit: 'binary' }), { noNullPrototype: true });
    const value = fc.oneof(fc.double({ noNaN: true }), fc.nat());
    fc.assert(
      fc.property(fc.array(fc.record({ labels, value }), { minLength: 1 }), fc.string(), (samples, help) => {
        const family: Family = { name: 'ttynp_x', help, type: 'gauge', samples };
        const read = parsePrometheus(formatMetrics([family]));
        expect(read.types).toEqual({ ttynp_x: 'gauge' });
        expect(read.samples.map(({ labels, value }) => [labels, value === 0 ? 0 : value])).toEqual(
          samples.map(({ labels, value }) => [labels, value === 0 ? 0 : value]),
        );
      }),
    );
  });

  test('a histogram of any observations: buckets never fall, the last one is the count', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 10, noNaN: true })), (observed) => {
        const histogram = new Histogram([0.01, 0.1, 1]);
        for (const value of observed) histogram.observe(value);
        const { samples } = parsePrometheus(
          formatMetrics([{ name: 'x', help: '', type: 'histogram', samples: [{ histogram }] }]),
        );
        const buckets = samples.filter(({ name }) => name === 'x_bucket');
        const expected = [0.01, 0.1, 1, Number.POSITIVE_INFINITY].map((le) => observed.filter((v) => v <= le).length);
        expect(buckets.map(({ value }) => value)).toEqual(expected);
        expect(samples.find(({ name }) => name === 'x_count')?.value).toBe(observed.length);
      }),
    );
  });
});
