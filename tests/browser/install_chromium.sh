#!/bin/sh
# Puts a Chromium in place for the tests in this folder, where that is possible. Where it is not,
# this says so and the tests skip.
set -u

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then
        echo "browser tests: $(command -v "$name")"
        exit 0
    fi
done
if ! command -v apt-get >/dev/null; then
    echo "browser tests: no Chromium, and no apt-get to install one with; they will be skipped"
elif [ "$(id -u)" != 0 ]; then
    echo "browser tests: no Chromium; they will be skipped. Install one: sudo apt-get install chromium"
elif apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null; then
    echo "browser tests: installed $(command -v chromium)"
else
    echo "browser tests: Chromium could not be installed; they will be skipped"
fi
