# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Capabilities of a file, from the text that rpm records to the bytes that the kernel keeps.

The text is that of cap_from_text(3); the bytes are the xattr ``security.capability``, ``struct vfs_cap_data``
of revision 2 in the kernel's ``include/uapi/linux/capability.h``, little-endian on all machines.
"""

import re
import struct

NAMES = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
    "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
    "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
    "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
    "checkpoint_restore",
)
_NUMBERS = {"cap_" + name: number for number, name in enumerate(NAMES)}

_REVISION_2 = 0x02000000
_EFFECTIVE = 0x000001
_CLAUSE = re.compile(r"^([a-z0-9_,]*)((?:[=+-][eip]*)+)$")


def from_text(capabilities):
    """Return the value of ``security.capability`` for a text as ``cap_net_raw=ep``; ``b""`` for none.

    :raises ValueError: the text is not one of cap_from_text(3).
    """
    sets = {"e": set(), "i": set(), "p": set()}
    for clause in capabilities.lower().split():
        match = _CLAUSE.match(clause)
        if not match:
            raise ValueError("not capabilities: %s" % capabilities)
        names = [name for name in match.group(1).split(",") if name]
        if set(names) - set(_NUMBERS) - {"all"}:
            raise ValueError("unknown capabilities: %s" % capabilities)
        everything = not names or "all" in names
        numbers = set(range(len(NAMES))) if everything else {_NUMBERS[name] for name in names}
        for operator, flags in re.findall("([=+-])([eip]*)", match.group(2)):
            for flag, present in sets.items():
                if operator == "=" or (operator == "-" and flag in flags):
                    present -= numbers
                if operator != "-" and flag in flags:
                    present |= numbers
    if not any(sets.values()):
        return b""
    permitted, inheritable = (sum(1 << number for number in sets[flag]) for flag in "pi")
    magic = _REVISION_2 | (_EFFECTIVE if sets["e"] else 0)
    return struct.pack("<IIIII", magic, permitted & 0xffffffff, inheritable & 0xffffffff,
                       permitted >> 32, inheritable >> 32)
