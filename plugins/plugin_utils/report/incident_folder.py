# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An incident's folder on the controller, read for the report."""

import errno
import json
import os
import urllib.parse

from ansible_collections.ecsops.intrusion_response.plugins.module_utils import journal
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError


class HostJournal:
    """One host's journal: ``host`` (inventory name), ``entries``, ``problems`` (empty when the chain holds)."""

    def __init__(self, host, entries, problems):
        self.host = host
        self.entries = entries
        self.problems = problems


def read_incident(directory):
    """Return ``(header, [HostJournal])``, the hosts sorted by name.

    :param directory: the incident's folder. :returns: ``header`` is the content of ``incident.json`` (at
        least ``id``); journals with the problems found in their chain.
    :raises ResponseError: there is no such folder, or its ``incident.json`` cannot be read.
    """
    path = os.path.join(directory, "incident.json")
    try:
        with open(path, encoding="utf-8") as stream:
            header = json.load(stream)
    except OSError as error:
        hint = "Name the folder of an incident, such as incidents/20260102T030405Z."
        if error.errno == errno.EACCES:
            hint = "Run as the user that owns the incident's folder."
        raise ResponseError("The incident in %s cannot be read: %s." % (directory, error.strerror), hint)
    except ValueError as error:
        raise ResponseError("%s is damaged: %s." % (path, error),
                            "Restore it from a backup; the journals are apart from it.")
    if not isinstance(header, dict):
        raise ResponseError("%s is damaged: it is not a JSON object." % path, "Restore it from a backup.")
    header.setdefault("id", os.path.basename(os.path.abspath(directory)))
    header.setdefault("opened", None)
    return header, _journals(os.path.join(directory, "journal"), header["id"])


def _journals(directory, incident):
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        if name.endswith(".jsonl"):
            host = urllib.parse.unquote(name[:-len(".jsonl")])
            entries, problems = journal.read(os.path.join(directory, name))
            found.append(HostJournal(host, entries, problems + _foreign(entries, host, incident)))
        elif name.endswith(".jsonl.head") and name[:-len(".head")] not in names:
            # The journal itself is gone; what is kept of its newest line tells that there was one.
            host = urllib.parse.unquote(name[:-len(".jsonl.head")])
            found.append(HostJournal(
                host, [], ["The journal was removed: only the record of its newest line is left."]))
    return sorted(found, key=lambda item: item.host)


def _foreign(entries, host, incident):
    """A journal that was put in the place of another holds together by itself, but tells of something else."""
    problems = []
    for entry in entries:
        if entry.get("host", host) != host or entry.get("incident", incident) != incident:
            problems.append("Number %d tells of host %r in incident %r: the journal of something else lies here." % (
                entry["seq"], entry.get("host"), entry.get("incident")))
            break
    return problems
