#!/usr/bin/env python3
"""Drives the questions of `pki init` and `hub init` on a terminal, as a person meets them.

Each run has a pseudo-terminal of its own as its controlling terminal, standard input, output and
error. A dialogue is a list of (what is asked, what is answered); what the terminal shows is read to
the end. Passphrases must never be seen on it.
"""

import os
import pathlib
import pty
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time

from local_hub import BUILD

PATIENCE = 300
LOCAL_MODES = 3  # in what tcgetattr(3) gives
KEYS = ("a1", "a2", "a3", "r1", "r2", "r3", "c1")
INIT = ("pki init --name acme --root {0}/root --backup-root {0}/backup --hub {0}/hub "
        "--anchor-key a1.pub a2.pub a3.pub --product acme.example/gateway "
        "--release-key r1.pub r2.pub r3.pub --command-key c1.pub")
END = "\x04"  # control-D on a line of its own: the end of input


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, folder, arguments):
        self.shown = ""
        self.read_to = 0
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.chdir(folder)
            os.environ["TERM"] = "xterm"
            os.environ.pop("XDG_CONFIG_HOME", None)
            os.execv(BUILD / "ringfort", ["ringfort", *arguments.split()])

    def more(self):
        """Reads what comes next; False at the end."""
        ready, _, _ = select.select([self.terminal], [], [], PATIENCE)
        if not ready:
            os.kill(self.process, signal.SIGKILL)
            raise AssertionError(f"nothing comes:\n{self.shown}")
        try:
            came = os.read(self.terminal, 4096)
        except OSError:  # the other end is closed
            return False
        self.shown += came.decode(errors="replace").replace("\r\n", "\n")
        return bool(came)

    def until(self, text):
        begun = time.monotonic()
        while text not in self.shown[self.read_to:]:
            assert self.more(), f"{text!r} was never shown:\n{self.shown}"
            assert time.monotonic() - begun < PATIENCE, self.shown
        self.read_to = self.shown.index(text, self.read_to) + len(text)

    def until_silent(self):
        """Returns when what is typed is not shown any more."""
        begun = time.monotonic()
        while termios.tcgetattr(self.terminal)[LOCAL_MODES] & termios.ECHO:
            assert time.monotonic() - begun < PATIENCE, f"it goes on showing:\n{self.shown}"
            time.sleep(0.01)

    def answer(self, text):
        os.write(self.terminal, text.encode() if text == END else f"{text}\n".encode())

    def end(self):
        """The exit code, when everything is read."""
        while self.more():
            pass
        _, status = os.waitpid(self.process, 0)
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(status)


def talk(folder, arguments, dialogue, code):
    terminal = Terminal(folder, arguments)
    for asked, answered in dialogue:
        terminal.until(asked)
        # A terminal whose echo is still on would show a passphrase.
        if "assphrase" in asked or "again" in asked:
            terminal.until_silent()
        terminal.answer(answered)
    found = terminal.end()
    assert found == code, f"exit code {found}, not {code}:\n{terminal.shown}"
    for _, secret in dialogue:
        if " " in secret:
            assert secret not in terminal.shown, f"a passphrase was shown:\n{terminal.shown}"
    return terminal.shown


def quiet(folder, arguments):
    done = subprocess.run([BUILD / "ringfort", *arguments.split()], cwd=folder,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, f"ringfort {arguments}\n{done.stdout}{done.stderr}"


def passphrase(of, text):
    return [(f"New passphrase for {of}: ", text), ("The same again: ", text)]


def pki_is_asked_for_addresses_and_passphrases(folder):
    shown = talk(folder, INIT.format("first"), [
        ("devices reach the hub, for years: ", "localhost"),
        ("devices reach the hub, for years: ", "192.0.2.7"),
        ("devices reach the hub, for years: ", "hub.acme.example"),
        ("or nothing): ", "http://files.acme.example/anchors"),
        ("or nothing): ", "https://files.acme.example/anchors"),
        ("New passphrase for the root: ", "too few"),
        *passphrase("the root", "four words of one"),
        ("New passphrase for the backup root: ", "four words of two"),
        ("The same again: ", "four words of three"),
        *passphrase("the backup root", "four words of one"),
        *passphrase("the backup root", "four words of two"),
    ], 0)
    for said in ("fewer than 8 characters", "The two entries differ", "have the same passphrase",
                 "https://", "Made the PKI acme", "Next: "):
        assert said in shown, f"{said!r} is not in\n{shown}"
    inspected = subprocess.run(
        [BUILD / "ringfort", "pki", "anchors", "inspect", "first/hub/anchors/1.cbor"],
        cwd=folder, capture_output=True, text=True, check=True).stdout
    for named in ("https://hub.acme.example", "https://files.acme.example/anchors"):
        assert named in inspected, inspected


def an_answer_that_never_fits_ends_it_and_nothing_is_made(folder):
    asked = "devices reach the hub, for years: "
    shown = talk(folder, INIT.format("second"),
                 [(asked, "localhost"), (asked, ""), (asked, "10.0.0.1")], 1)
    assert "next:" in shown, shown
    assert not (folder / "second/root").exists() and not (folder / "second/hub").exists()


def the_end_of_input_is_no_answer(folder):
    shown = talk(folder, INIT.format("third"),
                 [("devices reach the hub, for years: ", "hub.acme.example"),
                  ("or nothing): ", END)], 1)
    assert "The input ended before an answer." in shown, shown
    assert not (folder / "third/root").exists()


def a_hub_is_asked_for_the_address_of_people(folder):
    for key in ("a1", "a2"):
        quiet(folder, f"pki anchors sign first/hub/anchors/1.cbor --key {key}.sealed --pin-file pin")
    asked = "Devices reach the hub at https://hub.acme.example. Address for people"
    shown = talk(folder, "hub init --dir first/hub --operator first/operator",
                 [(asked, "localhost"), (asked, "people.acme.example")], 0)
    assert "[hub.acme.example:8444]" in shown, shown
    settings = (folder / "first/hub/hub.toml").read_text()
    assert "people.acme.example" in settings, settings


def without_a_terminal_nothing_is_asked(folder):
    done = subprocess.run([BUILD / "ringfort", *INIT.format("fourth").split()], cwd=folder,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 2 and "--hub-address is missing" in done.stderr, done


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        pin = folder / "pin"
        pin.touch(0o600)
        pin.write_text("the passphrase of a test\n")
        for name in ("first", "second", "third", "fourth"):
            (folder / name).mkdir()
        for key in KEYS:
            quiet(folder, f"release keygen {key} --pin-file pin")
        for check in (pki_is_asked_for_addresses_and_passphrases,
                      an_answer_that_never_fits_ends_it_and_nothing_is_made,
                      the_end_of_input_is_no_answer,
                      a_hub_is_asked_for_the_address_of_people,
                      without_a_terminal_nothing_is_asked):
            check(folder)
            print(f"  {check.__name__.replace('_', ' ')}")


if __name__ == "__main__":
    sys.exit(main())
