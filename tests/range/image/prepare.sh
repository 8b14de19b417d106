#!/bin/sh
# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Makes a practice host out of a bare Debian tree: runs once, inside the image.
set -eu

# A privileged container shares its kernel with the controller. What would reach through to it stays off: kernel
# parameters, the audit switch, TRIM of its disks, its random seed, its pstore, its modules, its consoles.
systemctl -q mask \
    systemd-sysctl.service systemd-journald-audit.socket fstrim.service fstrim.timer e2scrub_reap.service \
    e2scrub_all.service e2scrub_all.timer systemd-random-seed.service systemd-pstore.service \
    systemd-modules-load.service systemd-remount-fs.service systemd-udevd.service systemd-udev-trigger.service \
    systemd-binfmt.service systemd-update-utmp.service systemd-firstboot.service systemd-machine-id-commit.service \
    console-getty.service getty@.service getty.target sys-kernel-config.mount sys-kernel-debug.mount \
    sys-kernel-tracing.mount sys-fs-fuse-connections.mount dev-hugepages.mount \
    proc-sys-fs-binfmt_misc.automount

# Nothing may change the host behind the tests' back.
systemctl -q mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer
# Whoever wants Redis configures it first: out of the box it would have no password.
systemctl -q disable redis-server.service

# Each host makes its own host key at its first start.
rm -f /etc/ssh/ssh_host_*
: > /etc/machine-id
cat > /etc/systemd/system/ssh-host-key.service <<'UNIT'
[Unit]
Description=First SSH host key
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key

[Install]
WantedBy=ssh.service
UNIT
systemctl -q enable ssh-host-key.service

# Many connections from one address at once (forks, several test runs) are ordinary here.
printf 'MaxStartups 200:30:400\nMaxSessions 50\nUseDNS no\n' > /etc/ssh/sshd_config.d/practice.conf

# A second way in: an ordinary account that becomes root by sudo.
# Debian has a group of that name already.
useradd --create-home --shell /bin/bash --gid operator operator
printf 'operator ALL=(ALL:ALL) NOPASSWD: ALL\n' > /etc/sudoers.d/operator
chmod 0440 /etc/sudoers.d/operator
