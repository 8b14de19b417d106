#!/usr/bin/env bash
# packages.sh LIST...: make sure that the packages of these lists are installed. A line of a list is a package and
# the proof that it is there: a command, an absolute path or python3:MODULE.
# With root on Debian or Ubuntu it installs the missing ones, elsewhere it says in one line what is missing.
set -euo pipefail

present() {
    case "$1" in
        /*) [ -e "$1" ] ;;
        python3:*) python3 -c "import ${1#python3:}" 2>/dev/null ;;
        *) PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v "$1" >/dev/null ;;
    esac
}

missing=()
while read -r package proof; do
    present "$proof" || missing+=("$package")
done < <(sed -e '/^#/d' -e '/^$/d' "$@")
[ "${#missing[@]}" -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Please install: ${missing[*]} (names of Debian packages; as root on Debian or Ubuntu this is done for you)." >&2
    exit 1
fi
echo "Installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { apt-get -q update && apt-get -q install -y --no-install-recommends "${missing[@]}"; } </dev/null >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "apt-get could not install ${missing[*]}; all that it said is in $log." >&2
    exit 1
fi
rm -f "$log"
