# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""deleted_exe on real processes: copies of sleep that lose their file in every way that is known."""

import ctypes
import errno
import fcntl
import json
import os
import shutil
import sys
import time

import psutil
import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.detect import deleted_exe, deleted_exe_rules
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.errors import ResponseError
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import process_table, program_place
from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host.packages import PackageDatabase
from ansible_collections.ecsops.intrusion_response.tests.unit.target.practice_processes import (
    Packages,
    Practice,
    every_descendant,
    read,
    wait_for,
)

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="mounts and chroots take root")
LONG_AGO = 1000000000
LATER = 4000000000
F_ADD_SEALS, ALL_SEALS = 1033, 0x000F
MFD_CLOEXEC, MFD_ALLOW_SEALING = 1, 2


@pytest.fixture
def practice(tmp_path):
    made = Practice(tmp_path)
    yield made
    made.end()


def judge(practice, packages=None, **options):
    """Return ``{pid: Suspicion}`` of what is found."""
    detection = deleted_exe.find(practice.proc, packages=packages or Packages(), **options)
    return {item.process.pid: item for item in detection.suspicions}


def rule_of(practice, pid, packages=None, **options):
    """Return the short rule id under which a process was found, ``None`` if it was not."""
    found = judge(practice, packages, **options).get(pid)
    return found and found.rule.id[len("deleted_exe."):]


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_clean_host_costs_no_question_to_the_package_database(practice):
    pid = practice.start(practice.program("bin/healthy"), "600")
    packages = Packages()
    detection = deleted_exe.find(practice.proc, packages=packages)
    assert pid not in [item.process.pid for item in detection.suspicions]
    assert packages.asked == 0 or detection.suspicions  # what else runs above this test may be odd itself
    assert detection.seen >= 2


def test_a_deleted_program_of_no_package(practice):
    pid = practice.start_deleted("tmp/x")
    found = judge(practice)[pid]
    assert (found.rule.id, found.verdict) == ("deleted_exe.unowned", "malicious")
    assert (found.facts.links, found.facts.at_path, found.facts.owner) == (0, "absent", None)


def test_a_second_name_elsewhere_does_not_hide_it(practice):
    path = practice.program("tmp/x")
    pid = practice.start(path, "600")
    os.link(path, practice.path("elsewhere/kept"))
    os.unlink(path)
    found = judge(practice)[pid]
    assert (found.rule.id, found.facts.links) == ("deleted_exe.unowned", 1)


def test_a_file_really_named_so_is_not_deleted(practice):
    pid = practice.start(practice.program("opt/x (deleted)"), "600")
    assert rule_of(practice, pid) == "literal_name"


def test_a_file_really_named_so_that_is_deleted(practice):
    pid = practice.start_deleted("opt/x (deleted)")
    assert rule_of(practice, pid) == "unowned"


def test_the_name_without_suffix_does_not_excuse(practice):
    """'x' is deleted, and another file is really named 'x (deleted)': that one is not what runs."""
    pid = practice.start_deleted("opt/x")
    practice.program("opt/x (deleted)")
    assert rule_of(practice, pid) == "unowned"


def test_names_with_newlines_and_escapes(practice):
    pid = practice.start_deleted("tmp/a\n\x1b[31m b")
    finding = deleted_exe.as_finding(judge(practice)[pid])
    assert json.loads(json.dumps(finding))["subject"]["exe"].endswith("a\n\x1b[31m b (deleted)")


def test_names_that_are_no_utf8(practice):
    directory = practice.path("tmp/x")[:-2]
    name = os.fsencode(directory) + b"/\xff\xfe"
    shutil.copy(shutil.which("sleep"), name)
    pid = practice.start(name, b"600")
    os.unlink(name)
    finding = deleted_exe.as_finding(judge(practice)[pid])
    json.dumps(finding, ensure_ascii=False).encode("utf-8")
    assert finding["subject"]["exe"].endswith("/tmp/\\xff\\xfe (deleted)")


@pytest.mark.parametrize("suffix", [";5f3a1b2c", ".dpkg-tmp", ".dpkg-new"])
def test_names_that_packagers_give_to_busy_files(practice, suffix):
    path = practice.program("sbin/agent")
    pid = practice.start(path, "600")
    os.rename(path, path + suffix)
    os.unlink(path + suffix)
    assert judge(practice)[pid].facts.path == path


