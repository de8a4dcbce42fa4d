# A name has one owner, whichever backend its tty has at the time; and what happens when the machine goes to sleep, without the
# sleep itself: sleep.target cannot be started by hand, another unit wants what it wants. Sourced after lib.sh.

# owner_config OPTIONS: ttyNP8 with these, besides the ttys of before.
owner_config() {
  write_config 2
  cat >> /etc/ttynp/ttynp.yaml <<Y
  own: { address: 127.0.0.1, ports: 1, firstTty: ttyNP8, dataPort: 4953, commandPort: 4969, $1 }
Y
  systemctl reload ttynpd
}
is_udevs='case $(readlink /dev/ttyNP8) in ttyUSB*) [ -c /dev/ttyNP8 ] ;; *) false ;; esac'
is_a_ptys='[ "$(readlink /dev/ttyNP8)" = /run/ttynp/ttyNP8 ] && [ -c /dev/ttyNP8 ]'

# Leaves ttyNP8 to the next check.
usbip_suspend() {
  systemctl is-active --quiet ttynp-usbip.socket || systemctl enable --quiet --now ttynp-usbip.socket
  systemctl is-enabled --quiet ttynp-usbip-sleep.service
  owner_config 'backend: usbip'
  await "$is_udevs"
  systemd-run --quiet --unit asleep -p Wants=ttynp-usbip-sleep.service -p After=ttynp-usbip-sleep.service sleep 1000
  [ ! -e /dev/ttyNP8 ]
  not grep -hE '^(hs|ss) +[0-9]+ 006' /sys/devices/platform/vhci_hcd.0/status
  systemctl stop asleep
  await "$is_udevs"
}

usbip_owner() {
  systemctl is-active --quiet ttynp-usbip.socket || systemctl enable --quiet --now ttynp-usbip.socket
  owner_config 'backend: auto'
  await "$is_udevs"
  grep -A1 ttyNP8 /var/lib/ttynp/backends.json | grep usbip
  owner_config 'backend: pty'
  await "$is_a_ptys"
  not grep -q ttyNP8 /run/ttynp/usbip-names
  owner_config 'backend: usbip, group: tty, mode: "0640"'
  await "$is_udevs"
  [ "$(stat -Lc "%U %G %a" /dev/ttyNP8)" = "root tty 640" ]
  [ ! -L /run/ttynp/ttyNP8 ]
  if [ -n "${1:-}" ]; then
    ttynp doctor ttyNP8 | grep -E "ok +name +udev's: ttyUSB[0-9]+, interface 0 of ttynp0"
    owner_config 'backend: usbip, group: plugdev, mode: "0662"'
    await '[ "$(stat -Lc "%U %G %a" /dev/ttyNP8)" = "root plugdev 662" ]'
  fi
  write_config 2
  systemctl reload ttynpd
  await '[ ! -L /dev/ttyNP8 ]'
}
