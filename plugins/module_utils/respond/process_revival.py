# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Knowing again what was ended, when something starts it anew."""

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import process_table


class Ended:
    """What was ended, to know it again: ``programs`` (paths), ``contents`` (``(size, sha256)`` of executables that are
    no copies of packaged ones), ``before`` (identities of the processes that lived then, which are no revivals),
    ``namespaces`` (mount namespaces in which something was ended: elsewhere the same path is another file)."""

    def __init__(self):
        self.namespaces = set()
        self.programs = set()
        self.contents = set()
        self.before = set()

    def add(self, members, evidence, living, packages):
        self.before.update(process.identity for process in living)
        for member in members:
            if not member.suspect or not member.program:
                continue
            self.programs.add(member.program)
            self.namespaces.add(process_table.read_link(member.process.where, "ns/mnt"))
            for name, path, size, sha256 in evidence.get(member.process.pid, ()):
                if not name.endswith("/exe") or (size, sha256) in self.contents:
                    continue
                if packages is not None and packages.kind and packages.find_by_digest(path) is None:
                    self.contents.add((size, sha256))

    def is_again(self, process, scene):
        """Tell whether ``process`` started since and runs one of the programs, or the same bytes elsewhere."""
        if process.identity in self.before:
            return False
        program = scene.program(process)
        if program is None:
            return False
        # Where the genuine packaged program lies again, its processes are no revivals.
        if program.path in self.programs:
            if scene.on_host(process):
                if not scene.vouched(program.path):
                    return True
            # The same path in another container is another file.
            elif process_table.read_link(process.where, "ns/mnt") in self.namespaces:
                return True
        status = scene.status(process)
        return (status is not None and any(status.size == size for size, _sha256 in self.contents)
                and (status.size, scene.digest(process)) in self.contents)