# -- packages ----------------------------------------------------------------------------------------------------------


def upgrade(practice, path, content=b"the new version"):
    """Put another file in the place of one, as packagers do."""
    with open(path + ".new", "wb") as stream:
        stream.write(content)
    os.rename(path + ".new", path)
    return content


def test_an_upgrade_says_what_to_restart(practice):
    path = practice.program("sbin/agent")
    pid = practice.start(path, "600")
    content = upgrade(practice, path)
    packages = Packages({path: "agent"}, {path: content}, {"agent": time.time()})
    found = judge(practice, packages)[pid]
    assert (found.rule.id, found.verdict) == ("deleted_exe.upgraded", "benign")
    message = deleted_exe.as_finding(found)["message"]
    assert message.startswith("Package agent was upgraded while the process ran and %s is the new version" % path)
    assert found.facts.restart in message


@pytest.mark.parametrize("changed, content, signs, rule", [
    (LONG_AGO, b"the new version", (), "impostor"),
    (LATER, b"another", (), "upgrade_doubtful"),
    (LATER, b"the new version", ("odd",), "upgrade_doubtful"),
], ids=["original put back, no upgrade", "upgrade, then something else put there", "database tampered with"])
def test_upgrades_that_are_none(practice, changed, content, signs, rule):
    path = practice.program("sbin/agent")
    pid = practice.start(path, "600")
    upgrade(practice, path)
    assert rule_of(practice, pid, Packages({path: "agent"}, {path: content}, {"agent": changed}, signs)) == rule


def test_a_packaged_file_that_was_deleted_still_is_what_its_package_says(practice):
    path = practice.program("sbin/agent")
    content = read(path)
    pid = practice.start(path, "600")
    os.unlink(path)
    packages = Packages({path: "agent"}, {path: content}, {"agent": LONG_AGO})
    assert rule_of(practice, pid, packages) == "packaged_content"


def test_a_file_removed_long_after_the_upgrade_was_not_removed_by_it(practice):
    path = practice.program("sbin/agent")
    pid = practice.start(path, "600")
    content = upgrade(practice, path)
    found = judge(practice, Packages({path: "agent"}, {path: content}, {"agent": time.time()}))[pid]
    # The file goes now; let the package have been changed two hours ago, and the process have started before that.
    found.facts.__dict__.update(package_changed_at=time.time() - 7200, started_at=time.time() - 9000)
    for name in ("changed_since_start", "unlinked_by_upgrade"):
        found.facts.__dict__.pop(name, None)
    assert (found.facts.changed_since_start, found.facts.unlinked_by_upgrade) == (True, False)


@pytest.mark.parametrize("unlinked, changed, started, contradicts", [
    (1000, 1010, 90000, True),     # the clock was wrong then: removed before the process started
    (1000, 80000, 90000, False),   # that was another event
    (95000, 1000, 90000, False),
    (None, 1000, 90000, False),
    (1000, None, 90000, False),
])
def test_a_clock_that_was_set(practice, unlinked, changed, started, contradicts):
    pid = practice.start_deleted("tmp/x")
    facts = judge(practice)[pid].facts
    facts.__dict__.update(unlinked_at=unlinked, package_changed_at=changed, started_at=started)
    facts.__dict__.pop("clock_contradicts", None)
    assert facts.clock_contradicts is contradicts


def test_start_times_are_wall_clock_times(practice):
    before = time.time()
    pid = practice.start_deleted("tmp/x")
    facts = judge(practice)[pid].facts
    # btime is a whole second, start times are ticks.
    assert before - 2 <= facts.started_at <= time.time() + 2


# -- memory ------------------------------------------------------------------------------------------------------------


