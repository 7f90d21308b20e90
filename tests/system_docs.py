#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds what the documents say against what the programs do.

The manual pages give every setting with its default as ".It Va KEY No = Li VALUE" and every option
as ".It Fl x , Fl Fl long"; both are held against the programs' own words. Examples are not only
read: configurations are loaded, and clients run against a daemon.
"""

import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from daemon import DEADLINE, RETORT, RETORTD, TOP, Daemon

COMMANDS = ("ask", "transform", "chat", "say", "tail", "rooms", "who", "topic", "ping", "bench",
            "status", "clients", "kick", "ban", "unban", "mute", "unmute", "reload", "health")
WITHOUT_DEFAULT = {"name", "listen", "user", "group", "listeners", "topic", "chat.rooms"}
CHAT = ("-l", "unix:chat.sock", "--service", "chat")


def run(*command, **options):
    """Runs a command to its end; returns its standard output."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=DEADLINE, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{command}: exit status {done.returncode}\n"
                             f"{done.stdout}{done.stderr}")
    return done.stdout


def page(name):
    return (TOP / "man" / name).read_text()


def plain(text):
    """Undoes the escapes of a manual page's source."""
    return text.replace(r"\(dq", '"').replace(r"\(ul", " ").replace(r"\&", "").replace(r"\e", "\\")


def literal_blocks(text, section=None):
    """The examples of a manual page, or of one section or subsection of it."""
    if section:
        text = re.search(rf"^\.S[sh] {re.escape(section)}\n(.*?)(?=^\.S[sh] |\Z)", text,
                         re.M | re.S)[1]
    return [plain(block) for block in re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed$", text,
                                                 re.M | re.S)]


def bare(value):
    """A value without what makes no difference: blanks, and the quotes of 0 or "0"."""
    return re.sub(r'[\s"]+', "", value)


def settings_of(text):
    """Flattens a configuration as --print-config writes it into (level, key): value."""
    found, groups = {}, []
    token = re.compile(r'\s+|#[^\n]*|(\w+)\s*[:=]\s*(?=[{(])|(\w+)\s*[:=]\s*'
                       r'(\[[^\]]*\]|"(?:[^"\\]|\\.)*"|[\w.]+)|[{}();,]')
    position, opened = 0, None
    while position < len(text):
        match = token.match(text, position)
        if not match:
            raise AssertionError(f"cannot read: {text[position:position + 60]!r}")
        position = match.end()
        if match[1]:
            opened = match[1]
        elif match[2]:
            level = ("listener" if "listeners" in groups else
                     "room" if "rooms" in groups else "daemon")
            lists = (None, "listeners") if level != "room" else (None, "chat", "rooms")
            path = [group for group in groups if group not in lists] + [match[2]]
            found[level, ".".join(path)] = bare(match[3])
        elif match[0] in "{(":
            groups.append(opened)
            opened = None
        elif match[0] in "})":
            groups.pop()
    return found


def documented_settings():
    """What retortd.conf(5) says: key to default (None: none), for daemon, listener and room."""
    found = {}
    for title, levels in (("Settings of the daemon", ("daemon",)),
                          ("Settings of the daemon and of a listener", ("daemon", "listener")),
                          ("Settings of a listener", ("listener",)),
                          ("Settings of chat", ("daemon",)),
                          ("Settings of a room", ("room",))):
        section = re.search(rf"^\.Ss {title}\n(.*?)(?=^\.S[sh] )", page("retortd.conf.5"),
                            re.M | re.S)[1]
        for names, value in re.findall(r"^\.It Va (.+?)(?: No = Li (.*))?$", section, re.M):
            for name in names.split(" , "):
                default = None if name in WITHOUT_DEFAULT else bare(plain(value))
                for level in levels:
                    found[level, name] = default
    return found


def helped_options(text):
    """The options that a --help describes, as 'x' and 'long'."""
    found = set()
    for line in text.splitlines():
        match = re.match(r"\s+(?:-(\w)(?:,|\s|$)\s*)?(?:--([\w-]+))?", line)
        if match and (match[1] or match[2]) and re.match(r"\s+-", line):
            found.update(name for name in match.groups() if name)
    return found


def manual_options(text):
    """The options that a part of a manual page describes."""
    found = set()
    for line in re.findall(r"^(?:\.It )?(?:\.)?(Fl .*)$", text, re.M):
        found.update(re.findall(r"Fl Fl ([\w-]+)", line))
        found.update(re.findall(r"Fl (\w)(?= |$)", line))
    return found


def described_options(text):
    return manual_options("\n".join(line for line in text.splitlines()
                                    if line.startswith((".It Fl ", ".Fl f , Fl Fl framing"))))


