# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The image of the practice hosts: a Debian 12 tree by mmdebstrap, kept between runs, and a Containerfile on top."""

import hashlib
import os
import tempfile

from .base import CACHE, RANGE, RangeError, lock, run, say

RECIPE = RANGE / "image"
SUITE = "bookworm"
# Raise it to have everybody's cached tree built anew.
GENERATION = "1"


def ensure():
    """Make sure the image exists and return its name. Without network when the tree is in the cache."""
    with lock(CACHE / "image.lock"):
        packages = _packages()
        base_key = _key(GENERATION, SUITE, *packages)
        tree = CACHE / ("base-%s.tar" % base_key)
        base = "localhost/ecsops-range-base:%s" % base_key
        parts = [(RECIPE / name).read_text(encoding="utf-8") for name in ("Containerfile", "prepare.sh")]
        image = "localhost/ecsops-range:%s" % _key(base_key, *parts)
        if _exists(image):
            return image
        if not _exists(base):
            if not tree.exists():
                _bootstrap(packages, tree)
            say("importing the Debian tree")
            run(["podman", "import", tree, base])
        say("preparing the image %s" % image)
        with tempfile.TemporaryDirectory() as scratch:
            # Isolation "chroot" starts no container: a build needs nothing of the network or of cgroups.
            run(["podman", "build", "--isolation", "chroot", "--network", "host", "--pull=never",
                 "--build-arg", "BASE=" + base, "--tag", image, "--iidfile", os.path.join(scratch, "id"), RECIPE])
        return image


def _packages():
    lines = (RECIPE / "packages.txt").read_text(encoding="ascii").splitlines()
    return sorted(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def _key(*parts):
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _exists(image):
    return run(["podman", "image", "exists", image], check=False).returncode == 0


def _bootstrap(packages, tree):
    say("building a Debian tree with %d packages (half a minute and more, mostly network)" % len(packages))
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        # mmdebstrap's unprivileged helpers must be able to reach its output and options.
        os.chmod(scratch, 0o755)
        options = os.path.join(scratch, "apt.conf")
        with open(options, "w", encoding="ascii") as stream:
            stream.write(_apt_options())
        made = os.path.join(scratch, "base.tar")
        argv = ["mmdebstrap", "--variant=minbase", "--include=" + ",".join(packages), "--aptopt=" + options,
                # The machine's proxies and clocks are no business of the hosts.
                "--customize-hook=rm -f $1/etc/apt/apt.conf.d/99mmdebstrap", SUITE, made]
        sources = _apt_sources()
        if sources:
            argv.append(sources)
        run(argv, timeout=3600)
        if os.path.getsize(made) < 50 * 1024 * 1024:
            raise RangeError("mmdebstrap made a tree that is too small: %s" % made)
        os.replace(made, tree)


def _apt_sources():
    """Return this machine's own sources for the suite in apt's one-line form; mmdebstrap's default when it has none."""
    done = run(["apt-get", "indextargets", "--format", "$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)",
                "Created-By: Packages"], check=False)
    lines = []
    for line in done.stdout.splitlines():
        origin, address, release, component = (line.split("|") + [""] * 4)[:4]
        wanted = release in (SUITE, SUITE + "-updates", SUITE + "-security")
        if origin == "Debian" and wanted and component == "main":
            lines.append("deb %s %s %s" % (address, release, component))
    if not any(" %s main" % SUITE in line for line in lines):
        return ""
    return "\n".join(lines)


def _apt_options():
    """Return how this machine's apt reaches its mirror: proxies, certificates, checks of dates."""
    wanted = ("Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries", "Acquire::ForceIPv4")
    dump = run(["apt-config", "dump"], check=False).stdout
    return "".join(line + "\n" for line in dump.splitlines() if line.startswith(wanted))
