# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What makes a password, an address or a place for the dump bad: the criteria, one by one; nothing is asked here."""

import hashlib
import ipaddress
import re

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.finding import text

# MITRE ATT&CK: exploit public-facing application, SSH authorized keys, cron, web shell, shared modules, brute force.
EXPLOIT, SSH_KEYS, CRON = "T1190", "T1098.004", "T1053.003"
WEB_SHELL, MODULES, BRUTE_FORCE = "T1505.003", "T1129", "T1110"

# The most common ones, what examples and tutorials for Redis use, and the guides' examples.
COMMON_PASSWORDS = frozenset((
    "foobared", "redis", "redis123", "redis1234", "redis12345", "redis@123", "redis123456", "redispass",
    "redispassword", "redis_password", "password", "password1", "password123", "passw0rd", "p@ssw0rd", "p@ssword",
    "pass", "pass123", "pass1234", "passwd", "secret", "changeme", "default", "test", "test123", "guest", "admin",
    "admin123", "admin1234", "admin@123", "administrator", "root", "root123", "toor", "master", "123456", "1234567",
    "12345678", "123456789", "1234567890", "12345", "1234", "123123", "123321", "111111", "000000", "666666",
    "888888", "654321", "112233", "987654321", "qwerty", "qwerty123", "qwertyuiop", "1q2w3e4r", "1qaz2wsx",
    "1qaz@wsx", "qazwsx", "abc123", "abc123456", "abcd1234", "a123456", "aa123456", "asdfgh", "zxcvbn", "iloveyou",
    "letmein", "welcome", "welcome1", "monkey", "dragon", "football", "5201314", "woaini", "mypass", "mypassword",
    "yourpassword", "your_password", "strongpassword", "verystrongpassword", "supersecret", "aliyun", "aliyun123",
    "alibaba", "ecs123", "mysql", "centos", "ubuntu", "server", "database",
))
MINIMUM_LENGTH = 11  # "more than 10 characters"
LONG_ENOUGH = 20  # from here on length stands in for character classes: 20 random letters are beyond guessing
MINIMUM_CLASSES = 3
MINIMUM_DISTINCT = 6

# Where no server keeps its data, but an attack lets it write. severe: nothing but an attack explains it.
DUMP_DIRECTORIES = (
    (re.compile(r"/\.ssh(/|$)"), "severe", SSH_KEYS),
    (re.compile(r"^/(var/spool|etc)/?cron"), "severe", CRON),
    (re.compile(r"^/etc(/|$)"), "odd", EXPLOIT),
    (re.compile(r"/(htdocs|html|wwwroot|webapps|www)(/|$)"), "odd", WEB_SHELL),
    (re.compile(r"^/root(/|$)"), "careless", None),
    (re.compile(r"^/(tmp|dev/shm|var/tmp)(/|$)"), "careless", None),
)
DUMP_NAMES = (
    (re.compile(r"^authorized_keys"), "severe", SSH_KEYS),
    (re.compile(r"^(root|crontab|apache2|system)$"), "severe", CRON),
    (re.compile(r"\.(php|jsp|jspx|asp|aspx)$"), "severe", WEB_SHELL),
    (re.compile(r"\.(so|ko)$"), "severe", MODULES),
    (re.compile(r"\.sh$"), "odd", CRON),
    (re.compile(r"^\."), "odd", None),
)
_GRADES = ("careless", "odd", "severe")


def password_weakness(password):
    """Return why a password (bytes) is weak, as a short phrase, or ``None``.

    The rule: not on the short list of common ones; more than 10 characters; three of the four classes lower, upper,
    digit and other, unless it has 20 characters or more; six different characters. Offline, nothing is tried.
    """
    if not password:
        return "it is empty"
    if text(password).lower() in COMMON_PASSWORDS:
        return "it is one of the most common"
    if len(password) < MINIMUM_LENGTH:
        return "it has fewer than %d characters" % MINIMUM_LENGTH
    if len(set(password)) < MINIMUM_DISTINCT:
        return "it repeats a few characters"
    classes = sum(1 for pattern in (br"[a-z]", br"[A-Z]", br"[0-9]", br"[^a-zA-Z0-9]") if re.search(pattern, password))
    if classes < MINIMUM_CLASSES and len(password) < LONG_ENOUGH:
        return "it has %d of four classes of characters and fewer than %d characters" % (classes, LONG_ENOUGH)
    return None


_COMMON_HASHES = frozenset(hashlib.sha256(word.encode()).hexdigest() for word in COMMON_PASSWORDS) \
    | {hashlib.sha256(b"").hexdigest()}


def hash_weakness(digest):
    """Return why the password behind an ACL's SHA-256 (hex) is weak, or ``None`` where the short list does not tell."""
    return "it is one of the most common" if digest in _COMMON_HASHES else None


def is_loopback(address):
    """Tell whether an address (as /proc or a ``bind`` directive has it) is loopback; unreadable ones are not."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address == "localhost"
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def remote_listeners(listeners):
    """Return ``["0.0.0.0:6379", …]``: the TCP listeners that others than this host itself may reach."""
    return ["%s:%d" % (item.address if ":" not in item.address else "[%s]" % item.address, item.port)
            for item in listeners if item.family == "tcp" and not is_loopback(item.address)]


def dump_place(directory, name):
    """Return ``(grade or None, [techniques])`` of where a server writes its dump: ``careless``, ``odd``, ``severe``."""
    hits = [(grade, technique) for pattern, grade, technique in DUMP_DIRECTORIES if pattern.search(directory)]
    hits += [(grade, technique) for pattern, grade, technique in DUMP_NAMES if pattern.search(name)]
    if not hits:
        return None, []
    worst = max((grade for grade, unused in hits), key=_GRADES.index)
    return worst, sorted({technique for unused, technique in hits if technique})
