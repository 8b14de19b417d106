#!/usr/bin/python
# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read one slice of a file on the host; incident_step calls it to fetch big evidence."""

DOCUMENTATION = r"""
---
module: evidence_slice
short_description: Read a slice of a file on the host
version_added: 0.1.0
description:
  - The action plugin of this collection calls it to fetch evidence that is too big for one answer.
  - It only reads. A symbolic link is not followed, and what is no regular file is refused.
options:
  path:
    description: The file.
    type: str
    required: true
  offset:
    description: Where to begin, in bytes.
    type: int
    default: 0
  length:
    description: How many bytes at most.
    type: int
    default: 8388608
requirements:
  - Python 3.6 or later on the host
author:
  - The ecsops.intrusion_response contributors (@ecsops)
"""

EXAMPLES = r"""
- name: Read the first megabyte of a memory image
  ecsops.intrusion_response.evidence_slice:
    path: /var/lib/ecsops-quarantine/20260101T000000Z/evidence/deleted_exe/812-5533/exe
    length: 1048576
"""

RETURN = r"""
data:
  description: The bytes, compressed with zlib, in base64.
  returned: success
  type: str
"""

import base64
import os
import stat
import zlib

from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(
        argument_spec=dict(
            path=dict(type="str", required=True),
            offset=dict(type="int", default=0),
            length=dict(type="int", default=8 * 1024 * 1024),
        ),
        supports_check_mode=True,
    )
    path = module.params["path"]
    try:
        # O_NONBLOCK: opening a FIFO that took the file's place must not hang.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                module.fail_json(msg="%s is not a regular file." % path)
            stream.seek(module.params["offset"])
            data = stream.read(module.params["length"])
    except OSError as error:
        module.fail_json(msg="%s cannot be read: %s." % (path, error.strerror))
    module.exit_json(changed=False, data=base64.b64encode(zlib.compress(data, 1)).decode("ascii"))


if __name__ == "__main__":
    main()
