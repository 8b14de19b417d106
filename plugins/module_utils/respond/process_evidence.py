# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that is lost when a process ends, on disk and synced before it is ended.

A deleted executable or a memfd exists nowhere but in the process: /proc/PID/exe gives its whole bytes.
"""

import errno
import hashlib
import json
import os
import shutil

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import (
    process_program,
    process_sockets,
    process_table,
    rooted_paths,
    safe_files,
)
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.respond.quarantine_store import (
    check_incident_name,
    private_directory,
    write_all,
)

MANIFEST = "manifest.json"

# Copied as they are; each is small but maps and environ, which no process can make larger than this.
_PLAIN_FILES = ("cmdline", "environ", "maps", "status", "stat", "cgroup", "mountinfo", "limits", "io")
_PLAIN_LIMIT = 64 * 1024 * 1024
_SCRIPT_LIMIT = 64 * 1024 * 1024
_LINKS = ("exe", "cwd", "root", "ns/mnt", "ns/net", "ns/pid", "ns/user")
_CHUNK = 1024 * 1024
_SPARE = 4 * 1024 * 1024


def directory_of(quarantine_root, incident, tool):
    """Return where a module keeps its processes' evidence: ``<root>/<incident>/evidence/<tool>``."""
    check_incident_name(incident)
    return os.path.join(quarantine_root, incident, "evidence", tool)


def prepare(directory):
    """Make the four levels of :func:`directory_of`, private to root. :raises ResponseError: it cannot be."""
    levels = [directory]
    while len(levels) < 4:
        levels.append(os.path.dirname(levels[-1]))
    for level in reversed(levels):
        private_directory(level)


