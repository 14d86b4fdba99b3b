#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# tests/kernel/load_object.sh WEIR LOAD_OBJECT
#
# Compiles a ruleset to an object for XDP and for TC, puts it in force with the example that knows
# libbpf only, and sees that packets of a large set are dropped as long, and others are not.
set -eu
[ "$(id -u)" = 0 ] || { echo "needs root"; exit 77; }
if [ "${3-}" != inside ]; then
  exec unshare -n "$0" "$1" "$2" inside
fi
weir=$1
load_object=$2
work=$(mktemp -d)
peer=
trap 'exec 9>&-; [ -z "$peer" ] || kill "$peer"; rm -rf "$work"' EXIT

# More elements than become code, so that the object has to carry them as data.
elements=$(seq -s, 2 2 200 | sed 's/\([0-9]*\)/10.77.0.\1/g')
cat > "$work/edge.nft" <<RULES
table inet edge {
  set blocked { type ipv4_addr; elements = { $elements }; }
  chain input {
    type filter hook input priority 0; policy accept;
    ip saddr @blocked counter drop
  }
}
RULES

unshare -n sleep 120 &
peer=$!
while [ "$(readlink /proc/$peer/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do sleep 0.05; done
ip link add v0 type veth peer name v1
ip link set v1 netns "$peer"
ip addr add 10.77.0.1/24 dev v0
ip link set v0 up
nsenter -t "$peer" -n sh -c "ip addr add 10.77.0.2/24 dev v1; ip addr add 10.77.0.3/24 dev v1; \
  ip link set v1 up"

answers() { ping -c 1 -W 1 "$1" > /dev/null; }
expect() { # what, command...
  what=$1
  shift
  if ! "$@"; then
    echo "expected: $what"
    cat "$work/said"
    exit 1
  fi
}

for hook in xdp tc:ingress; do
  "$weir" compile "$work/edge.nft" --hook "$hook" -o "$work/edge.o" > /dev/null
  expect "$hook: both answer before" answers 10.77.0.2
  mkfifo "$work/input"
  # Emptied here: the loader's shell does it too, but only after the fifo has let this one go on.
  : > "$work/said"
  "$load_object" "$work/edge.o" v0 < "$work/input" > "$work/said" 2>&1 &
  loader=$!
  exec 9> "$work/input"
  tries=0
  until grep -q "in force" "$work/said"; do
    tries=$((tries + 1))
    expect "$hook: the object loads" [ "$tries" -lt 100 ]
    sleep 0.1
  done
  expect "$hook: 10.77.0.2, of the set, is dropped" sh -c '! ping -c 1 -W 1 10.77.0.2 > /dev/null'
  expect "$hook: 10.77.0.3, not of the set, answers" answers 10.77.0.3
  exec 9>&-
  wait "$loader"
  expect "$hook: the counter counted" grep -q '^counter 0: [1-9]' "$work/said"
  expect "$hook: all answer behind it" answers 10.77.0.2
  rm "$work/input"
done
echo "an object with a set of 100 addresses decided at XDP and TC, loaded by libbpf alone"
