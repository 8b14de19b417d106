# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host's crontabs as bytes and lines, after crontab(5) and anacrontab(5)."""

import re
import stat

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import gap
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import redis_dump, safe_files

# A crontab is a page; what is larger was not written by an operator.
LIMIT = 4 * 1024 * 1024

SYSTEM_FILES = ("/etc/crontab", "/etc/anacrontab")
SYSTEM_DIRECTORY = "/etc/cron.d"
USER_DIRECTORIES = ("/var/spool/cron", "/var/spool/cron/crontabs", "/var/spool/cron/tabs")

_ASSIGNMENT = re.compile(rb"\s*[\"']?[A-Za-z_][A-Za-z0-9_]*[\"']?\s*=")


class Crontab:
    """One crontab.

    ``path``: str; ``content``: bytes; ``lines``: list of bytes with their line ends (joined, they are the content);
    ``dumps``: list of :class:`redis_dump.Dump` in it; ``droppable``: a file of its own in a directory of jobs.
    """

    def __init__(self, path, content):
        self.path = path
        self.content = content
        self.lines = split_lines(content)
        self.dumps = redis_dump.find_dumps(content, lambda offset: offset == 0 or content[offset - 1:offset] == b"\n")
        self.droppable = path.startswith(SYSTEM_DIRECTORY + "/")


def split_lines(content):
    """Return the lines of bytes with their ends, as cron sees them: it ends a line at a line feed only."""
    parts = content.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def is_job(line):
    """Tell whether a line is one that cron would run: neither blank, comment nor assignment."""
    stripped = line.strip()
    return bool(stripped) and not stripped.startswith(b"#") and not _ASSIGNMENT.match(stripped)


def read_crontabs(finder, host_root="/"):
    """Return ``(crontabs, gaps)``: all that the host has.

    :param finder: :class:`path_patterns.PathFinder`, lists the directories.
    """
    paths = list(SYSTEM_FILES)
    for directory in (SYSTEM_DIRECTORY,) + USER_DIRECTORIES:
        paths.extend(directory + "/" + name for name in finder.names(directory))
    crontabs = []
    gaps = []
    for path in paths:
        try:
            found = safe_files.lstat(path, host_root)
            if found is None or stat.S_ISDIR(found.st_mode):
                continue
            crontabs.append(Crontab(path, safe_files.read_bytes(path, LIMIT, host_root)))
        except safe_files.FileMissing:
            continue
        except ResponseError as error:
            gaps.append(gap(path, error.message, error.hint or "Look at this crontab by hand."))
    return crontabs, gaps


def names_path(line, path, below=False):
    """Tell whether a line names ``path`` (bytes) as a whole, not as a part of a longer one.

    :param below: what lies below the path counts too.
    """
    start = line.find(path)
    while start >= 0:
        before = line[start - 1:start] if start else b""
        after = line[start + len(path):start + len(path) + 1]
        inside = after == b"/" and below
        if not re.match(rb"[\w./~-]", before) and (inside or not re.match(rb"[\w/.-]", after)):
            return True
        start = line.find(path, start + 1)
    return False
