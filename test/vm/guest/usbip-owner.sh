# A name has one owner, whichever backend its tty has at the time. Sourced after lib.sh.

# owner_config OPTIONS: ttyNP8 with these, besides the ttys of before.
owner_config() {
  write_config 2
  cat >> /etc/ttynp/ttynp.yaml <<Y
  own: { address: 127.0.0.1, ports: 1, firstTty: ttyNP8, dataPort: 4950, commandPort: 4966, $1 }
Y
  systemctl reload ttynpd
}
is_udevs='case $(readlink /dev/ttyNP8) in ttyUSB*) [ -c /dev/ttyNP8 ] ;; *) false ;; esac'
is_a_ptys='[ "$(readlink /dev/ttyNP8)" = /run/ttynp/ttyNP8 ] && [ -c /dev/ttyNP8 ]'

usbip_owner() {
  systemctl enable --quiet --now ttynp-usbip.socket
  owner_config 'backend: pty'
  await "$is_a_ptys"
  owner_config 'backend: usbip, group: tty, mode: "0640"'
  await "$is_udevs"
  [ "$(stat -Lc "%U %G %a" /dev/ttyNP8)" = "root tty 640" ]
  [ ! -L /run/ttynp/ttyNP8 ]
  owner_config 'backend: usbip, group: plugdev, mode: "0662"'
  await '[ "$(stat -Lc "%U %G %a" /dev/ttyNP8)" = "root plugdev 662" ]'
  ttynp doctor ttyNP8 | grep -E "ok +name +udev's: ttyUSB[0-9]+, interface 0 of ttynp0"
  owner_config 'backend: pty'
  await "$is_a_ptys"
  not grep -q ttyNP8 /run/ttynp/usbip-names
  write_config 2
  systemctl reload ttynpd
  await '[ ! -L /dev/ttyNP8 ]'
}
