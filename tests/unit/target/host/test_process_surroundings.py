# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is around a process: its control group, its file tree, its sockets, its place, removed packages."""

import os
import shutil
import socket
import sys
import time

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import (
    container_runtimes,
    package_history,
    process_cgroup,
    process_sockets,
    process_table,
    process_view,
    program_place,
)
from ansible_collections.ecsops.intrusion_response.tests.unit.target.practice_processes import Practice, wait_for

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="mounts and chroots take root")
ID = "0123456789abcdef" * 4


@pytest.fixture
def practice(tmp_path):
    made = Practice(tmp_path)
    yield made
    made.end()


# -- control groups ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group, unit, advice", [
    ("/system.slice/nginx.service", ("nginx.service", None), "run 'systemctl restart nginx.service'"),
    ("/system.slice/system-getty.slice/getty@tty1.service", ("getty@tty1.service", None),
     "run 'systemctl restart getty@tty1.service'"),
    ("/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service", ("foo.service", 1000),
     "run 'systemctl --user restart foo.service' as user id 1000"),
    ("/user.slice/user-0.slice/session-4.scope", ("session-4.scope", None), "log out of session-4.scope and in again"),
    ("/init.scope", ("init.scope", None), "run 'systemctl daemon-reexec'"),
    ("/docker/%s/system.slice/cron.service" % ID, ("cron.service", None), "run 'systemctl restart cron.service'"),
    ("/user.slice/user-1000.slice/user@1000.service", (None, None),
     "end it and start it again by the way it was started"),
    ("/", (None, None), "end it and start it again by the way it was started"),
])
def test_units_and_how_to_restart_them(group, unit, advice):
    assert process_cgroup.unit(group) == unit
    assert process_cgroup.restart_advice(*unit) == advice


@pytest.mark.parametrize("group, runtime", [
    ("/machine.slice/libpod-%s.scope/container" % ID, "podman"), ("/libpod_parent/libpod-%s" % ID, "podman"),
    ("/docker/%s" % ID, "docker"), ("/system.slice/docker-%s.scope" % ID, "docker"),
    ("/kubepods.slice/kubepods-pod1.slice/cri-containerd-%s.scope" % ID, "containerd"),
    ("/kubepods/besteffort/pod12/%s" % ID, "kubernetes"), ("/crio-%s.scope" % ID, "cri-o"),
    ("/lxc.payload.web/init.scope", "lxc"), ("/machine.slice/machine-web.scope", "nspawn"),
    ("/machine.slice/systemd-nspawn@web.service/payload", "nspawn"),
    ("/system.slice/nginx.service", None), ("/docker/short", None), ("/libpod-%s" % ID[:-1], None),
])
def test_containers_by_control_group(group, runtime):
    found = process_cgroup.container(["/", group], "/nonexistent")
    assert (found and found["runtime"]) == runtime
    assert not (found and found["registered"])


@pytest.mark.parametrize("record", [
    "var/lib/containers/storage/overlay-containers/" + ID, "var/lib/docker/containers/" + ID,
    "run/containerd/io.containerd.runtime.v2.task/k8s.io/" + ID,
])
def test_a_container_counts_when_its_runtime_knows_it(tmp_path, record):
    group = "/docker/" + ID
    assert process_cgroup.container([group], str(tmp_path))["registered"] is False
    (tmp_path / record).mkdir(parents=True)
    assert process_cgroup.container([group], str(tmp_path))["registered"] is True


def test_systemds_own_hierarchy_comes_first(tmp_path):
    (tmp_path / "cgroup").write_text("9:memory:/m\n1:name=systemd:/s/x.service\n0::/u\n")
    assert process_cgroup.paths(str(tmp_path)) == ["/s/x.service", "/u", "/m"]


# -- file trees --------------------------------------------------------------------------------------------------------


