// What a line was asked, in words: for the simulator's log and for traces. Never parsed by anything.
import { formatFlowControl, formatSettings } from '../serial/format.js';
import type { LineRequest } from '../serial/line.js';

export function describeRequest(request: LineRequest): string {
  switch (request.type) {
    case 'settings': {
      const flow = formatFlowControl(request.settings.flowControl);
      return `${formatSettings(request.settings)} flow ${flow} ${lines(request.lines)}`;
    }
    case 'lines':
      return lines(request.lines);
    case 'break':
      return `break ${request.on ? 'on' : 'off'}`;
    case 'flush':
      return `flush ${request.queue}`;
    case 'transmitter':
      return `transmitter ${request.on ? 'on' : 'off'}`;
    case 'fifo':
      return `fifo ${request.bytes}`;
    default:
      return request satisfies never;
  }
}

function lines({ dtr, rts }: { readonly dtr: boolean; readonly rts: boolean }): string {
  return `dtr ${dtr ? 'on' : 'off'} rts ${rts ? 'on' : 'off'}`;
}
