# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names of a file: where a path leads inside another root, and how packages may spell it.

``host_root`` is ``/``, an image mounted elsewhere, or ``/proc/PID/root`` of a container. A symbolic link
that is absolute, or climbs with ``..``, must stay inside that root (path_resolution(7) after chroot(2));
the kernel, asked from outside, would lead it into our own file system. Whether a link may be *trusted*
is another question, which ``safe_files`` asks when it opens what was found here.

Paths go in as str or bytes and come out as str (``safe_files.path_text``).
"""

import errno
import os
import stat

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import safe_files
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.safe_files import path_bytes, path_text

# Directories that a distribution may have turned into a link to another (the merged /usr of Debian and
# Fedora; /usr/sbin into /usr/bin on Fedora 42): a package may name a file by either spelling.
_MERGEABLE = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/libo32", "/usr/sbin")

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def resolve(path, host_root="/", follow_final=False):
    """Return ``path`` without symbolic links on its way; what does not exist is kept as it is written.

    :param follow_final: resolve the last component too, when it is a link.
    :raises ResponseError: a loop of links, or no permission.
    """
    todo = _components(path)[::-1]
    names = []
    chain = []
    links = 0
    try:
        chain.append(os.open(path_bytes(host_root), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        while todo:
            name = todo.pop()
            if name == b"..":
                if names:
                    names.pop()
                    os.close(chain.pop())
                continue
            target = _link(chain[-1], name) if todo or follow_final else None
            if target is not None:
                links += 1
                if links > safe_files.MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                if target.startswith(b"/"):
                    del names[:]
                    while len(chain) > 1:
                        os.close(chain.pop())
                todo.extend(_components(target)[::-1])
                continue
            names.append(name)
            if todo:
                try:
                    chain.append(os.open(name, _DIRECTORY, dir_fd=chain[-1]))
                except (FileNotFoundError, NotADirectoryError):
                    names.extend(todo[::-1])
                    break
    except OSError as error:
        raise ResponseError("%s cannot be followed: %s." % (text(path), error.strerror)) from error
    finally:
        for descriptor in chain:
            os.close(descriptor)
    return "/" + path_text(b"/".join(names))


def merged_directories(host_root="/"):
    """Return ``{link: directory}`` of the links that a merged ``/usr`` consists of: ``{"/bin": "/usr/bin", ...}``."""
    targets = ((link, resolve_or_none(link, host_root)) for link in _MERGEABLE)
    return {link: target for link, target in targets if target not in (None, link)}


def resolve_or_none(path, host_root="/"):
    """Return ``path`` without any symbolic links, or ``None`` when it leads nowhere: links in a circle, a name that is
    too long. Whoever has root can lay such a link, and it must not stop those who come by."""
    try:
        return resolve(path, host_root, follow_final=True)
    except ResponseError:
        return None


def spellings(path, host_root="/", merged=None):
    """Return every way in which a package may name the file at ``path``: as given, without links in its
    directory, and through the links of a merged ``/usr``. The given spelling comes first.

    :param merged: :func:`merged_directories`, for those who ask often.
    """
    if merged is None:
        merged = merged_directories(host_root)
    path = os.path.normpath("/" + path_text(path).lstrip("/"))
    directory, name = os.path.split(path)
    # No other spelling leads where a loop of links does.
    real = resolve_or_none(directory, host_root) or directory
    found = [path, os.path.join(real, name)]
    for link, target in merged.items():
        if (real + "/").startswith(target + "/"):
            found.append(os.path.join(link + real[len(target):], name))
    return list(dict.fromkeys(found))


def status(path, host_root="/"):
    """Return ``os.lstat`` of ``path`` inside ``host_root``, or ``None`` when there is nothing."""
    try:
        return os.lstat(safe_files.host_path(resolve(path, host_root), host_root))
    except (FileNotFoundError, NotADirectoryError):
        return None


def link_target(path, host_root="/"):
    """Return what the symbolic link at ``path`` says, or ``None`` when there is no link."""
    found = status(path, host_root)
    if found is None or not stat.S_ISLNK(found.st_mode):
        return None
    return os.readlink(safe_files.host_path(resolve(path, host_root), host_root))


def _link(directory, name):
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):  # no link; nothing there
            return None
        raise


def _components(path):
    return [name for name in path_bytes(path).split(b"/") if name not in (b"", b".")]
