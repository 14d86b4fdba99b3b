#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The tour (`make demo`): an office ruleset is checked, compiled and run over a capture; then, as
# root, enforced between network namespaces joined by veth while real clients try to pass. Says who
# got through, and fails when that is not who should.
#   examples/demo.sh [PATH OF weir]
set -euo pipefail
cd "$(dirname "$0")"
weir=$(realpath "${1:-../build/bin/weir}")

heading() { printf '\n=== %s\n' "$*"; }
run() { printf '$ %s\n' "$*" | sed "s|$weir|weir|; s|^. in_ns [^ ]* |$ |"; "$@"; }

heading "What becomes of each rule"
run "$weir" check office.nft

heading "The programs"
run "$weir" compile office.nft

heading "Over a capture, without touching the network"
run "$weir" test office.nft --hook netfilter:forward --pcap office.pcap --iif lan0 --oif wan0

if [ "$(id -u)" != 0 ]; then
  heading "Left out, for lack of root"
  echo "enforcing office.nft at the netfilter hooks and edge-xdp.nft at XDP, with real traffic"
  exit 0
fi

# ---- Three namespaces: a LAN, the firewall, the world --------------------------------------------

tag=weir-demo-$$
lan=$tag-lan fw=$tag-fw wan=$tag-wan
policies=()
servers=()
work=$(mktemp -d)

# `ip netns exec` would hide the BPF file system; nsenter does not.
in_ns() { local name=$1; shift; nsenter --net="/run/netns/$name" "$@"; }

cleanup() {
  local policy server name
  for policy in "${policies[@]}"; do in_ns "$fw" "$weir" release "$policy" >/dev/null 2>&1 || true; done
  for server in "${servers[@]}"; do kill "$server" 2>/dev/null || true; done
  for name in "$lan" "$fw" "$wan"; do ip netns delete "$name" 2>/dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT

join() {  # NAMESPACE DEVICE NAMESPACE DEVICE
  ip -n "$1" link add "$2" type veth peer name "$4" netns "$3"
  local side
  for side in "$1 $2" "$3 $4"; do
    # shellcheck disable=SC2086
    set -- $side
    ip -n "$1" link set "$2" up
  done
}

address() {  # NAMESPACE DEVICE ADDRESS...
  local name=$1 device=$2 each
  shift 2
  for each in "$@"; do
    case $each in
      *:*) ip -n "$name" addr add "$each" dev "$device" nodad ;;
      *) ip -n "$name" addr add "$each" dev "$device" ;;
    esac
  done
}

build_network() {
  local name
  for name in "$lan" "$fw" "$wan"; do
    ip netns add "$name"
    ip -n "$name" link set lo up
  done
  join "$lan" eth0 "$fw" lan0
  join "$wan" eth0 "$fw" wan0
  # A desk, an administrator, the web server, a printer, and an address that is not of this LAN.
  address "$lan" eth0 10.1.0.50/24 10.1.0.10/24 10.1.0.20/24 10.1.0.200/24 10.9.9.9/32 \
    2001:db8:1::50/64
  address "$fw" lan0 10.1.0.1/24 2001:db8:1::1/64
  address "$fw" wan0 203.0.113.1/24 2001:db8:f::1/64
  # A host of the world, and one that is on the office's black list.
  address "$wan" eth0 203.0.113.2/24 198.51.100.7/32 2001:db8:f::2/64
  ip -n "$lan" route add default via 10.1.0.1
  ip -n "$lan" -6 route add default via 2001:db8:1::1
  ip -n "$wan" route add default via 203.0.113.1
  ip -n "$wan" -6 route add default via 2001:db8:f::1
  ip -n "$fw" route add 198.51.100.0/24 via 203.0.113.2
  ip -n "$fw" route add 10.9.9.9/32 dev lan0
  in_ns "$fw" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward
    echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
    for device in all lan0 wan0; do echo 0 >/proc/sys/net/ipv4/conf/$device/rp_filter; done'
}

serve() {  # NAMESPACE PORT...
  local name=$1 log=$work/$1
  shift
  in_ns "$name" python3 traffic.py serve "$@" >"$log" 2>&1 &
  servers+=($!)
  for _ in $(seq 100); do
    grep -qs ready "$log" && return 0
    sleep 0.1
  done
  echo "the servers in $name do not start:" >&2
  cat "$log" >&2
  exit 1
}

# Fresh links take a moment until neighbours find one another.
settle() {
  for _ in $(seq 20); do
    if in_ns "$lan" ping -c 1 -W 1 203.0.113.2 >/dev/null 2>&1 &&
      in_ns "$lan" ping -c 1 -W 1 2001:db8:f::2 >/dev/null 2>&1; then return 0; fi
    sleep 0.3
  done
  echo "the namespaces do not reach one another" >&2
  exit 1
}

wrong=0
# expect passes|blocked DESCRIPTION NAMESPACE COMMAND...: whether real traffic gets through. What
# should pass may try again: a busy machine loses time, but no rule forgets to drop.
expect() {
  local expected=$1 what=$2 name=$3 got=blocked tries=1
  shift 3
  if [ "$expected" = passes ]; then tries=3; fi
  while [ "$tries" -gt 0 ] && [ "$got" = blocked ]; do
    tries=$((tries - 1))
    if in_ns "$name" "$@" >/dev/null 2>&1; then got=passes; fi
  done
  if [ "$got" = "$expected" ]; then
    printf '  %-8s %s\n' "$got" "$what"
  else
    printf '  %-8s %s   <-- WRONG: expected %s\n' "$got" "$what" "$expected"
    wrong=1
  fi
}
tcp() { echo python3 traffic.py tcp "$@"; }
udp() { echo python3 traffic.py udp "$@"; }
echo_to() { echo ping -c 1 -W 1 "$@"; }