def memfd(name, content, seals=ALL_SEALS):
    """Return the descriptor of a memfd with ``content``."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall({"x86_64": 319, "aarch64": 279}[os.uname().machine], name.encode(),
                              MFD_ALLOW_SEALING | MFD_CLOEXEC)
    assert descriptor >= 0, os.strerror(ctypes.get_errno())
    os.write(descriptor, content)
    if seals:
        fcntl.fcntl(descriptor, F_ADD_SEALS, seals)
    return descriptor


@pytest.fixture
def start_memfd(practice):
    def start(name, content, seals=ALL_SEALS):
        descriptor = memfd(name, content, seals)
        try:
            # Through the path in /proc: fexecve(3) does not exist in Python's subprocess.
            return practice.start("sleep", "600", executable="/proc/%d/fd/%d" % (os.getpid(), descriptor))
        finally:
            os.close(descriptor)
    return start


SLEEP = read(shutil.which("sleep"))


@pytest.mark.parametrize("name, altered, seals, rule", [
    ("runc_cloned:/proc/self/exe", False, ALL_SEALS, "runtime_copy"),
    ("runc_cloned:/proc/self/exe", False, 0, "memfd_packaged"),
    ("runc_cloned:/proc/self/exe", True, ALL_SEALS, "memfd"),
    ("kworker", True, ALL_SEALS, "memfd"),
], ids=["sealed copy of the runtime", "copy that can be altered", "the name alone proves nothing", "anything else"])
def test_programs_in_memory(practice, start_memfd, tmp_path, name, altered, seals, rule):
    root = tmp_path / "root"
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/runc").write_bytes(SLEEP)
    pid = start_memfd(name, SLEEP + (b"x" if altered else b""), seals)
    packages = Packages({"/usr/bin/runc": "runc"}, {"/usr/bin/runc": SLEEP}, {"runc": LONG_AGO})
    assert rule_of(practice, pid, packages, host_root=str(root)) == rule


def test_a_runtime_that_was_upgraded_since_may_have_been_copied(practice, start_memfd, tmp_path):
    root = tmp_path / "root"
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/runc").write_bytes(b"new runtime")
    pid = start_memfd("runc_cloned:/proc/self/exe", SLEEP + b"x")
    packages = Packages({"/usr/bin/runc": "runc"}, {"/usr/bin/runc": b"new runtime"}, {"runc": time.time()})
    assert rule_of(practice, pid, packages, host_root=str(root)) == "memfd_runtime_replaced"


@ROOT
def test_a_runtime_installed_by_hand_counts_when_only_root_can_have_written_it(practice, start_memfd, tmp_path):
    root = tmp_path / "root"
    (root / "usr/local/bin").mkdir(parents=True)
    (root / "usr/local/bin/crun").write_bytes(SLEEP + b"x")
    pid = start_memfd("anything", SLEEP + b"x")
    for name in ("", "usr", "usr/local", "usr/local/bin", "usr/local/bin/crun"):
        (root / name).chmod(0o755)
    assert rule_of(practice, pid, host_root=str(root)) == "runtime_copy"
    (root / "usr/local/bin").chmod(0o777)
    assert rule_of(practice, pid, host_root=str(root)) == "memfd"


def test_what_our_own_session_runs_from_is_left_alone(practice, start_memfd, monkeypatch):
    pid = start_memfd("login-helper", SLEEP + b"x")
    twin = start_memfd("login-helper", SLEEP + b"x")
    stranger = start_memfd("login-helper", SLEEP + b"y")
    monkeypatch.setattr(process_table, "ancestors", lambda _pid, _root: [pid])
    found = judge(practice)
    assert [found[number].rule.id for number in (pid, twin, stranger)] == [
        "deleted_exe.own_chain", "deleted_exe.own_chain", "deleted_exe.memfd"]
    assert found[pid].verdict == "undetermined"


@pytest.mark.parametrize("link, kind", [
    ("/memfd:x (deleted)", "memfd"), ("/dev/zero (deleted)", "anonymous"), ("/SYSV00000000 (deleted)", "anonymous"),
    ("/anon_hugepage (deleted)", "anonymous"), ("/usr/bin/x (deleted)", "file"), ("/usr/bin/x", "detached"),
    ("/dev/zero2/x (deleted)", "file"), ("/opt/SYSV00000000 (deleted)", "file"),
])
def test_kinds_of_links(link, kind):
    assert deleted_exe.kind_of(link) == kind


# -- behaviour ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, told", [
    ("[kworker/0:1]", "a kernel thread ([kworker/0:1])"), ("kdevtmpfsi", "a kernel thread (kdevtmpfsi)"),
    ("[anything]", "a kernel thread ([anything])"), ("/sbin/udevd", "the packaged /sbin/udevd"),
    ("migrations", None), ("worker", None), ("sleep", None), ("", None),
])
def test_what_a_process_passes_itself_off_as(practice, name, told):
    path = practice.program("opt/agent")
    pid = practice.start(name, "600", executable=path)
    os.unlink(path)
    assert judge(practice, Packages({"/sbin/udevd": "udev", "/usr/sbin/udevd": "udev"}))[pid].facts.masquerade == told


@ROOT
def test_packet_sockets(practice):
    script = "import socket, time; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0); time.sleep(600)"
    pid = practice.start(sys.executable, "-c", script)
    # Not just any "socket": while Python imports it, socket.py itself is open.
    opened = process_table.open_files
    wait_for(lambda: any(target.startswith("socket:") for target in opened("/proc/%d" % pid).values()))
    facts = deleted_exe.Facts(process_table.read_process(pid, practice.proc), "/x (deleted)", "file",
                              deleted_exe.Surroundings(practice.proc, "/", Packages()))
    assert facts.packet_socket


# -- trees of their own ------------------------------------------------------------------------------------------------


@ROOT
def test_a_file_that_is_deleted_in_a_mount_of_its_own(practice):
    """A private tmpfs over the directory of a package: what the package did on the host explains nothing there."""
    path = practice.path("sbin/agent")
    real = practice.program("real/agent")
    script = 'mount -t tmpfs none "$1" && cp "$2" "$3" && exec "$3" 600'
    pid = practice.start("unshare", "-m", "sh", "-c", script, "sh", os.path.dirname(path), real, path)
    wait_for(lambda: os.readlink("/proc/%d/exe" % pid) == path)
    os.unlink("/proc/%d/root%s" % (pid, path))
    content = read(practice.program("sbin/agent", extra=b"packaged"))
    found = judge(practice, Packages({path: "agent"}, {path: content}, {"agent": time.time()}))[pid]
    assert (found.facts.realm, found.verdict) == ("private", "malicious")


@ROOT
def test_a_file_in_a_mount_of_its_own_that_is_there(practice):
    path = practice.path("own/agent")
    real = practice.program("real/agent")
    script = 'mount -t tmpfs none "$1" && cp "$2" "$3" && exec "$3" 600'
    pid = practice.start("unshare", "-m", "sh", "-c", script, "sh", os.path.dirname(path), real, path)
    wait_for(lambda: os.readlink("/proc/%d/exe" % pid) == path)
    assert not os.path.exists(path)
    assert rule_of(practice, pid) is None


@ROOT
def test_a_file_system_that_was_unmounted_lazily(practice):
    path = practice.path("mnt/agent-of-this-test")
    real = practice.program("real/agent")
    script = 'mount -t tmpfs none "$1" && cp "$2" "$3" && { "$3" 600 & } && sleep 0.3 && umount -l "$1" && wait'
    shell = practice.start("unshare", "-m", "sh", "-c", script, "sh", os.path.dirname(path), real, path)

    def detached():
        practice.show_descendants(shell)
        return [pid for pid in every_descendant(shell)
                if process_table.read_link("/proc/%d" % pid, "exe") == "/agent-of-this-test"]

    wait_for(detached)
    assert rule_of(practice, detached()[0]) == "hidden_mount"


# -- blind spots -------------------------------------------------------------------------------------------------------


def test_a_process_that_may_not_be_looked_at_is_told(practice, monkeypatch):
    pid = practice.start_deleted("tmp/x")
    original = os.readlink

    def readlink(path, **options):
        if path == "%s/%d/exe" % (practice.proc, pid):
            raise PermissionError(errno.EACCES, "denied")
        return original(path, **options)

    monkeypatch.setattr(os, "readlink", readlink)
    detection = deleted_exe.find(practice.proc, packages=Packages())
    assert pid not in [item.process.pid for item in detection.suspicions]
    told = [gap["what"].split("pid ")[1].split(", ") for gap in detection.not_checked if "executables" in gap["what"]]
    assert str(pid) in told[0]


def test_a_mount_over_a_process_is_told(practice):
    os.unlink(practice.proc + "/self")
    os.mkdir(practice.proc + "/self")
    with open(practice.proc + "/self/mountinfo", "w") as stream:
        stream.write("22 1 0:21 / /proc rw,relatime - proc proc rw\n"
                     "40 22 8:1 /empty /proc/4711 rw,relatime - ext4 /dev/sda rw\n"
                     "41 1 8:1 /proc/99 /srv rw,relatime - ext4 /dev/sda rw\n")
    detection = deleted_exe.find(practice.proc, packages=Packages())
    assert [(item["rule"], item["verdict"], item["subject"]["pid"]) for item in detection.findings] == [
        ("deleted_exe.masked", "suspicious", 4711)]
    assert "process 4711" in [gap["what"] for gap in detection.not_checked]


def test_processes_that_vanish_are_no_findings(practice):
    pid = practice.start_deleted("tmp/x")
    os.mkdir(practice.proc + "/999999999")
    swept = process_table.sweep(practice.proc, lambda link: True)
    practice.processes[-1].kill()
    practice.processes[-1].wait()
    assert any(where.endswith("/%d" % pid) for where, _link in swept.suspects)
    assert pid not in judge(practice)


# -- findings ----------------------------------------------------------------------------------------------------------


def test_a_finding_tells_the_facts_and_the_remedy(practice):
    pid = practice.start_deleted("tmp/x")
    found = judge(practice)[pid]
    finding = deleted_exe.as_finding(found, deleted_exe.details(found, psutil))
    observables = finding["observables"]
    assert finding["subject"]["identity"] == found.process.identity
    assert observables["cmdline"] == [str(practice.folder / "tmp/x"), "600"]
    assert (observables["links"], observables["at_path"], observables["kind"]) == (0, "absent", "file")
    assert len(observables["sha256"]) == 64
    assert observables["threads"] == 1 and observables["children"] == []
    assert finding["remedy"] == {"module": "ecsops.intrusion_response.deleted_exe", "args": {"state": "killed"}}
    assert finding["attack"] == ["T1070.004"]
    json.dumps(finding)


def test_the_remedy_of_a_suspicious_one_names_it(practice):
    path = practice.program("sbin/agent")
    pid = practice.start(path, "600")
    upgrade(practice, path)
    found = judge(practice, Packages({path: "agent"}, {path: b"third"}, {"agent": time.time()}))[pid]
    assert deleted_exe.as_finding(found)["remedy"]["args"] == {
        "state": "killed", "processes": [found.process.identity], "kill_verdicts": ["malicious", "suspicious"]}


# -- what would hide it, or all ----------------------------------------------------------------------------------------


def test_links_in_circles_at_its_path_hide_nothing(practice):
    """Anybody can lay them below /tmp once the program runs."""
    path = practice.program("tmp/d/x")
    pid = practice.start(path, "600")
    shutil.rmtree(os.path.dirname(path))
    os.symlink("d", os.path.dirname(path))
    assert rule_of(practice, pid, PackageDatabase) == "unowned"


def test_a_process_that_cannot_be_judged_does_not_hide_the_others(practice):
    pids = [practice.start_deleted("tmp/x%d" % number) for number in range(2)]

    class Broken(Packages):
        def owner_of(self, path):
            if path.endswith("x0"):
                raise ResponseError("broken")
            return

    detection = deleted_exe.find(practice.proc, packages=Broken())
    assert [item.process.pid for item in detection.suspicions if item.process.pid in pids] == pids[1:]
    assert "process %d" % pids[0] in [gap["what"] for gap in detection.not_checked]


def test_a_path_too_long_for_the_kernel_to_tell_does_not_hide_it(practice, monkeypatch):
    monkeypatch.chdir(os.path.dirname(practice.path("deep/x")))
    for _level in range(22):
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
    shutil.copy(shutil.which("sleep"), "x")
    pid = practice.start("./x", "600")
    assert rule_of(practice, pid) == "nameless_file"
    os.unlink("x")
    found = judge(practice)[pid]
    assert (found.rule.id, found.verdict) == ("deleted_exe.nameless", "malicious")
    json.dumps(deleted_exe.as_finding(found))


def test_an_application_in_an_open_directory_that_was_deployed_anew_is_not_malicious(practice):
    path = practice.program("app/server")
    os.chmod(os.path.dirname(path), 0o777)
    pid = practice.start(path, "600")
    os.rename(practice.program("app/new", extra=b"2"), path)
    # Everything of this test lies below /tmp, where nothing of the kind is believed.
    place = program_place.reason("/app/server", str(practice.folder))
    assert place == "open_directory"
    found = judge(practice)[pid]
    found.facts.__dict__["place"] = place
    assert deleted_exe_rules.decide(found.facts).id == "deleted_exe.replaced_unowned"
