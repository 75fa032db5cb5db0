#!/bin/sh
# Sees to the servers that tests put before the service or behind it: what Debian's packages bring, if they are missing.
set -eu

PATH=$PATH:/usr/sbin
missing=
for program in haproxy nginx pgbouncer; do
    command -v "$program" >/dev/null || missing="$missing $program"
done
# Reads the alerts and the dashboard.
command -v promtool >/dev/null || missing="$missing prometheus"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Some tests need$missing, and are skipped without." >&2
    echo "On Debian: sudo apt-get install$missing" >&2
    exit 1
fi
echo "Installing$missing"
# Only the programs: the packages would start servers of their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    trap 'rm -f $policy' EXIT
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