# The commands above have no spaces within a word: splitting them is meant.
# shellcheck disable=SC2046
office_traffic() {
  local when=$1 blocked=$2
  echo "$when:"
  expect passes     "desk opens https://203.0.113.2"          "$lan" $(tcp 203.0.113.2 443 10.1.0.50)
  expect passes     "desk opens https over IPv6"              "$lan" $(tcp 2001:db8:f::2 443)
  expect passes     "desk asks DNS"                           "$lan" $(udp 203.0.113.2 53 10.1.0.50)
  expect passes     "desk pings the world"                    "$lan" $(echo_to 203.0.113.2)
  expect passes     "desk pings the world over IPv6"          "$lan" $(echo_to 2001:db8:f::2)
  expect passes     "administrator uses ssh outside"          "$lan" $(tcp 203.0.113.2 22 10.1.0.10)
  expect passes     "administrator uses ssh on the firewall"  "$lan" $(tcp 10.1.0.1 22 10.1.0.10)
  expect passes     "world reaches the web server"            "$wan" $(tcp 10.1.0.20 443)
  expect passes     "world pings the firewall"                "$wan" $(echo_to 203.0.113.1)
  expect passes     "firewall opens https://203.0.113.2"      "$fw"  $(tcp 203.0.113.2 443)
  expect "$blocked" "desk uses ssh outside"                   "$lan" $(tcp 203.0.113.2 22 10.1.0.50)
  expect "$blocked" "desk uses ssh on the firewall"           "$lan" $(tcp 10.1.0.1 22 10.1.0.50)
  expect "$blocked" "desk uses telnet"                        "$lan" $(tcp 203.0.113.2 23 10.1.0.50)
  expect "$blocked" "desk uses telnet over IPv6"              "$lan" $(tcp 2001:db8:f::2 23)
  expect "$blocked" "desk uses TFTP"                          "$lan" $(udp 203.0.113.2 69 10.1.0.50)
  expect "$blocked" "printer opens https://203.0.113.2"       "$lan" $(tcp 203.0.113.2 443 10.1.0.200)
  expect "$blocked" "spoofed 10.9.9.9 opens https"            "$lan" $(tcp 203.0.113.2 443 10.9.9.9)
  expect "$blocked" "world reaches ssh in the LAN"            "$wan" $(tcp 10.1.0.20 22)
  expect "$blocked" "world reaches https of a desk"           "$wan" $(tcp 10.1.0.50 443)
  expect "$blocked" "world reaches ssh on the firewall"       "$wan" $(tcp 203.0.113.1 22)
  expect "$blocked" "blocked 198.51.100.7 pings the firewall" "$wan" $(echo_to -I 198.51.100.7 203.0.113.1)
  expect "$blocked" "firewall uses telnet"                    "$fw"  $(tcp 203.0.113.2 23)
}

# shellcheck disable=SC2046
edge_traffic() {
  local when=$1 blocked=$2
  echo "$when:"
  expect passes     "world opens http on the firewall"          "$wan" $(tcp 203.0.113.1 80)
  expect passes     "world opens http over IPv6"                "$wan" $(tcp 2001:db8:f::1 80)
  expect passes     "world asks DNS of the firewall"            "$wan" $(udp 203.0.113.1 53)
  expect passes     "world pings the firewall"                  "$wan" $(echo_to 203.0.113.1)
  expect "$blocked" "world uses telnet"                         "$wan" $(tcp 203.0.113.1 23)
  expect "$blocked" "world uses telnet over IPv6"               "$wan" $(tcp 2001:db8:f::1 23)
  expect "$blocked" "blocked 198.51.100.7 opens http"           "$wan" $(tcp 203.0.113.1 80 198.51.100.7)
  expect "$blocked" "fragments of a large echo"                 "$wan" $(echo_to -s 4000 203.0.113.1)
}

heading "Enforced at the netfilter hooks: lan0 - firewall - wan0"
build_network
settle
serve "$wan" 22 23 25 53 69 80 443
serve "$lan" 22 443
serve "$fw" 22 23 53 80
office_traffic "Without rules" passes
policies+=(demo-office)
run in_ns "$fw" "$weir" apply office.nft --name demo-office
office_traffic "With the office's rules" blocked
run in_ns "$fw" "$weir" list demo-office
run in_ns "$fw" "$weir" status demo-office
run in_ns "$fw" "$weir" release demo-office
office_traffic "Released" passes

heading "Enforced at XDP: edge-xdp.nft on wan0"
edge_traffic "Without rules" passes
policies+=(demo-edge)
run in_ns "$fw" "$weir" apply edge-xdp.nft --hook xdp@wan0 --name demo-edge
edge_traffic "With the edge's rules" blocked
run in_ns "$fw" "$weir" list demo-edge
run in_ns "$fw" "$weir" release demo-edge
edge_traffic "Released" passes

echo
if [ "$wrong" = 1 ]; then
  echo "DEMO FAILED: some traffic did not do what was expected, see WRONG above"
  exit 1
fi
echo "All traffic did what was expected."
