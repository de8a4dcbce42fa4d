# What the root helper lets in, and what it does not. Sourced after lib.sh; the checks in run.sh name the functions. The device is
# usbip-client.mjs: the daemon's own code, as the daemon's user and in a sandbox such as the daemon's.

client_say() { echo "$1" > /run/usbip-client.in; }
refusals() { journalctl -b --no-pager -o cat -u ttynp-usbip | grep -cF 'not let in: interface 0 has class 03'; }
free_vhci_ports() { cat /sys/devices/platform/vhci_hcd.0/status* | grep -cE '^(hs|ss) +[0-9]+ +004 '; }
input_devices() { find /sys/class/input -mindepth 1 | sort; }
write_names() { printf '%s\n' "$@" > /run/ttynp/usbip-names; chown ttynp /run/ttynp/usbip-names; }

# usbip_client SERIAL INTERFACES SPEED [unit suffix]
usbip_client() {
  local unit=usbip-client${4:-}
  systemctl stop "$unit" 2>/dev/null || true
  systemctl reset-failed "$unit" 2>/dev/null || true
  rm -f "/run/$unit.in"
  mkfifo -m 666 "/run/$unit.in"
  cp /mnt/host/usbip-client.mjs /run/
  systemd-run --quiet --unit "$unit" -p User=ttynp -p PrivateUsers=yes -p ProtectSystem=strict -p CapabilityBoundingSet= \
    -p ProtectKernelTunables=yes -p PrivateNetwork=yes \
    /bin/sh -c "exec /usr/lib/ttynp/node/bin/node /run/usbip-client.mjs $1 $2 $3 <> /run/$unit.in"
}
stop_client() { systemctl stop "usbip-client${1:-}"; }

usbip_disabled_until_wanted() {
  not systemctl is-enabled ttynp-usbip.socket
  not ls /run/ttynp-usbip.sock
  systemctl enable --quiet --now ttynp-usbip.socket
  [ "$(stat -c '%U %a' /run/ttynp-usbip.sock)" = 'ttynp 600' ]
}

usbip_attach() {
  mkdir -p /run/ttynp
  write_names 'alpha 0 ttyVA0 meter' 'alpha 14 ttyVA14'
  usbip_client alpha 15 any
  await '[ -c /dev/ttyVA14 ] && [ -c /dev/meter ]'
  await "journalctl -b -o cat -u ttynp-usbip | grep -F 'alpha: port 0 (high speed): plugged in, 15 ttys'"
  [ "$(stat -Lc '%G %a' /dev/ttyVA0)" = 'dialout 660' ]
  su member -c 'python3 /mnt/host/usbip-echo.py /dev/ttyVA14'
  not su stranger -c 'exec 3<>/dev/ttyVA0'
  udevadm info /dev/ttyVA0 | grep -F ID_MM_PORT_IGNORE=1
  udevadm info /sys/devices/platform/vhci_hcd.0/usb1/1-1 | grep -F ID_MM_DEVICE_IGNORE=1
  [ "$(cat /sys/devices/platform/vhci_hcd.0/usb1/1-1/power/control)" = on ]
  # No other driver has any of it.
  for driver in /sys/devices/platform/vhci_hcd.0/usb1/1-1/1-1:1.*/driver; do [ "$(basename "$(readlink -f "$driver")")" = ftdi_sio ]; done
}

usbip_only_for_the_daemon() {
  not su member -c "/usr/lib/ttynp/node/bin/node /run/usbip-client.mjs beta 2 any < /dev/null"
  su member -c "/usr/lib/ttynp/node/bin/node /run/usbip-client.mjs beta 2 any < /dev/null" | grep -F 'may not ask the usbip helper'
  # Root has the socket's file, and is refused by who it is.
  /usr/lib/ttynp/node/bin/node /run/usbip-client.mjs beta 2 any < /dev/null | grep -F 'PERMISSION: user 0 '
  not su ttynp -s /bin/sh -c 'echo 1 > /sys/devices/platform/vhci_hcd.0/attach'
}

usbip_names_follow() {
  write_names 'alpha 0 ttyVA1 meter' 'alpha 1 ttyVA0' 'alpha 2 null log ../etc fd ttyVA2'
  client_say names
  await '[ "$(readlink /dev/ttyVA1)" = ttyUSB0 ] && [ "$(readlink /dev/ttyVA0)" = ttyUSB1 ] && [ -L /dev/ttyVA2 ]'
  [ "$(readlink /dev/meter)" = ttyUSB0 ]
  await '[ ! -L /dev/ttyVA14 ]'
  # What is somebody else's in /dev stays so.
  [ "$(stat -c %t:%T /dev/null)" = 1:3 ]
  [ "$(readlink /dev/log)" = /run/systemd/journal/dev-log ]
  [ "$(readlink /dev/fd)" = /proc/self/fd ]
}