def in_python(practice, code):
    """Run Python code in a process of its own that then sleeps; return its pid once the code is done."""
    flag = practice.path("done")
    pid = practice.start(sys.executable, "-c", "import ctypes, os, time\nflag = os.open(%r, os.O_CREAT | os.O_WRONLY)\n"
                         "%s\nos.write(flag, b'x')\ntime.sleep(600)" % (flag, code))
    wait_for(lambda: os.path.exists(flag) and os.path.getsize(flag))
    return pid


def test_an_ordinary_process_sees_the_hosts_tree(practice):
    pid = practice.start(practice.program("bin/x"), "600")
    view = process_view.Views(practice.proc).view("%s/%d" % (practice.proc, pid), "/usr/bin/x")
    assert (view.realm, view.root, view.path, view.container) == ("host", "/", "/usr/bin/x", None)


@ROOT
def test_a_chroot_and_what_lies_outside_of_it(practice):
    inside = os.path.realpath(sys.executable)
    jail = "/" + inside.split("/")[1]
    pid = in_python(practice, "os.chroot(%r)" % jail)
    where = "%s/%d" % (practice.proc, pid)
    views = process_view.Views(practice.proc)
    view = views.view(where, inside)
    assert (view.realm, view.root, view.path) == ("chroot", "/", inside)
    assert (view.inner_root, view.inner_path) == (where + "/root", inside[len(jail):])
    # sshd and many others were started from the host's tree and then locked themselves in.
    assert views.view(where, "/elsewhere/sshd").realm == "host"


@ROOT
def test_a_namespace_of_its_own_over_the_hosts_tree(practice):
    own = os.path.dirname(practice.path("own/x"))
    pid = in_python(practice, "libc = ctypes.CDLL(None)\n"
                    "assert libc.unshare(0x00020000) == 0\n"
                    "assert libc.mount(b'none', b'/', None, 0x44000, None) == 0\n"
                    "assert libc.mount(b'none', %r, b'tmpfs', 0, None) == 0" % os.fsencode(own))
    where = "%s/%d" % (practice.proc, pid)
    views = process_view.Views(practice.proc)
    assert views.view(where, own + "/x").realm == "private"
    assert views.view(where, own + "/gone/deeper/x").realm == "private"
    assert views.view(where, "/usr/bin/x").realm == "host"


@ROOT
@pytest.mark.parametrize("registered, realm", [(False, "foreign"), (True, "container")])
def test_another_root_in_another_namespace(practice, tmp_path, monkeypatch, registered, realm):
    root = os.path.dirname(practice.path("root/x"))
    pid = in_python(practice, "assert ctypes.CDLL(None).unshare(0x00020000) == 0\nos.chroot(%r)" % root)
    monkeypatch.setattr(process_cgroup, "container",
                        lambda _groups, _root: {"runtime": "podman", "id": ID, "registered": registered})
    where = "%s/%d" % (practice.proc, pid)
    view = process_view.Views(practice.proc).view(where, root + "/usr/bin/x")
    assert (view.realm, view.root, view.path) == (realm, where + "/root", "/usr/bin/x")
    assert view.container["id"] == ID


def test_what_cannot_be_read_is_unknown(tmp_path):
    assert process_view.Views(str(tmp_path)).view(str(tmp_path / "1"), "/usr/bin/x").realm == "unknown"


def test_the_mount_of_an_open_file():
    with open(__file__) as stream:
        assert process_view.mount_id(stream.fileno()) in process_view.mount_ids("/proc/self")
    assert process_view.mount_ids("/proc/4194999") == set()


# -- sockets -----------------------------------------------------------------------------------------------------------


