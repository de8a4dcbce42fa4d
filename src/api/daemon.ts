// What the control server asks of the daemon: the contract of types.ts as calls. The daemon implements it and knows no
// HTTP; the control server knows nothing else of the daemon. Listeners are called on the event loop and never throw.
import type {
  PortView,
  ReloadResult,
  SerialPortView,
  StatusView,
  TraceRecord,
  UsbipResult,
  WatchEvent,
} from './types.js';

export interface DaemonControl {
  status(): StatusView;
  ports(): PortView[];
  /** This machine's serial ports that are offered, by number. */
  serialPorts(): SerialPortView[];
  /** The text that Prometheus reads. */
  metrics(): string;
  /** By name or alias. */
  port(name: string): PortView | undefined;
  /**
   * Never rejects for a bad configuration: that is a result with `ok: false`.
   * @param choose whether the backend of this tty, where the configuration leaves it to the daemon, is chosen again
   * @param asker from which address it is asked, over the network: a list that would shut it out is refused, unless by force
   */
  reload(
    choose?: (tty: string) => boolean,
    asker?: { readonly address?: string | undefined; readonly force?: boolean },
  ): Promise<ReloadResult>;
  /** Unplugs the virtual adapters, and plugs them in again. Returns how many there are. */
  usbip(action: 'suspend' | 'resume'): UsbipResult;
  /** Changes from now on; the caller has asked `ports()` for what is. Returns what ends it. */
  watch(listener: (event: WatchEvent) => void): () => void;
  /** By name or alias; the caller has made sure that it exists. Returns what ends it. */
  trace(name: string, listener: (record: TraceRecord) => void): () => void;
  /** Of a serial port, by number, over reloads too; the caller has made sure that it exists. Returns what ends it. */
  traceSerialPort(port: number, listener: (record: TraceRecord) => void): () => void;
}
