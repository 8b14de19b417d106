#!/usr/bin/env bash
# packages.sh PART...: make sure that the packages of requirements/debian.txt are there for these parts.
# With root on Debian or Ubuntu it installs the missing ones, elsewhere it says in one line what is missing.
set -euo pipefail

list="$(dirname "$0")/../../requirements/debian.txt"

present() {
    case "$1" in
        /*) [ -e "$1" ] ;;
        python3:*) python3 -c "import ${1#python3:}" 2>/dev/null ;;
        *) command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ] ;;
    esac
}

missing=()
for part in "$@"; do
    while read -r of package proof; do
        if [ "$of" = "$part" ] && ! present "$proof"; then
            missing+=("$package")
        fi
    done < "$list"
done
[ "${#missing[@]}" -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Missing for '$*': ${missing[*]} (names of Debian packages). Install them, or run as root on Debian or Ubuntu." >&2
    exit 1
fi
echo "Installing for '$*': ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { apt-get -q update && apt-get -q install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    echo "apt-get could not install: ${missing[*]}. Its log is $log." >&2
    exit 1
fi
rm -f "$log"
