# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The decision table: from the facts about a process whose executable is gone to a verdict.

The first rule whose condition holds decides. A rule may only call something fine on evidence that the
intruder would have to forge in the package database itself, and call it malicious only on evidence that
no upgrade, no agent that updates itself and no container leaves behind; all between is ``suspicious`` or
``undetermined``, which is reported and not killed.

The facts are attributes of one object, see :class:`deleted_exe.Facts`; each is computed when first asked for.
"""

from collections import namedtuple

Rule = namedtuple("Rule", "id verdict severity attack when message")

FILE_DELETION = "T1070.004"
REFLECTIVE_LOADING = "T1620"
MASQUERADING = "T1036.005"
PROCESS_HIDING = "T1564"


def _gone_from_path(facts):
    return facts.kind == "file" and facts.at_path in ("absent", "other")


def _owned_by_host(facts):
    return facts.kind == "file" and facts.realm == "host" and facts.owner is not None


def _believable(facts):
    return facts.database == "sound"


def _upgraded(facts):
    return (facts.at_path == "other" and facts.changed_since_start and facts.disk_content == "match"
            and facts.unlinked_by_upgrade)


def _out_of_place(facts):
    if facts.place in ("world_writable", "device", "hidden", "foreign_directory"):
        return True
    # A tool that somebody installed there by hand, or a deployment into a directory with mode 777, replaces its file;
    # an intruder's leaves nothing behind.
    return facts.place in ("system_directory", "open_directory") and facts.at_path == "absent"


RULES = (
    Rule("deleted_exe.literal_name", "benign", "info", (),
         lambda f: f.kind in ("file", "detached") and f.literal_name,
         "The file is really named like this and exists: nothing was deleted."),
    Rule("deleted_exe.still_there", "benign", "info", (),
         lambda f: f.kind in ("file", "detached") and f.at_path == "same",
         "The file that runs lies at its path: nothing was deleted."),
    Rule("deleted_exe.unreadable", "undetermined", "medium", (),
         lambda f: not f.readable,
         "The executable cannot be read, so nothing can be said about it."),
    Rule("deleted_exe.nameless", "malicious", "critical", (FILE_DELETION, PROCESS_HIDING),
         lambda f: f.kind == "nameless" and f.links == 0 and not f.own_chain,
         "The file is gone, and it ran from so deep a directory that the kernel cannot tell its path: a way to hide."),
    Rule("deleted_exe.nameless_file", "suspicious", "high", (PROCESS_HIDING,),
         lambda f: f.kind == "nameless",
         "It runs from so deep a directory that the kernel cannot tell its path: a way to hide."),
    Rule("deleted_exe.runtime_copy", "benign", "info", (),
         lambda f: (f.kind == "detached" or (f.kind == "memfd" and f.sealed)) and f.runtime is not None,
         "A container runtime runs from a copy of itself that nobody can alter, the guard against CVE-2019-5736: "
         "its bytes are those of {runtime}."),
    Rule("deleted_exe.packaged_content", "benign", "info", (),
         lambda f: _owned_by_host(f) and _believable(f) and f.content == "match",
         "It runs the very bytes that package {owner} has for {path}; the file was removed or written anew meanwhile. "
         "To have it run the file on disk again, {restart}."),
    Rule("deleted_exe.upgraded", "benign", "info", (),
         lambda f: _owned_by_host(f) and _believable(f) and _upgraded(f),
         "Package {owner} was upgraded while the process ran and {path} is the new version as packaged: "
         "to run it too, {restart}."),
    Rule("deleted_exe.upgraded_in_container", "benign", "info", (),
         lambda f: (f.kind == "file" and f.realm == "container" and f.owner is not None and _believable(f)
                    and (f.content == "match" or _upgraded(f))),
         "Package {owner} of the container was upgraded while the process ran: restart the container {container}."),
    Rule("deleted_exe.own_chain", "undetermined", "medium", (),
         lambda f: f.own_chain,
         "The session of this very run, or PID 1, runs from the same executable: left alone, look at it by hand."),
    Rule("deleted_exe.memfd_packaged", "suspicious", "medium", (REFLECTIVE_LOADING,),
         lambda f: f.kind == "memfd" and f.same_bytes_as is not None,
         "It runs from memory only; the bytes are those of the packaged {same_bytes_as}, which would not need that."),
    Rule("deleted_exe.memfd_runtime_replaced", "suspicious", "medium", (REFLECTIVE_LOADING,),
         lambda f: f.kind == "memfd" and f.sealed and f.claims_runtime and f.runtime_changed_since_start,
         "It runs from memory under the name of a container runtime, whose package was upgraded since: "
         "whether it was a copy of the old version cannot be told."),
    Rule("deleted_exe.memfd", "malicious", "critical", (REFLECTIVE_LOADING,),
         lambda f: f.kind == "memfd",
         "It runs from memory only; the bytes are those of no packaged program and no container runtime on this host."),
    Rule("deleted_exe.anonymous", "malicious", "critical", (REFLECTIVE_LOADING,),
         lambda f: f.kind == "anonymous",
         "It runs from anonymous shared memory, which no program does that was started from a file."),
    Rule("deleted_exe.hidden_mount", "suspicious", "high", (PROCESS_HIDING,),
         lambda f: ((f.kind == "detached" and f.at_path in ("absent", "other"))
                    or (_owned_by_host(f) and not f.mounted and f.content == "mismatch")),
         "The file lies on a file system that is mounted nowhere any more: a process that survived from the initial "
         "RAM disk, a lazy unmount, or a way to hide it."),
    Rule("deleted_exe.impostor", "malicious", "critical", (FILE_DELETION, MASQUERADING),
         lambda f: (_owned_by_host(f) and _gone_from_path(f) and f.content == "mismatch"
                    and f.changed_since_start is False and not f.clock_contradicts
                    and (f.at_path == "absent" or f.disk_content == "match")),
         "It runs under the path of package {owner}, but not that package's bytes, and no upgrade explains it: "
         "another program ran there and was taken away."),
    Rule("deleted_exe.package_removed", "suspicious", "medium", (FILE_DELETION,),
         lambda f: (_gone_from_path(f) and f.owner is None and f.place == "system_directory"
                    and bool(f.removed_packages)),
         "The file is gone and belongs to no package, but {removed_packages} was removed at that time: "
         "if it is a service of that package, stop it."),
    Rule("deleted_exe.unowned", "malicious", "critical", (FILE_DELETION,),
         lambda f: _gone_from_path(f) and f.owner is None and _out_of_place(f),
         "The file is gone, no package knows it, and it ran from {place_words}."),
    Rule("deleted_exe.masquerade", "malicious", "critical", (FILE_DELETION, "T1036.004"),
         lambda f: _gone_from_path(f) and f.owner is None and f.masquerade is not None,
         "The file is gone, no package knows it, and the process passes itself off as {masquerade}."),
    Rule("deleted_exe.packet_socket", "suspicious", "high", (FILE_DELETION, "T1205.002"),
         lambda f: _gone_from_path(f) and f.owner is None and f.packet_socket,
         "The file is gone, no package knows it, and the process listens to raw packets: a backdoor does so, and "
         "so does a security agent that updated itself."),
    Rule("deleted_exe.upgrade_doubtful", "suspicious", "medium", (FILE_DELETION,),
         lambda f: _gone_from_path(f) and f.realm == "host" and f.owner is not None,
         "Package {owner} owns {path}, but its upgrade does not explain what runs there: {doubt}."),
    Rule("deleted_exe.unvouched_root", "suspicious", "medium", (FILE_DELETION,),
         lambda f: _gone_from_path(f) and f.realm in ("chroot", "container", "foreign", "private"),
         "The file is gone from a file tree of the process's own ({realm}), whose packages cannot vouch for it."),
    Rule("deleted_exe.replaced_unowned", "suspicious", "medium", (FILE_DELETION,),
         lambda f: _gone_from_path(f) and f.owner is None and f.at_path == "other" and f.database != "none",
         "The file of no package was replaced while it ran, as programs do that update themselves."),
    Rule("deleted_exe.gone_unowned", "suspicious", "high", (FILE_DELETION,),
         lambda f: _gone_from_path(f) and f.owner is None and f.database != "none",
         "The file is gone and no package knows it; it ran from a place where programs of no package are usual, "
         "and behaves like one."),
    Rule("deleted_exe.undetermined", "undetermined", "medium", (FILE_DELETION,),
         lambda f: True,
         "The file is gone, and what it was cannot be told: {doubt}."),
)


def decide(facts):
    """Return the first :class:`Rule` that holds for ``facts``."""
    for rule in RULES:
        if rule.when(facts):
            return rule
    raise AssertionError("the last rule holds for everything")
