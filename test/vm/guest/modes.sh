# The modes of serialPorts that dial, pair and connect by themselves, on serial ports of the kernel: four ttys of usbip whose lines null
# modems join two and two (device-server.mjs). Of each pair an application has one (ttyNP8, ttyNP10), and the daemon serves the other.
# Sourced after lib.sh, usbip-daemon.sh and usbip-ppp.sh.

# modes_are MODE AND OPTIONS OF PORT 1, THOSE OF PORT 2
modes_are() {
  write_config 2
  cat >> /etc/ttynp/ttynp.yaml <<Y
  usb: { address: 127.0.0.1, ports: 4, firstTty: ttyNP8, dataPort: 6950, commandPort: 6966, backend: usbip }
serialPorts:
  1: { device: /dev/ttyNP9, format: "115200,8N1", $1 }
  2: { device: /dev/ttyNP11, format: "115200,8N1", $2 }
Y
  systemctl reload ttynpd
  await "[ -c /dev/ttyNP8 ] && [ -c /dev/ttyNP11 ] && [ \$(ttynp ports --serial | grep -cE '^ *[12] +/dev/[^ ]+ +up ') -eq 2 ]"
}

modes_begin() {
  systemctl enable --quiet --now ttynp-usbip.socket
  device_server 4
  device_say 1 join 2
  device_say 3 join 4
  await "grep -q 'did join 4' $DEVICE.log"
  modes_modems
}
modes_modems() {
  local modem='mode: ethernet-modem, flowControl: rts-cts'
  modes_are "$modem, tcpPort: 7005" "$modem, tcpPort: 7006"
}
modes_app() { su member -c "python3 /mnt/host/modes.py $*"; }

# modem_end NAMESPACE TTY LOCAL:REMOTE, and chat(8)'s script to standard input
modem_end() {
  cat > "/run/$1.chat"
  ip netns add "$1"
  systemd-run --quiet --collect --unit "ppp-$1" ip netns exec "$1" \
    pppd "$2" 115200 "$3" modem crtscts noauth nodetach nodefaultroute noccp lcp-echo-interval 0 debug connect "chat -v -S -s -f /run/$1.chat"
}

# One end waits for a call, the other dials; then the caller ends, by its DTR and nothing else.
modes_ppp() {
  local outcome=0
  modprobe -a ppp_async
  modes_modems
  printf '%s\n' TIMEOUT 60 "'' ATS0=1 OK '\\c' CONNECT" | modem_end right /dev/ttyNP10 10.9.0.2:10.9.0.1
  {
    await "journalctl -b -u ppp-right | grep -F 'OK'" &&
      printf '%s\n' TIMEOUT 60 ABORT "'NO CARRIER'" ABORT ERROR "'' ATD127.0.0.1:7006 CONNECT" | modem_end left /dev/ttyNP8 10.9.0.1:10.9.0.2 &&
      await "ip netns exec left ip -4 address show dev ppp0 | grep -F 'inet 10.9.0.1 peer 10.9.0.2'" &&
      await "ip netns exec right ip -4 address show dev ppp0 | grep -F 'inet 10.9.0.2 peer 10.9.0.1'" &&
      python3 usbip-ppp.py left right 10.9.0.2 30000 &&
      systemctl kill --signal KILL ppp-left &&
      await "journalctl -b -u ppp-right | grep -F 'Modem hangup'" &&
      await "! systemctl is-active ppp-right" &&
      await "[ \$(ttynp ports --serial --json | grep -c '\"address\": \"127.0.0.1\"') -eq 0 ]"
  } || {
    outcome=1
    journalctl --no-pager -n 60 -u ppp-left -u ppp-right
  }
  systemctl stop ppp-left ppp-right 2>/dev/null || true
  ip netns del left || true
  ip netns del right || true
  return $outcome
}

modes_pair() {
  modes_are 'mode: pair-slave, tcpPort: 7005' 'mode: pair-master, destinations: ["127.0.0.1:7005"]'
  await "ttynp ports --serial --json | grep -F '\"address\": \"127.0.0.1\"'"
  modes_app pair
}

modes_tcp_client() {
  modes_are 'mode: tcp-client, destinations: ["127.0.0.1:7015"], connectionControl: dsr-on/dsr-off' \
    'mode: tcp-client, destinations: ["127.0.0.1:7016"], connectionControl: dcd-on'
  modes_app tcp-client
}

modes_arbitration() {
  modes_are 'mode: tcp-server, tcpPort: 7005, maxConnection: 2, packing: { forceTransmit: 100ms }, arbitrate: request-response, responseTimeout: 2s' 'mode: tcp-server, tcpPort: 7006'
  modes_app arbitration
  ttynp ports --serial --json | grep -A3 '"arbitrated"'
  [ "$(ttynp ports --serial --json | grep -cE '"(timeouts|late)": 0')" -eq 2 ]
}

modes_end() {
  write_config 2
  systemctl reload ttynpd
  await "[ ! -e /dev/ttyNP8 ] && ! ls /dev/ttyUSB*"
  systemctl stop device-server
}
