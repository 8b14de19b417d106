# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts that an intruder may have made or opened, told from the account files alone."""

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import finding, gap, subject, text
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import accounts

_CREATED = "T1136.001"
_MANIPULATED = "T1098"
_VALID = "T1078.003"


def survey(database, allowed=()):
    """Return ``(findings, gaps, unknown)``; ``unknown``: the accounts with UID 0 that nobody has vouched for.

    :param database: :class:`accounts.AccountDatabase`. :param allowed: names that may share their UID.
    """
    allowed = set(allowed)
    unknown = [account for account in database.by_uid(0) if account.name != "root" and account.name not in allowed]
    findings = [_uid0(database, account) for account in unknown]
    findings.extend(_shared_ids(database, allowed))
    minimum = database.uid_min()
    for account in database.accounts:
        if account not in unknown:
            findings.extend(_passwords(database, account, minimum))
    findings.extend(_oddities(database))
    gaps = [gap("accounts in %s" % path, reason, "Passwords and locks are not known without it.")
            for path, reason in database.missing if path != accounts.GROUP]
    return findings, gaps, unknown


def blind_spots(suspects):
    """Return the gaps which the accounts ``suspects`` leave, locked or not."""
    return [gap("processes of %s" % text(account.name), "with UID 0 they cannot be told from root's",
                "deleted_exe and malware_artifact look at all processes; restart the host to end every session.")
            for account in suspects if account.uid == 0]


def observables(database, account):
    """Return the facts about an account as a dict of JSON values, without its password's hash."""
    entry = database.shadow.get(account.name)
    fields = entry.fields + [""] * 9 if entry else [None] * 9
    return {
        "uid": account.uid, "gid": account.gid, "home": text(account.home), "shell": text(account.shell),
        "password": accounts.password_state(database.password_of(account)), "line": account.index + 1,
        "in_shadow": entry is not None, "last_change": fields[2] and text(fields[2]),
        "expires": fields[7] and text(fields[7]),
    }


def is_locked(database, account):
    """Whether an account can log in by no way of its own: no password matches, it has expired, no login shell."""
    entry = database.shadow.get(account.name)
    expired = entry is not None and len(entry.fields) > 7 and entry.fields[7] in ("0", "1")
    state = accounts.password_state(database.password_of(account))
    return state in ("locked", "none") and (expired or entry is None) and not accounts.can_log_in(account.shell)


def _uid0(database, account):
    about = subject("account", account.name, uid=0)
    facts = observables(database, account)
    if is_locked(database, account):
        return finding("account.uid0_locked", "benign", "info", about,
                       "%s has UID 0 and is locked." % text(account.name), facts, [_CREATED])
    return finding("account.uid0", "malicious", "critical", about,
                   "%s has UID 0, as only root should." % text(account.name), facts, [_CREATED, _VALID],
                   {"module": "account_lock", "args": {"state": "locked"}})


def _shared_ids(database, allowed):
    by_uid = {}
    for account in database.accounts:
        by_uid.setdefault(account.uid, [])
        if account.name not in by_uid[account.uid]:
            by_uid[account.uid].append(account.name)
    for uid, names in sorted(by_uid.items()):
        # UID 0 has findings of its own.
        if uid and len(names) > 1 and not set(names[1:]) <= allowed:
            yield finding("account.duplicate_uid", "suspicious", "medium", subject("account", names[-1], uid=uid),
                          "The accounts %s have the same user id %d." % (", ".join(text(name) for name in names), uid),
                          {"uid": uid, "accounts": [text(name) for name in names]}, [_CREATED])


def _passwords(database, account, minimum):
    about = subject("account", account.name, uid=account.uid)
    field = database.password_of(account)
    state = accounts.password_state(field)
    facts = observables(database, account)
    if state == "empty":
        severity = "critical" if accounts.can_log_in(account.shell) else "medium"
        yield finding("account.empty_password", "weak", severity, about,
                      "%s has no password: anybody can become it who gets to a login." % text(account.name), facts,
                      [_VALID])
    if state in ("set", "locked") and account.password not in ("x", ""):
        yield finding("account.hash_in_passwd", "weak", "medium", about,
                      "The password hash of %s stands in /etc/passwd, which everybody can read." % text(account.name),
                      facts, ["T1003.008"])
    if 0 < account.uid < minimum and state in ("set", "empty") and accounts.can_log_in(account.shell):
        yield finding("account.system_login", "suspicious", "medium", about,
                      "The system account %s has a password and a login shell." % text(account.name), facts,
                      [_MANIPULATED, _VALID])


def _oddities(database):
    words = {
        "nis": ("account.nis", "suspicious", "medium",
                "%s line %d brings in accounts from elsewhere where nsswitch.conf says 'compat'."),
        "malformed": ("account.malformed", "suspicious", "medium",
                      "%s line %d is no proper entry; some programs take it and others do not."),
        "duplicate": ("account.duplicate_name", "suspicious", "medium",
                      "%s line %d repeats a name; the first line counts for most programs, not for all."),
        "no_newline": ("account.no_newline", "undetermined", "info",
                       "%s does not end with a line end (line %d): something appended to it without care."),
    }
    for item in database.oddities:
        rule, verdict, severity, message = words[item.kind]
        # The line of shadow holds a hash, or what is left of one: only its name is told.
        shown = text(item.text.split(":")[0])[:64]
        yield finding(rule, verdict, severity, subject("file", item.path, line=item.line),
                      message % (text(item.path), item.line), {"name": shown, "line": item.line}, [_MANIPULATED])