class Configuration(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="retort-docs-")
        self.addCleanup(self.directory.cleanup)
        self.environment = dict(os.environ, RUNTIME_DIRECTORY=self.directory.name)

    def effective(self, *arguments):
        return run(RETORTD, *arguments, "--print-config", env=self.environment)

    def effective_of_text(self, text):
        file = Path(self.directory.name) / "retortd.conf"
        file.write_text(text)
        return self.effective("-c", str(file))

    def built_in(self):
        if os.path.exists("/etc/retort/retortd.conf"):
            self.skipTest("this machine has a configuration in the place of the built-in one")
        return self.effective()

    def test_every_setting_is_documented_with_its_default(self):
        actual = settings_of(self.effective(*CHAT))
        actual |= settings_of(self.effective("-l", "tcp://localhost:7007"))
        documented = documented_settings()
        self.assertTrue(actual)
        for (level, key), value in actual.items():
            with self.subTest(level=level, key=key):
                self.assertIn((level, key), documented, "not in retortd.conf(5)")
                default = documented[level, key]
                if default is not None:
                    self.assertEqual(value, default)

    def test_every_documented_setting_exists(self):
        actual = set(settings_of(self.effective("-l", "unix:echo.sock", *CHAT)))
        actual |= {("daemon", "listeners"), ("listener", "user"), ("listener", "group"),
                   ("daemon", "chat.rooms")}
        self.assertEqual(set(documented_settings()) - actual, set())

    def test_what_is_printed_loads_to_the_same(self):
        printed = self.effective("-l", "tcp://localhost:7007", "-l", "unix:echo.sock", *CHAT)
        self.assertEqual(self.effective_of_text(printed), printed)

    def test_sample_is_the_built_in_configuration(self):
        self.assertEqual(self.effective("-c", str(TOP / "conf/retortd.conf")), self.built_in())

    def test_sample_shows_every_setting(self):
        sample = (TOP / "conf/retortd.conf").read_text()
        for _, key in documented_settings():
            with self.subTest(key=key):
                self.assertRegex(sample, rf"\b{key.rsplit('.', maxsplit=1)[-1]}\b")

    def test_manual_shows_the_built_in_configuration(self):
        shown = literal_blocks(page("retortd.conf.5"), "EXAMPLES")[0]
        sample = self.effective("-c", str(TOP / "conf/retortd.conf"))
        self.assertEqual(self.effective_of_text(shown), sample)

    def test_examples_are_right(self):
        readme = re.findall(r"(?:^    .*\n|^\n)+", (TOP / "README.md").read_text(), re.M)
        examples = literal_blocks(page("retortd.conf.5"), "EXAMPLES")
        examples += [block for block in readme if "listeners: (" in block]
        checked = 0
        for example in examples:
            if "@include" in example:
                continue
            with self.subTest(example=example):
                self.effective_of_text(example)
                checked += 1
        self.assertGreaterEqual(checked, 6)


class Options(unittest.TestCase):
    def test_daemon(self):
        documented = described_options(page("retortd.8"))
        self.assertEqual(documented, helped_options(run(RETORTD, "--help")))

    def test_client(self):
        text = page("retort.1")
        common = text[text.index(".Ss Options of every command"):text.index(".Ss retort ask")]
        helped_common = helped_options(run(RETORT, "--help"))
        self.assertEqual(described_options(common) - {"f", "framing"}, helped_common)
        for command in COMMANDS:
            with self.subTest(command=command):
                part = re.search(rf"^\.Ss retort {command}\n(.*?)(?=^\.S[sh] )", text,
                                 re.M | re.S)[1]
                helped = helped_options(run(RETORT, command, "--help"))
                self.assertEqual(described_options(part) | helped_common, helped | helped_common)

    def test_commands_are_documented(self):
        listed = run(RETORT, "--help").split("Commands:\n")[1].split("\n\n")[0]
        names = [line.split()[0] for line in listed.splitlines()]
        self.assertEqual(sorted(names), sorted(COMMANDS))
        self.assertEqual(re.findall(r"^\.Ss retort (\w+)$", page("retort.1"), re.M), names)

    def test_synopses_name_every_option_of_their_own(self):
        for name in ("retortd.8", "retort.1"):
            text = page(name)
            synopsis = text[text.index(".Sh SYNOPSIS"):text.index(".Sh DESCRIPTION")]
            listed = set(re.findall(r"Fl Fl ([\w-]+)", synopsis))
            listed |= {letter for letters in re.findall(r"Fl (\w+)(?= |$)", synopsis, re.M)
                       for letter in letters if letters != "Fl"}
            with self.subTest(page=name):
                self.assertEqual(listed - described_options(text) - {"V"}, set())

    def test_completions_name_commands_and_options(self):
        fish = "fish"
        for name in ("retort.bash", "_retort", "retort.fish"):
            text = (TOP / "client/completion" / name).read_text()
            for command in COMMANDS:
                options = helped_options(run(RETORT, command, "--help"))
                with self.subTest(file=name, command=command):
                    self.assertRegex(text, rf"\b{command}\b")
                    for option in (each for each in options if len(each) > 1):
                        spelt = rf"-l {option}\b" if name.endswith(fish) else rf"--{option}\b"
                        self.assertRegex(text, spelt)

    def test_version(self):
        news = re.search(r"^## (\S+)", (TOP / "NEWS.md").read_text(), re.M)[1]
        for program in (RETORTD, RETORT):
            self.assertEqual(run(program, "--version").split()[1], news)


