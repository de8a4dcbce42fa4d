# The usbip backend through the installed service: ttys of the daemon at a device server of their own (device-server.mjs), and several
# programs at them at once. Sourced after lib.sh.

DEVICE=/run/device-server

# device_server PORTS
device_server() {
  rm -f $DEVICE.in
  mkfifo -m 666 $DEVICE.in
  cp /mnt/host/device-server.mjs /run/
  : > $DEVICE.log
  chmod a+r $DEVICE.log
  systemd-run --quiet --collect --unit device-server sh -c \
    "exec /usr/lib/ttynp/node/bin/node /run/device-server.mjs $1 6950 6966 <> $DEVICE.in > $DEVICE.log 2>&1"
  await "grep -q ready $DEVICE.log"
}
device_say() { echo "$*" > $DEVICE.in; }
# What it says from now on: await_device PATTERN, after `from=$(device_mark)`.
device_mark() { stat -c %s $DEVICE.log; }
await_device() { await "tail -c +$((from + 1)) $DEVICE.log | grep -E '$1'"; }

# usbip_config PORTS [OPTIONS]: /dev/ttyNP8 and so on
usbip_config() {
  write_config 2
  cat >> /etc/ttynp/ttynp.yaml <<Y
  usb: { address: 127.0.0.1, ports: $1, firstTty: ttyNP8, dataPort: 6950, commandPort: 6966, backend: usbip, needs: [parity, modem-lines, drain, break]${2:+, $2} }
Y
}
usbip_ttys() {
  usbip_config "$@"
  systemctl reload ttynpd
  await "[ -c /dev/ttyNP$((7 + $1)) ]"
}
usbip_no_ttys() {
  write_config 2
  systemctl reload ttynpd
  await "[ ! -e /dev/ttyNP8 ] && ! ls /dev/ttyUSB*"
}

# job NAME USER COMMAND: in the background. job_result NAME: its output, and its exit code.
job() {
  rm -f "/run/job-$1.rc"
  (su "$2" -c "cd /mnt/host; $3" > "/run/job-$1.out" 2>&1 && echo 0 > "/run/job-$1.rc" || echo $? > "/run/job-$1.rc") &
}
job_result() {
  await "[ -s /run/job-$1.rc ]" || true
  cat "/run/job-$1.out"
  return "$(cat "/run/job-$1.rc")"
}

# Each program has a port of its own.
usbip_daemon() {
  systemctl enable --quiet --now ttynp-usbip.socket
  device_server 7
  usbip_ttys 7 'closingWait: 3s'
  case $(readlink -f /dev/ttyNP8) in /dev/ttyUSB*) ;; *) return 1 ;; esac
  [ "$(stat -Lc "%G %a" /dev/ttyNP8)" = "dialout 660" ]
  device_say 5 join 6
  job ppp root "set -eu; . ./lib.sh; . ./usbip-ppp.sh; usbip_ppp /dev/ttyNP12 /dev/ttyNP13"
  job tools member "python3 usbip-tools.py /dev/ttyNP9 $DEVICE 2"
  job events member "./usbip-events /dev/ttyNP10 $DEVICE 3"
  job serialport member "/usr/lib/ttynp/node/bin/node usbip-serialport.mjs /dev/ttyNP11 $DEVICE 4"
  job close root "python3 usbip-close.py /dev/ttyNP14 $DEVICE 7 3 room held unread"
  su member -c "python3 /mnt/host/usbip.py /dev/ttyNP8 $DEVICE.log 1"
  ttynp port ttyNP8 > /run/ttyNP8.view
  grep -E "^ttyNP8 (idle|up|closing) " /run/ttyNP8.view
  grep -E "backend +usbip, as the configuration says" /run/ttyNP8.view
}
usbip_modbus() { su member -c "python3 /mnt/host/usbip-modbus.py /dev/ttyNP8 $DEVICE $1 $2"; }
usbip_end() {
  usbip_no_ttys
  systemctl stop device-server
}

# The same checks as of PTYs (restart.py), on ttys of the kernel with the same names.
usbip_restart() {
  systemctl enable --quiet --now ttynp-usbip.socket
  write_config 2 'backend: usbip'
  systemctl reload ttynpd
  await 'case $(readlink -f /dev/ttyNP1) in /dev/ttyUSB*) ;; *) false ;; esac'
  local status=0
  TTYNP_VM_BYTES=${BYTES:-500000} python3 restart.py "$1" || status=1
  write_config 2 'backend: pty'
  systemctl reload ttynpd
  await 'case $(readlink -f /dev/ttyNP1) in /dev/pts/*) ;; *) false ;; esac'
  return "$status"
}