def test_sockets_of_a_process(tmp_path):
    with socket.socket() as listening, socket.socket() as client, socket.socket(socket.AF_UNIX) as unix, \
            socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as datagram:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)
        client.connect(listening.getsockname())
        unix.bind(str(tmp_path / "s"))
        datagram.bind(("::1", 0))
        by_descriptor = {entry["fd"]: entry for entry in process_sockets.sockets("/proc/self")}
        port, own = listening.getsockname()[1], client.getsockname()[1]
        first = by_descriptor[listening.fileno()]
        assert (first["protocol"], first["local"], first["state"]) == ("tcp", "127.0.0.1:%d" % port, "LISTEN")
        second = by_descriptor[client.fileno()]
        assert (second["local"], second["remote"], second["state"]) == (
            "127.0.0.1:%d" % own, "127.0.0.1:%d" % port, "ESTABLISHED")
        third = by_descriptor[unix.fileno()]
        assert (third["protocol"], third["path"]) == ("unix", str(tmp_path / "s"))
        fourth = by_descriptor[datagram.fileno()]
        assert (fourth["protocol"], fourth["local"]) == ("udp6", "[::1]:%d" % datagram.getsockname()[1])
        assert first["inode"] == os.fstat(listening.fileno()).st_ino


@ROOT
def test_packet_and_raw_sockets():
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as packet, \
            socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        found = {entry["fd"]: entry["protocol"] for entry in process_sockets.sockets("/proc/self")}
        assert (found[packet.fileno()], found[raw.fileno()]) == ("packet", "raw")


def test_a_socket_with_a_made_up_row_for_a_name_hides_no_other():
    with socket.socket() as server, socket.socket(socket.AF_UNIX) as liar:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        liar.bind(b"\0x\na: 2 0 0 1 1 %d /run/systemd/notify" % os.fstat(server.fileno()).st_ino)
        found = {entry["fd"]: entry["protocol"] for entry in process_sockets.sockets("/proc/self")}
        assert found[server.fileno()] == "tcp"


def test_a_process_without_sockets(practice):
    pid = practice.start(practice.program("bin/x"), "600")
    assert process_sockets.sockets("/proc/%d" % pid) == []


# -- places ------------------------------------------------------------------------------------------------------------

OWNED_DIRECTORIES = {"/usr/bin": "base-files", "/etc/cron.hourly": "cron"}


@pytest.mark.parametrize("path, reason", [
    ("/memfd:x", "memory"),
    ("/tmp/x", "world_writable"), ("/dev/shm/a/b/x", "world_writable"), ("/var/tmp/.x/y", "world_writable"),
    ("/dev/kdevtmpfsi", "device"),
    ("/usr/bin/.sshd", "hidden"), ("/root/.x", "hidden"), ("/opt/app/.x", "hidden"), ("/usr/share/.x/y", "hidden"),
    ("/usr/bin/bsd-port/getty", "foreign_directory"), ("/etc/newinit/x", "foreign_directory"),
    ("/usr/bin/pythno", "system_directory"), ("/bin/x", "system_directory"), ("/lib/libudev.so.6", "system_directory"),
    ("/etc/kinsing", "system_directory"), ("/etc/cron.hourly/x", "system_directory"),
    ("/usr/lib/jvm/jdk/bin/java", None), ("/usr/local/bin/x", None), ("/usr/local/aegis/x", None), ("/opt/x/y", None),
    ("/home/a/.vscode-server/bin/node", None), ("/root/.nvm/node", None), ("/srv/app/.venv/bin/python3", None),
    ("/srv/app/node_modules/.pnpm/esbuild", None), ("/usr/local/.x/y", None), ("/var/lib/x", None),
    ("/nix/store/abc/bin/.firefox-wrapped", None), ("/tmpx/y", None),
])
def test_where_programs_of_no_package_do_not_belong(tmp_path, path, reason):
    assert program_place.reason(path, str(tmp_path), OWNED_DIRECTORIES.get) == reason
    assert reason is None or reason in program_place.EXPLANATIONS


@pytest.mark.parametrize("path, reason", [
    ("/tmp/x", "world_writable"), ("/usr/bin/x", None), ("/usr/bin/.x", "hidden"), ("/dev/x", None),
])
def test_without_packages_nothing_is_said_of_the_systems_directories(tmp_path, path, reason):
    assert program_place.reason(path, str(tmp_path)) == reason


