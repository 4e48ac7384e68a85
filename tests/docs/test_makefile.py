"""The Makefile and the scripts below it: what a person meets before anything else works."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTALL = ROOT / "deploy" / "install"
TARGETS = ("help", "install", "demo", "test", "chaos", "lint", "bench", "docs", "clean")


def make(*arguments):
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def script(name, *arguments, path):
    checkout = path / "checkout" / "deploy" / "install"
    shutil.copytree(INSTALL, checkout)
    return subprocess.run(
        ["/bin/sh", checkout / name, *arguments],
        env={"PATH": str(path), "HOME": str(path)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


@pytest.fixture
def stubs(tmp_path):
    """A PATH with a few ordinary programs, a user without rights, and whatever a test adds."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for program in ("dirname", "sed", "env", "cat"):
        (directory / program).symlink_to(f"/usr/bin/{program}")

    def add(name, body):
        (directory / name).write_text(f"#!/bin/sh\n{body}\n")
        (directory / name).chmod(0o755)

    add("id", "echo 1000")
    return directory, add


def test_make_alone_lists_every_target():
    listed = make()
    assert listed.returncode == 0
    assert tuple(re.findall(r"^  make (\w+) ", listed.stdout, re.MULTILINE)) == TARGETS


@pytest.mark.parametrize(
    ("target", "commands"),
    [
        ("install", ["deploy/install/bootstrap.sh"]),
        ("demo", ["deploy/install/bootstrap.sh", "programs.sh prometheus", ".venv/bin/rollback-guard demo"]),
        ("test", ["deploy/install/bootstrap.sh", "prometheus promtool prometheus-alertmanager", ".venv/bin/pytest"]),
        (
            "chaos",
            ["prometheus promtool faketime", "CHAOS_ROUNDS=6 CHAOS_FIGURES=chaos.json .venv/bin/pytest", "tests/chaos"],
        ),
        ("lint", ["ruff check", "ruff format --check", ".venv/bin/mypy", ".venv/bin/lint-imports"]),
        ("bench", ["tests/benchmarks/"]),
        ("clean", ["rm -rf .venv"]),
    ],
)
def test_a_target_does_what_it_says(target, commands):
    planned = make("--dry-run", target)
    assert planned.returncode == 0, planned.stderr
    place = -1
    for command in commands:
        place = planned.stdout.index(command, place + 1)


def test_ci_lints_and_then_tests():
    commands = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line.startswith("make ")]
    assert commands == ["make lint", "make test"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("which", ["rules", "guard"])
def test_the_published_schema_is_the_one_that_the_verb_prints(which):
    published = ROOT / "docs" / "schema" / f"{which}.schema.json"
    printed = subprocess.run([ROOT / ".venv/bin/rollback-guard", "schema", which], capture_output=True, text=True)
    assert printed.returncode == 0
    assert published.read_text() == printed.stdout, "run: make docs"


@pytest.mark.parametrize("path", [*sorted(INSTALL.glob("*.sh")), *sorted((ROOT / "deploy/demo").glob("*.sh"))])
def test_every_script_is_executable_and_is_plain_sh(path):
    assert os.access(path, os.X_OK)
    assert path.read_text().startswith("#!/bin/sh\n")
    assert subprocess.run(["dash", "-n", path], capture_output=True).returncode == 0


def test_without_root_and_sudo_it_says_which_command_to_run(stubs):
    path, add = stubs
    add("apt-get", "echo called; exit 1")
    said = script("apt.sh", "prometheus", path=path)
    assert said.returncode == 1
    assert "Please run: sudo apt-get install --no-install-recommends prometheus" in said.stderr
    assert "called" not in said.stdout


def test_where_there_is_no_apt_get_it_names_the_package(stubs):
    path, _ = stubs
    said = script("apt.sh", "prometheus", path=path)
    assert said.returncode == 1
    assert "Please install what Debian calls: prometheus" in said.stderr


def test_without_python_it_says_what_to_install(stubs):
    path, _ = stubs
    said = script("bootstrap.sh", path=path)
    assert said.returncode == 1
    assert "Python 3.11 or newer is needed" in said.stderr
    assert "apt-get install python3 python3-venv" in said.stderr


def test_a_python_without_venv_gets_it_or_is_told_exactly_how(stubs):
    path, add = stubs
    # As Debian's: new enough, and without ensurepip.
    add("python3", 'case "$2" in *version_info\\ \\<*) exit 0;; *ensurepip*) exit 1;; *) echo 3.11;; esac')
    add("apt-get", "exit 1")
    said = script("bootstrap.sh", path=path)
    assert said.returncode == 1
    assert "Please run: sudo apt-get install --no-install-recommends python3.11-venv" in said.stderr


def test_a_uv_that_is_there_is_used_with_the_lock_as_it_is(stubs):
    path, add = stubs
    add("uv", f'echo "$@" >> {path}/calls; [ "$1" = --version ] || exit 3')
    assert script("bootstrap.sh", path=path).returncode == 3
    calls = (path / "calls").read_text().splitlines()
    assert calls[0] == "--version"
    assert calls[-1].startswith("sync --locked")


def test_programs_that_are_there_need_no_installation(stubs):
    path, add = stubs
    add("apt-get", "exit 1")
    for program in ("one", "two"):
        add(program, "exit 0")
    said = script("programs.sh", "one", "two", path=path)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_programs_that_are_missing_are_asked_for_together_and_once(stubs):
    path, add = stubs
    add("apt-get", "exit 1")
    said = script("programs.sh", "no-such-program", "no-such-program", "other-program", path=path)
    assert said.returncode == 1
    assert "sudo apt-get install --no-install-recommends no-such-program other-program" in said.stderr