def require_space(directory, processes):
    """Raise :class:`ResponseError` unless the executables of ``processes`` fit where ``directory`` is or will be."""
    needed = _SPARE
    for process in processes:
        status = process_table.exe_status(process.where)
        needed += status.size if status else 0
    existing = directory
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    found = os.statvfs(existing)
    if found.f_bavail * found.f_frsize < needed:
        raise _no_space(directory, "%d KiB are free, %d KiB are needed"
                        % (found.f_bavail * found.f_frsize // 1024, needed // 1024))


def collect_evidence(process, directory):
    """Write what is to know of ``process`` (:class:`process_table.Process`) and return it.

    :param directory: where the folder ``pid-start_time`` is made, see :func:`prepare`. What an earlier run of the same
        incident has completed there is not written again.
    :return: list of ``(name, path, size, sha256)``; name is ``pid-start_time/file``. Files have mode 0600 and are
        synced. What the kernel would not tell is listed under ``not_read`` in ``manifest.json``.
    :raises ResponseError: it cannot be kept (disk full, read-only); what was written for this process is gone again.
    """
    folder = os.path.join(directory, process.identity)
    if is_about(folder, process):
        return _told(folder, read_manifest(folder))
    try:
        if os.path.lexists(folder):
            # Cut short by a crash or power cut, or the same numbers since another boot: kept apart, never mixed.
            os.rename(folder, _free_name(folder))
        private_directory(folder)
        manifest = _write_all_files(process, folder)
        _write(folder, MANIFEST, [json.dumps(manifest, indent=1, sort_keys=True).encode("ascii")])
        _sync(folder)
        _sync(directory)
    except (OSError, ResponseError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise _no_space(directory, "the evidence of process %d does not fit" % process.pid) from error
        if isinstance(error, ResponseError):
            raise
        raise ResponseError(
            "The evidence of process %d cannot be kept in %s: %s." % (process.pid, text(directory), error.strerror),
            "Nothing was killed. Point 'quarantine_root' at a writable file system, then run again.") from error
    return _told(folder, manifest)


def read_manifest(folder):
    """Return the manifest of a completed folder, or ``None``."""
    try:
        with open(os.path.join(folder, MANIFEST), "rb") as stream:
            manifest = json.loads(stream.read().decode("utf-8"))
    except (OSError, ValueError):
        return None
    for entry in manifest["files"].values():
        if not os.path.isfile(os.path.join(folder, entry["file"])):
            return None
    return manifest


def is_about(folder, process):
    """Tell whether ``folder`` holds the completed evidence of this very process, of this boot."""
    manifest = read_manifest(folder)
    return (manifest is not None and manifest["boot_id"] == _boot_id()
            and (manifest["pid"], manifest["start_time"]) == (process.pid, process.start_time))


def _write_all_files(process, folder):
    where = process.where
    files = {}
    not_read = []
    status = process_table.exe_status(where)
    try:
        descriptor = os.open(where + "/exe", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        not_read.append("exe: %s" % error.strerror)
    else:
        try:
            files["exe"] = _write(folder, "exe", _chunks(descriptor))
        finally:
            os.close(descriptor)
    for name in _PLAIN_FILES:
        content = process_table.read_bytes("%s/%s" % (where, name), _PLAIN_LIMIT)
        if content is None:
            not_read.append(name)
        else:
            files[name] = _write(folder, name, [content])
    opened = process_table.open_files(where)
    files["fds.json"] = _write_json(
        folder, "fds.json", {str(number): text(target) for number, target in opened.items()})
    files["sockets.json"] = _write_json(folder, "sockets.json", process_sockets.sockets(where, opened))
    links = {name: process_table.read_link(where, name) for name in _LINKS}
    files["links.json"] = _write_json(
        folder, "links.json", {name: target and text(target) for name, target in links.items()})
    program = process_program.program(where)
    if program is not None and program.script:
        try:
            real = rooted_paths.resolve(program.path, where + "/root", follow_final=True)
            content = safe_files.read_bytes(real, _SCRIPT_LIMIT, where + "/root")
            files["script"] = _write(folder, "script", [content])
        except (OSError, ResponseError) as error:
            not_read.append("script: %s" % text(error))
    return {
        "pid": process.pid, "start_time": process.start_time, "boot_id": _boot_id(), "comm": text(process.comm),
        "exe": text(links["exe"] or ""), "exe_file": list(status.file) if status else None,
        "files": files, "not_read": not_read,
    }


def _told(folder, manifest):
    identity = os.path.basename(folder)
    told = [("%s/%s" % (identity, name), os.path.join(folder, entry["file"]), entry["size"], entry["sha256"])
            for name, entry in sorted(manifest["files"].items())]
    with open(os.path.join(folder, MANIFEST), "rb") as stream:
        content = stream.read()
    told.append(("%s/%s" % (identity, MANIFEST), os.path.join(folder, MANIFEST), len(content),
                 hashlib.sha256(content).hexdigest()))
    return told


def _write_json(folder, name, value):
    return _write(folder, name, [json.dumps(value, indent=1, sort_keys=True).encode("ascii")])


def _write(folder, name, chunks):
    state = hashlib.sha256()
    size = 0
    descriptor = os.open(os.path.join(folder, name),
                         os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        for chunk in chunks:
            write_all(descriptor, chunk)
            state.update(chunk)
            size += len(chunk)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return {"file": name, "size": size, "sha256": state.hexdigest()}


def _chunks(descriptor):
    while True:
        chunk = os.read(descriptor, _CHUNK)
        if not chunk:
            return
        yield chunk


def _sync(directory):
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _free_name(folder):
    number = 1
    while os.path.lexists("%s.%d" % (folder, number)):
        number += 1
    return "%s.%d" % (folder, number)


def _boot_id():
    """Return the kernel's id of this boot: start times begin again with each."""
    content = process_table.read_bytes("/proc/sys/kernel/random/boot_id", 64)
    return (content or b"").decode("ascii", "replace").strip()


def _no_space(directory, what):
    return ResponseError("No space left for evidence in %s: %s. Nothing was killed." % (text(directory), what),
                         "Free some space or point 'quarantine_root' at another file system, then run again.")
