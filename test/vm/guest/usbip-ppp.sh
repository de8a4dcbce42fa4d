# PPP between two ttys of the daemon, whose lines a null modem joins in device-server.mjs: each end in a network namespace of its
# own, so that there is no other way. Sourced after usbip-daemon.sh.

# ppp_end NAMESPACE TTY LOCAL:REMOTE
ppp_end() {
  ip netns add "$1"
  systemd-run --quiet --collect --unit "ppp-$1" ip netns exec "$1" \
    pppd "$2" 230400 "$3" local noauth nodetach nodefaultroute crtscts noccp lcp-echo-interval 0 debug
}

# usbip_ppp TTY TTY, of ports that are joined
usbip_ppp() {
  local outcome=0
  modprobe -a ppp_async
  ppp_end left "$1" 10.9.0.1:10.9.0.2
  ppp_end right "$2" 10.9.0.2:10.9.0.1
  {
    await "ip netns exec left ip -4 address show dev ppp0 | grep -F 'inet 10.9.0.1 peer 10.9.0.2'" &&
      await "ip netns exec right ip -4 address show dev ppp0 | grep -F 'inet 10.9.0.2 peer 10.9.0.1'" &&
      python3 usbip-ppp.py left right 10.9.0.2 30000
  } || { outcome=1; journalctl --no-pager -n 40 -u ppp-left -u ppp-right; }
  systemctl stop ppp-left ppp-right
  ip netns del left
  ip netns del right
  return $outcome
}
