# The benchmark's part in the guest. Sourced after lib.sh. Two sides, c (the emulator) and d (the daemon): the same ttys under
# /run/bench/c and /run/bench/d, numbered, all plugged in at once, and one far end for both.
programs=/run/bench-programs

# The emulator comes first: once the daemon's helper has plugged something in, the kernel authorises no device by itself.
bench_emulator() {
  mkdir -p $programs /run/bench/c /run/bench/d
  cp client far-end emulator $programs
  modprobe -a vhci_hcd ftdi_sio
  systemd-run --quiet --unit far-end $programs/far-end 5950 6066
  systemd-run --quiet --unit emulator $programs/emulator 5950 17
  await '[ "$(ls -d /sys/class/tty/ttyUSB* | wc -l)" = 17 ]'
  local tty interface serial
  for tty in /sys/class/tty/ttyUSB*; do
    interface=$(dirname "$(readlink -f "$tty/device")")
    serial=$(cat "$interface/../serial")
    ln -s "/dev/$(basename "$tty")" "/run/bench/c/$((15 * ${serial#bench} + 0x$(cat "$interface/bInterfaceNumber")))"
  done
  udevadm settle
}

bench_daemon() {
  local n
  systemctl enable --quiet --now ttynp-usbip.socket
  cat > /etc/ttynp/ttynp.yaml <<Y
version: 1
runtimeDir: /run/ttynp
servers:
  many: { address: 127.0.0.1, ports: 16, firstTty: ttyNP0, dataPort: 5950, commandPort: 6066, backend: usbip }
  one: { address: 127.0.0.1, ports: 1, firstTty: ttyNP16, dataPort: 5966, commandPort: 6082, backend: usbip }
Y
  systemctl reload ttynpd
  for n in $(seq 0 16); do
    await "[ -c /dev/ttyNP$n ]"
    ln -s "/dev/ttyNP$n" "/run/bench/d/$n"
  done
  udevadm settle
}

# bench_round SIDE SIDE: "SIDE NAME VALUE" lines. The client lets the sides take short turns; 16 ports at once are one side's.
bench_round() {
  local side dirs=("/run/bench/$1" "/run/bench/$2")
  $programs/client rtt 1 1000 "${dirs[@]}"
  $programs/client rtt 64 1000 "${dirs[@]}"
  $programs/client write 300000 4 "${dirs[@]}"
  $programs/client read 300000 4 "${dirs[@]}"
  for side in "${dirs[@]}"; do $programs/client many 92000 4 "$side"; done
}

ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"; }

# Ticks of processor time (100 are a second) in ten seconds.
idle_ticks() {
  local before
  sleep 3
  before=$(ticks "$1")
  sleep 10
  echo $(($(ticks "$1") - before))
}

bench_idle() {
  local side pid
  for side in c d; do
    pid=$([ $side = c ] && systemctl show -p MainPID --value emulator || main_pid)
    echo "$side idle-closed $(idle_ticks "$pid")"
    $programs/client hold 15 0 "/run/bench/$side" > /dev/null &
    echo "$side idle-open $(idle_ticks "$pid")"
    wait
  done
}
