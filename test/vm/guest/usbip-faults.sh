# What may be done to the ttys of the usbip backend from outside: modules removed, the daemon killed, the helper not there, devices in and out.
# Sourced after lib.sh and usbip-daemon.sh, with the ttys of usbip_daemon there.

# A program that holds a tty, and says when it was hung up. It keeps the descriptor of the dead tty until it is told to go.
hold() {
  rm -f /run/held
  mkfifo /run/held.go 2>/dev/null || true
  python3 usbip-hold.py "$1" /run/held /run/held.go &
  await "grep -q holds /run/held"
}
let_go() { echo > /run/held.go; wait; }
hung_up() { await "grep -q 'hung up' /run/held"; }

# Bytes through the tty of a port come out at that port and at no other, and back.
right_port() {
  from=$(device_mark)
  su member -c "python3 /mnt/host/talk.py /dev/ttyNP$1"
  tail -c +$((from + 1)) $DEVICE.log | grep -oE 'port [0-9]+: sent' | sort -u | diff - <(echo "port $(($1 - 7)): sent")
}
right_interface() { [ "$(udevadm info -q property "/dev/ttyNP$1" | sed -n 's/^ID_USB_INTERFACE_NUM=//p')" = "0$(($1 - 8))" ]; }
journal_mark() { cursor=$(journalctl -u ttynpd -n 1 -o cat --show-cursor | sed -n 's/^-- cursor: //p'); }
daemon_lines() { journalctl --sync; journalctl -u ttynpd -o cat --after-cursor "$cursor" | grep -F "$1"; }
awaited_names() { await "[ -c /dev/ttyNP8 ] && [ -c /dev/ttyNP9 ] && [ -c /dev/ttyNP14 ]"; udevadm settle; }

# The controllers go, under an application: it is hung up, and they come again by the same names, though it keeps the dead tty.
usbip_controller_removed() {
  local old
  old=$(main_pid)
  journal_mark
  hold /dev/ttyNP8
  rmmod vhci_hcd
  hung_up
  await '[ ! -e /dev/ttyNP8 ] && [ ! -e /dev/ttyNP14 ]'
  await "ttynp port ttyNP8 | grep -F 'vhci_hcd is not loaded'"
  sleep 3
  modprobe vhci_hcd
  awaited_names
  # The number of the dead one is taken: another has it now, the name is right.
  [ "$(readlink /dev/ttyNP8)" != ttyUSB0 ]
  for n in 8 9 14; do right_interface $n; right_port $n; done
  let_go
  [ "$(main_pid)" = "$old" ]
  # One line for each thing that was so, however often it was tried.
  daemon_lines 'no kernel device'
  [ "$(daemon_lines 'no kernel device' | sort | uniq -d | wc -l)" -eq 0 ]
  [ "$(daemon_lines 'no kernel device' | wc -l)" -le 2 ]
}

# The driver goes: the kernel has the device still, and no tty of it.
usbip_driver_removed() {
  local old
  old=$(main_pid)
  journal_mark
  # Not while somebody has one open.
  await 'rmmod ftdi_sio'
  await '[ ! -e /dev/ttyNP8 ] && ! ls /dev/ttyUSB*'
  sleep 1
  modprobe ftdi_sio
  awaited_names
  for n in 8 9 14; do right_interface $n; right_port $n; done
  [ "$(main_pid)" = "$old" ]
  daemon_lines 'no kernel device'
  [ "$(daemon_lines 'no kernel device' | wc -l)" -le 2 ]
}

# Whoever may plug in does not answer: why is said, and it comes by itself when it may.
usbip_refused() {
  usbip_no_ttys
  journal_mark
  systemctl disable --quiet --now ttynp-usbip.socket
  systemctl stop ttynp-usbip.service
  usbip_config 7
  systemctl reload ttynpd
  await "ttynp port ttyNP8 | grep -F 'systemctl enable --now ttynp-usbip.socket'"
  ttynp ports | grep ttyNP14 | grep -F 'no usbip helper listens'
  sleep 4
  [ "$(daemon_lines 'no usbip helper listens' | wc -l)" -eq 1 ]
  systemctl enable --quiet --now ttynp-usbip.socket
  awaited_names
  right_port 9
}

# Nothing is kept for the next: an application is hung up, and its name works again.
usbip_killed_without_store() {
  local old
  mkdir -p /etc/systemd/system/ttynpd.service.d
  printf '[Service]\nFileDescriptorStoreMax=0\n' > /etc/systemd/system/ttynpd.service.d/store.conf
  systemctl daemon-reload
  systemctl restart ttynpd
  awaited_names
  old=$(main_pid)
  hold /dev/ttyNP8
  kill -9 "$old"
  hung_up
  await "[ \$(main_pid) != $old ] && [ \$(main_pid) != 0 ] && systemctl is-active ttynpd"
  awaited_names
  for n in 8 9; do right_interface $n; right_port $n; done
  let_go
  rm /etc/systemd/system/ttynpd.service.d/store.conf
  systemctl daemon-reload
  systemctl restart ttynpd
  awaited_names
}

daemon_fds() { ls "/proc/$(main_pid)/fd" | wc -l; }
daemon_rss() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$(main_pid)/status"; }
free_vhci() { cat /sys/devices/platform/vhci_hcd.0/status* | grep -cE '^(hs|ss) +[0-9]+ +004 '; }

# 32 ports, three devices, in and out through the daemon.
usbip_32_ports() {
  local rounds=$1 free fds rss
  usbip_no_ttys
  free=$(free_vhci)
  fds=$(daemon_fds)
  for n in $(seq "$rounds"); do
    usbip_config 32
    systemctl reload ttynpd
    await '[ "$(ls /dev/ttyUSB* | wc -l)" = 32 ] && [ -c /dev/ttyNP8 ] && [ -c /dev/ttyNP39 ]'
    # Minors are given back: they begin at 0 each time.
    ls /dev/ttyUSB0 /dev/ttyUSB31 > /dev/null
    [ "$(free_vhci)" -eq $((free - 3)) ]
    # One of them is used.
    [ $((n % 5)) -ne 0 ] || su member -c "python3 /mnt/host/talk.py /dev/ttyNP8"
    usbip_no_ttys
    await "[ \"\$(cat /sys/devices/platform/vhci_hcd.0/status* | grep -cE '^(hs|ss) +[0-9]+ +004 ')\" -eq $free ]"
    # What a process takes once it takes in the first rounds.
    [ "$n" -gt 5 ] || rss=$(daemon_rss)
    echo "round $n: $(daemon_fds) descriptors, $(daemon_rss) kB"
  done
  await "[ \"\$(ls /proc/$(main_pid)/fd | wc -l)\" -le $fds ]"
  [ "$(daemon_rss)" -le $((rss + 16384)) ]
  usbip_ttys 7
}