class Examples(unittest.TestCase):
    """The clients of retort-protocol(7) and README.md, against the built-in configuration."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="retort-docs-")
        self.addCleanup(self.directory.cleanup)
        daemon = Daemon(self.directory.name, re.sub(r"://localhost:\d+", "://127.0.0.1:0",
                                                    (TOP / "conf/retortd.conf").read_text()))
        self.addCleanup(daemon.stop)
        self.ports = {(name, transport): port for name, transport, port in re.findall(
            r"(\w+): listening on (tcp|udp)://127\.0\.0\.1:(\d+)$", daemon.log(), re.M)}

    def on_my_ports(self, example, transport="tcp"):
        for port, name in (("9090", "upper"), ("33333", "reverse"), ("7007", "echo"),
                           ("1243", "chat"), ("1244", "talk")):
            example = re.sub(rf"\b{port}\b", self.ports[name, transport if name == "echo" else
                                                        "tcp"], example)
        return example

    def python(self, example, transport="tcp"):
        return run("python3", "-c", self.on_my_ports(example, transport))

    def test_python(self):
        text = page("retort-protocol.7")
        for section, transport, answer in (
                ("raw: upper case on port 9090", "tcp", "HELLO, WORLD!\n"),
                ("line: reversed lines on port 33333", "tcp", "!dlrow ,olleh\n"),
                ("length: echo on port 7007", "tcp", "hello, world!\n"),
                ("chat: say something on port 1243, and read it", "tcp", "hello!\n"),
                ("UDP: echo on port 7007", "udp", "hello, world!\n")):
            with self.subTest(section=section):
                example = literal_blocks(text, section)[0]
                self.assertEqual(self.python(example, transport), answer)

    def test_readme(self):
        example = re.search(r"^```python\n(.*?)^```$", (TOP / "README.md").read_text(),
                            re.M | re.S)[1]
        self.assertEqual(self.python(example), "HELLO, WORLD!\n")

    def check_transcript(self, text):
        """Runs the commands behind "$ " and compares what stands below each."""
        for command, answer in re.findall(r"^ *\$ (.*)\n((?: *[^\s$].*\n)+)", text, re.M):
            with self.subTest(command=command):
                transport = "udp" if "nc -u" in command or "udp://" in command else "tcp"
                command = command.replace("build/retort ", "retort ")
                command = command.replace("retort ", f"{RETORT} ")
                printed = run("bash", "-c", self.on_my_ports(command, transport))
                self.assertEqual([line.strip() for line in printed.splitlines()],
                                 [line.strip() for line in answer.splitlines()])

    def test_shell(self):
        for text in (literal_blocks(page("retort-protocol.7"), "UDP: echo on port 7007")[-1],
                     literal_blocks(page("retort.1"), "EXAMPLES")[0],
                     (TOP / "README.md").read_text()):
            self.check_transcript(text)


class Catalog(unittest.TestCase):
    """The message catalog against the log's own table."""

    catalog = (TOP / "systemd/retort.catalog").read_text()

    def test_every_kind_has_its_entry(self):
        kinds = re.findall(r'\[LOG_\w+\]\s*=\s*\{LOG_\w+,\s*"([0-9a-f]{32})"\}',
                           (TOP / "daemon/log_entry.c").read_text())
        entries = re.findall(r"^-- ([0-9a-f]{32})$", self.catalog, re.M)
        self.assertGreater(len(kinds), 20)
        self.assertEqual(sorted(kinds), sorted(entries))
        self.assertEqual(len(set(kinds)), len(kinds))

    def test_the_journal_reads_it(self):
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root, "usr/lib/systemd/catalog")
            folder.mkdir(parents=True)
            Path(root, "var/lib/systemd/catalog").mkdir(parents=True)
            (folder / "retort.catalog").write_text(self.catalog)
            run("journalctl", "--update-catalog", f"--root={root}")
            self.assertTrue(Path(root, "var/lib/systemd/catalog/database").stat().st_size > 0)

    def test_counts_of_folded_entries_have_all_fields(self):
        """The entry that says how many more there were knows of nothing but the listener."""
        log = (TOP / "daemon/log_entry.c").read_text()
        folded = re.findall(r"^\t\[(LOG_\w+)\] = \"", log, re.M)
        self.assertIn("LOG_REFUSED", folded)
        for kind in folded:
            message_id = re.search(r"\[%s\]\s*=\s*\{LOG_\w+,\s*\"(\w+)\"" % kind, log)[1]
            text = re.search(r"^-- %s\n(.*?)(?=^-- |\Z)" % message_id, self.catalog, re.M | re.S)[1]
            with self.subTest(kind=kind):
                self.assertLessEqual(set(re.findall(r"@(\w+)@", text)), {"RETORT_LISTENER"})

    def test_only_fields_that_exist_are_named(self):
        page_text = page("retortd.8")
        for field in set(re.findall(r"@(\w+)@", self.catalog)):
            self.assertIn(field, page_text)


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(__import__("__main__"))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    failed = {str(getattr(test, "test_case", test)) for test, _ in result.failures + result.errors}
    skipped = len(result.skipped)
    counts = f"{result.testsRun - len(failed) - skipped} passed, {len(failed)} failed"
    print(counts + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
