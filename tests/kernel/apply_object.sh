#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# tests/kernel/apply_object.sh WEIR
#
# A policy compiled to an object for the netfilter hooks, which Debian's libbpf does not know by
# name, put in force by weir: it decides, lists and counts as the ruleset would, and goes again.
set -eu
[ "$(id -u)" = 0 ] || { echo "needs root"; exit 77; }
if [ "${2-}" != inside ]; then
  exec unshare -n "$0" "$1" inside
fi
weir=$1
name=object-test-$$
work=$(mktemp -d)
trap '"$weir" release "$name" > /dev/null 2>&1 || true; rm -rf "$work"' EXIT
elements=$(seq -s, 2 2 200 | sed 's/\([0-9]*\)/127.0.7.\1/g')
cat > "$work/host.nft" <<RULES
table inet host {
  set blocked { type ipv4_addr; elements = { $elements }; }
  chain input {
    type filter hook input priority 0; policy accept;
    ip daddr @blocked counter drop
  }
}
RULES

answers() { ping -c 1 -W 1 "$1" > /dev/null; }
expect() { # what, command...
  what=$1
  shift
  "$@" && return
  echo "expected: $what"
  exit 1
}

ip link set lo up
"$weir" compile "$work/host.nft" -o "$work/host.o" > /dev/null
expect "it answers before" answers 127.0.7.4
"$weir" apply "$work/host.o" --name "$name" > /dev/null
expect "an address of the set is dropped" sh -c '! ping -c 1 -W 1 127.0.7.4 > /dev/null'
expect "another one answers" answers 127.0.7.5
"$weir" list "$name" > "$work/list"
expect "the rule is listed as written, with what it counted" \
  grep -q 'ip daddr @blocked counter packets 1 bytes 84 drop' "$work/list"
"$weir" status "$name" > "$work/status"
expect "both protocols have their program" [ "$(grep -c 'netfilter:input ipv' "$work/status")" = 2 ]
"$weir" release "$name" > /dev/null
expect "it answers behind it" answers 127.0.7.4

"$weir" compile "$work/host.nft" --hook xdp -o "$work/xdp.o" > /dev/null
if "$weir" apply "$work/xdp.o" --hook tc:ingress@lo --name "$name" 2> "$work/said"; then
  echo "expected: an object for XDP is refused at TC"
  exit 1
fi
expect "it says what it was compiled for" grep -q 'compiled for hook xdp, not for tc' "$work/said"
cp "$weir" "$work/other.o"
if "$weir" apply "$work/other.o" --name "$name" 2> "$work/said"; then
  echo "expected: a file that weir did not make is refused"
  exit 1
fi
expect "it says whose it is not" grep -q 'was not made by weir' "$work/said"
echo "an object decided at netfilter hooks, was listed with its counters, and went"
