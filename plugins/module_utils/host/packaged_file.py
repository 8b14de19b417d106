# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a package database records of one file, the same for dpkg and rpm."""

import collections

# package: as the packager itself prints it, dpkg's binary:Package ("procps", "libc6:amd64") or rpm's NEVRA.
# path: as the package spells it, which on a merged /usr may differ from where it is looked for.
# algorithm, digest: hashlib's name and lower-case hex of the packaged bytes; None where nothing is recorded
#     (a link, a directory, a ghost file).
# config: True when an administrator may change it (a conffile, %config).
# link: where a packaged symbolic link points; None for other files, and for dpkg, which does not record it.
# mode (permission bits), uid, gid: ints or None where unknown. capabilities: bytes of the xattr
#     security.capability, b"" for "none", None where unknown.
PackagedFile = collections.namedtuple(
    "PackagedFile", "package path algorithm digest config link mode uid gid capabilities")
PackagedFile.__new__.__defaults__ = (None, None, False, None, None, None, None, None)
