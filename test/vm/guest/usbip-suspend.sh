# What happens when the machine goes to sleep, without the sleep itself: sleep.target cannot be started by hand, so another target
# wants the unit that it wants. Sourced after lib.sh.

usbip_suspend() {
  systemctl enable --quiet --now ttynp-usbip.socket
  [ "$(readlink /etc/systemd/system/sleep.target.wants/ttynp-usbip-sleep.service)" = /lib/systemd/system/ttynp-usbip-sleep.service ]
  write_config 2
  cat >> /etc/ttynp/ttynp.yaml <<Y
  sleepy: { address: 127.0.0.1, ports: 1, firstTty: ttyNP8, dataPort: 4950, commandPort: 4966, backend: usbip }
Y
  systemctl reload ttynpd
  await "[ -c /dev/ttyNP8 ]"
  printf '[Unit]\nStopWhenUnneeded=no\nWants=ttynp-usbip-sleep.service\nAfter=ttynp-usbip-sleep.service\n' > /run/systemd/system/asleep.target
  systemctl daemon-reload
  systemctl start asleep.target
  [ ! -e /dev/ttyNP8 ]
  not grep -hE '^(hs|ss) +[0-9]+ 006' /sys/devices/platform/vhci_hcd.0/status
  systemctl stop asleep.target
  await "[ -c /dev/ttyNP8 ]"
  rm /run/systemd/system/asleep.target
  write_config 2
  systemctl reload ttynpd
  await '[ ! -e /dev/ttyNP8 ]'
}
