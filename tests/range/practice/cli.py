# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands of ``tests/range/host``."""

import argparse
import json
import os
import sys

from . import controller, dns, intrusion, manifest, verify
from .base import RangeError
from .hosts import HostSet, destroy_everything, list_sets


def main(argv=None):
    """Run one command; return the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments) or 0
    except RangeError as error:
        print("range: %s" % error, file=sys.stderr)
        return 1


def _parser():
    parser = argparse.ArgumentParser(prog="tests/range/host", description="Practice hosts of this checkout.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name, function, text, hosts=None):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=function)
        sub.add_argument("--set", default=os.environ.get("RANGE_SET", "lab"), dest="set_name", metavar="SET",
                         help="which set of hosts (default: $RANGE_SET or lab)")
        if hosts:
            sub.add_argument("hosts" if hosts != "one" else "host", metavar="HOST", **(
                {"nargs": hosts} if hosts != "one" else {}))
        return sub

    command("ensure", _ensure, "install what the controller lacks")
    command("create", _create, "make fresh hosts, whatever was there before, and print the inventory's path", "+")
    command("destroy", _destroy, "remove hosts, or the whole set when none is named", "*")
    command("destroy-everything", _destroy_everything, "remove all hosts of all sets of this checkout")
    command("dns", _dns, "start the set's name servers and print their ports on 127.0.0.1 (JSON)")
    command("inventory", _inventory, "print the path of the set's Ansible inventory")
    command("list", _list, "show the sets and their hosts")
    sub = command("stage", _stage, "make a host anew and stage a profile on it", "one")
    sub.add_argument("profile", choices=intrusion.PROFILES)
    sub = command("verify", _verify, "look whether staged hosts are clean now", "+")
    sub.add_argument("--all", action="store_true", help="show what passed, too")
    sub.add_argument("--redis-password-file", metavar="FILE", help="the password which Redis was given")
    sub = command("manifest", _manifest, "write a manifest of the host's files and processes (JSON)", "one")
    sub.add_argument("file", type=argparse.FileType("w"), help="where to write it; - is standard output")
    sub = command("compare", _compare, "tell how two manifests differ; exit 1 when they do")
    sub.add_argument("before", type=argparse.FileType("r"))
    sub.add_argument("after", type=argparse.FileType("r"))
    sub.add_argument("--no-processes", action="store_true", help="compare files only")
    sub.add_argument("--but-for", action="append", default=[], metavar="PATH", help="may differ, with all below it")
    sub = command("exec", _exec, "run a command as root on the host's console, beside SSH", "one")
    sub.add_argument("argv", nargs=argparse.REMAINDER)
    sub = command("ssh", _ssh, "log in over SSH, or run a command there", "one")
    sub.add_argument("--user", default="root", help="root or operator")
    sub.add_argument("argv", nargs=argparse.REMAINDER)
    return parser


def _ensure(arguments):
    controller.ensure()


def _create(arguments):
    controller.ensure()
    hosts = HostSet(arguments.set_name)
    hosts.create(arguments.hosts)
    print(hosts.inventory)


def _stage(arguments):
    controller.ensure()
    intrusion.stage(HostSet(arguments.set_name), arguments.host, arguments.profile)


def _verify(arguments):
    hosts = HostSet(arguments.set_name)
    failed = 0
    password = None
    if arguments.redis_password_file:
        with open(arguments.redis_password_file, encoding="utf-8") as stream:
            password = stream.read().strip()
    for name in arguments.hosts:
        told = verify.verify(hosts, name, redis_password=password)
        for passed, what, detail in told:
            if not passed or arguments.all:
                word = "ok" if passed else "FAILED"
                print("%s\t%s\t%s%s" % (name, word, what, ": " + detail[:600] if detail else ""))
        print("%s\t%d of %d checks passed" % (name, sum(item[0] for item in told), len(told)))
        failed += not told.passed
    return 1 if failed else 0


def _manifest(arguments):
    json.dump(manifest.take(HostSet(arguments.set_name), arguments.host), arguments.file)


def _compare(arguments):
    lines = manifest.compare(
        json.load(arguments.before), json.load(arguments.after), processes=not arguments.no_processes,
        but_for=arguments.but_for)
    print("\n".join(lines) or "no difference")
    return 1 if lines else 0


def _destroy(arguments):
    HostSet(arguments.set_name).destroy(arguments.hosts or None)


def _destroy_everything(arguments):
    destroy_everything()


def _dns(arguments):
    controller.ensure()
    print(json.dumps(dns.start(HostSet(arguments.set_name).dns_folder)))


def _inventory(arguments):
    print(HostSet(arguments.set_name).inventory)


def _list(arguments):
    for name in list_sets():
        for host, facts in sorted(HostSet(name).state()["hosts"].items()):
            print("%s\t%s\t127.0.0.1:%s\t%s" % (name, host, facts.get("port"), facts.get("staged", "-")))


def _exec(arguments):
    container = HostSet(arguments.set_name).container(arguments.host)
    terminal = ["--tty"] if sys.stdin.isatty() else []
    _become("podman", ["podman", "exec", "--interactive", *terminal, container, *(arguments.argv or ["bash"])])


def _ssh(arguments):
    argv = HostSet(arguments.set_name).ssh_argv(arguments.host, arguments.user)
    _become("ssh", [*argv, *arguments.argv])


def _become(command, argv):
    os.execvp(command, argv)  # noqa: S606 - the terminal belongs to ssh or podman from here on
