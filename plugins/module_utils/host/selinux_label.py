# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SELinux label that a file at some path ought to have.

The kernel labels a new file after its directory, which the policy's file contexts may want otherwise
(``sshd`` in ``/usr/sbin`` is ``sshd_exec_t``, not ``bin_t``); what an intruder left is no model.
"""

import collections
import ctypes
import os
import stat

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import safe_files

ATTRIBUTE = "security.selinux"
_MOUNT = "/sys/fs/selinux/enforce"
_NEIGHBOURS = 200


def default_label(path, host_root="/", mount=_MOUNT, library="libselinux.so.1"):
    """Return the value of ``security.selinux`` (bytes) for a regular file at ``path``, or ``None`` without SELinux.

    From the policy by matchpathcon(3), where its library is there; otherwise the label that most regular files beside
    it have.

    :param mount: a file that exists where the kernel enforces or permits by a policy.
    """
    if not os.path.exists(mount):
        return None
    label = _of_policy(path, library) if host_root == "/" else None
    return label or _of_neighbours(path, host_root)


def _of_policy(path, library):
    try:
        selinux = ctypes.CDLL(library, use_errno=True)
    except OSError:
        return None
    context = ctypes.c_char_p()
    if selinux.matchpathcon(safe_files.path_bytes(path), stat.S_IFREG, ctypes.byref(context)) != 0 or not context.value:
        return None
    label = context.value + b"\0"
    selinux.freecon(context)
    return label


def _of_neighbours(path, host_root):
    directory, own, _real = safe_files.open_parent(path, host_root)
    labels = collections.Counter()
    try:
        for name in sorted(os.listdir(directory))[:_NEIGHBOURS]:
            entry = "/proc/self/fd/%d/%s" % (directory, name)
            if name == safe_files.path_text(own) or not stat.S_ISREG(os.lstat(entry).st_mode):
                continue
            try:
                labels[os.getxattr(entry, ATTRIBUTE, follow_symlinks=False)] += 1
            except OSError:
                continue  # no label, or gone meanwhile
    finally:
        os.close(directory)
    return labels.most_common(1)[0][0] if labels else None