# An application that holds a dead tty keeps its number: the new device gets others, and the names follow it.
usbip_renumbering() {
  write_names 'alpha 0 ttyVA0' 'alpha 1 ttyVA1'
  client_say names
  await '[ "$(readlink /dev/ttyVA0)" = ttyUSB0 ] && [ "$(readlink /dev/ttyVA1)" = ttyUSB1 ]'
  sleep 300 3< /dev/ttyVA0 &
  holder=$!
  await "[ -e /proc/$holder/fd/3 ]"
  client_say again
  # The same interface has the name, whatever its number is.
  await '[ -L /dev/ttyVA0 ] && [ "$(readlink /dev/ttyVA0)" != ttyUSB0 ] && [ -c /dev/ttyVA1 ]' || { kill $holder; return 1; }
  udevadm settle
  for n in 0 1; do
    [ "$(udevadm info -q property /dev/ttyVA$n | sed -n 's/^ID_USB_INTERFACE_NUM=//p')" = 0$n ]
    su member -c "python3 /mnt/host/usbip-echo.py /dev/ttyVA$n"
  done
  kill $holder
  wait $holder 2>/dev/null || true
}

usbip_gone() {
  stop_client
  await '[ ! -L /dev/ttyVA0 ] && [ ! -L /dev/ttyVA1 ]'
  not ls /dev/ttyUSB0
}

# The control: without the helper the kernel takes the keyboard. With it, there is none.
usbip_keyboard() {
  local before refused
  cp /mnt/host/usbip-keyboard.py /run/
  modprobe -a usbhid hid-generic
  before=$(input_devices)
  refused=$(refusals || true)
  su ttynp -s /bin/sh -c 'timeout 30 python3 /run/usbip-keyboard.py helper alpha' > /run/keyboard.log
  cat /run/keyboard.log
  grep -F '"ok":true' /run/keyboard.log
  grep -F 'the kernel let go of it' /run/keyboard.log
  await "[ \$(refusals) -gt $refused ]"
  [ "$(input_devices)" = "$before" ]
  for hub in /sys/devices/platform/vhci_hcd.0/usb*/; do
    [ -d "$hub" ] && [ -e "$hub/authorized_default" ] || continue
    echo 1 > "$hub/authorized_default"
    echo 1 > "$hub/interface_authorized_default"
  done
  # ftdi_sio would take it first, since it knows our ids. The next start of the helper loads it again.
  systemctl stop ttynp-usbip.service
  rmmod ftdi_sio
  timeout 60 python3 /run/usbip-keyboard.py direct alpha > /dev/null &
  local keyboard=$!
  await "[ \"\$(find /sys/class/input -mindepth 1 | sort)\" != \"$before\" ]" || { kill $keyboard; return 1; }
  kill $keyboard
  wait $keyboard || true
  await "[ \"\$(find /sys/class/input -mindepth 1 | sort)\" = \"$before\" ]"
}

# Both speeds, 20 times.
usbip_no_leak() {
  local free
  free=$(free_vhci_ports)
  write_names 'alpha 1 ttyVA0' 'beta 1 ttyVB0'
  for n in $(seq 20); do
    if [ "$n" = 1 ]; then
      usbip_client alpha 2 high
      usbip_client beta 2 super 2
    else
      echo again > /run/usbip-client.in
      echo again > /run/usbip-client2.in
    fi
    await "[ \"\$(journalctl -b -o cat -u usbip-client | grep -c attached)\" -ge $n ] && [ \$(ls /dev/ttyUSB* | wc -l) = 4 ] && [ -c /dev/ttyVA0 ] && [ -c /dev/ttyVB0 ]"
    [ "$(free_vhci_ports)" -eq $((free - 2)) ]
    udevadm settle
  done
  ls -l /dev/ttyUSB*
  stop_client
  stop_client 2
  await "[ \"\$(cat /sys/devices/platform/vhci_hcd.0/status* | grep -cE '^(hs|ss) +[0-9]+ +004 ')\" -eq $free ]"
  await '! ls /dev/ttyUSB*'
  # Minors are given back too: the next device begins at 0 again.
  usbip_client alpha 1 any
  await '[ -c /dev/ttyUSB0 ]'
  stop_client
}

usbip_helper_ends_by_itself() {
  await '! systemctl is-active ttynp-usbip.service'
  systemctl is-active ttynp-usbip.socket
}