def test_directories_that_all_may_write_to(tmp_path):
    (tmp_path / "srv/upload/a").mkdir(parents=True)
    tmp_path.chmod(0o777)
    assert program_place.reason("/srv/upload/a/gone/x", str(tmp_path), {}.get) is None
    (tmp_path / "srv/upload").chmod(0o777)
    assert program_place.reason("/srv/upload/a/gone/x", str(tmp_path), {}.get) == "open_directory"
    (tmp_path / "srv/upload").chmod(0o1777)
    assert program_place.reason("/srv/upload/a/gone/x", str(tmp_path), {}.get) == "world_writable"


def test_links_in_the_tree_of_a_container_stay_in_it(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real").chmod(0o777)
    (tmp_path / "app").symlink_to("/real")
    assert program_place.reason("/app/x", str(tmp_path), {}.get) is None  # the link itself is nobody's to write
    assert not program_place.is_world_writable("/gone", str(tmp_path))


@pytest.mark.parametrize("directory, shared", [
    ("/usr/bin", True), ("/tmp", True), ("/home/a", True), ("/opt", True),
    ("/usr/bin/bsd-port", False), ("/opt/x", False),
])
def test_directories_that_programs_share(tmp_path, directory, shared):
    assert program_place.is_shared(directory, str(tmp_path)) is shared


# -- packages that were removed ----------------------------------------------------------------------------------------


def test_packages_removed_at_a_moment(tmp_path):
    moment = time.mktime((2026, 3, 4, 5, 6, 7, 0, 0, -1))
    log = tmp_path / "var/log"
    log.mkdir(parents=True)
    (log / "dpkg.log").write_text(
        "2026-03-04 05:06:07 upgrade cron:amd64 1 2\n2026-03-04 05:06:00 remove nginx:amd64 1.2 <none>\n"
        "2026-03-04 07:00:00 remove later:amd64 1 <none>\n")
    (log / "dpkg.log.1").write_text("2026-03-04 05:00:00 remove earlier:all 1 <none>\n")
    utc = time.gmtime(moment)
    (log / "dnf.rpm.log").write_text("%sZ SUBDEBUG Erase: httpd-2.4\n%s+0000 SUBDEBUG Installed: x-1\n" % (
        (time.strftime("%Y-%m-%dT%H:%M:%S", utc),) * 2))
    assert package_history.removed_near(str(tmp_path), moment) == ["earlier", "nginx", "httpd-2.4"]
    assert package_history.removed_near(str(tmp_path), moment, 60) == ["nginx", "httpd-2.4"]


def test_without_logs_nothing_was_removed(tmp_path):
    assert package_history.removed_near(str(tmp_path), 0) == []


# -- container runtimes ------------------------------------------------------------------------------------------------


def test_runtimes_are_found_once_each(tmp_path):
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "usr/bin/crun").write_bytes(b"x")
    (tmp_path / "usr/bin/runc").symlink_to("crun")
    (tmp_path / "usr/bin/youki").mkdir()
    assert [path for path, _status in container_runtimes.on_disk(str(tmp_path))] == ["/usr/bin/crun"]


@ROOT
def test_who_may_have_written_a_runtime(tmp_path):
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/crun").write_bytes(b"x")
    for path in (tmp_path, tmp_path / "usr", tmp_path / "usr/bin", tmp_path / "usr/bin/crun"):
        path.chmod(0o755)
    assert container_runtimes.only_root_writes("/usr/bin/crun", str(tmp_path))
    shutil.chown(str(tmp_path / "usr/bin/crun"), 1)
    assert not container_runtimes.only_root_writes("/usr/bin/crun", str(tmp_path))
    assert not container_runtimes.only_root_writes("/usr/bin/gone", str(tmp_path))


def test_a_process_table_of_this_machine_can_be_read():
    assert os.getpid() in process_table.snapshot()
