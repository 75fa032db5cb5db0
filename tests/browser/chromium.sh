#!/bin/sh
# Sees to a Chromium and to letters for Chinese: what Debian's packages bring, if nothing is there.
set -eu

browser=${CHROMIUM:-/usr/bin/chromium}
if [ -x "$browser" ] && [ -n "$(fc-list :lang=zh family 2>/dev/null)" ]; then
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "The browser tests need Chromium and a Chinese font." >&2
    echo "On Debian: sudo apt-get install chromium fonts-noto-cjk fontconfig; elsewhere: CHROMIUM=<path>" >&2
    exit 1
fi
echo "Installing chromium and fonts-noto-cjk"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    chromium fonts-noto-cjk fontconfig >/dev/null
