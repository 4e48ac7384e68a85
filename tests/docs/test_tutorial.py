"""The tutorial, done step by step as it is written."""

import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollback_guard.demo import port
from rollback_guard.demo.stage import Stage

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "tutorial.md").read_text()
BLOCK = re.compile(r"^```(\w+) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
GIVE_UP_S = 120


@dataclass(frozen=True)
class Block:
    language: str
    info: str
    body: str


BLOCKS = [Block(*found) for found in BLOCK.findall(TEXT)]


def write_files(directory, *, additions, change=str):
    """Write the tutorial's files, with or without what is added to them later."""
    (directory / "mine").mkdir(exist_ok=True)
    for block in BLOCKS:
        name, _, add = block.info.partition(" ")
        if name and (additions or not add):
            with (directory / name).open("a" if add else "w") as file:
                file.write(change(block.body))


def guard(directory, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "rollback_guard.cli", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=GIVE_UP_S,
    )


def shown(command):
    """Return what the tutorial shows below a command, once for each time."""
    found = []
    for block in BLOCKS:
        if block.language == "console":
            found += [
                said
                for asked, said in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", block.body, re.MULTILINE)
                if asked == command
            ]
    return found


def test_every_file_of_the_tutorial_is_found_in_it():
    assert [block.info for block in BLOCKS if block.info] == [
        "mine/guard.toml",
        "mine/rules.yaml",
        "mine/guard.toml (add)",
        "mine/rules.yaml (add)",
    ]


def test_its_files_are_fine_before_and_after_the_additions(tmp_path):
    before, after = shown("rollback-guard check mine/guard.toml")
    write_files(tmp_path, additions=False)
    assert said_by(guard(tmp_path, "check", "mine/guard.toml")) == (0, before)
    write_files(tmp_path, additions=True)
    assert said_by(guard(tmp_path, "check", "mine/guard.toml")) == (0, after)


def test_its_mistakes_are_reported_as_shown(tmp_path):
    write_files(tmp_path, additions=False)
    rules = tmp_path / "mine" / "rules.yaml"
    rules.write_text(rules.read_text().replace("interval: 1s", "interval: 1").replace("labels:", "lables:"))
    told = next(block.body for block in BLOCKS if "unknown key" in block.body)
    assert said_by(guard(tmp_path, "check", "mine/guard.toml")) == (4, told)


def said_by(ended):
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize("command", ["shop.py", "traffic.py", "prometheus.yml"])
def test_what_it_starts_is_there(command):
    assert f"deploy/demo/{command}" in TEXT
    assert (ROOT / "deploy" / "demo" / command).exists()


def test_the_guard_of_the_tutorial_first_only_says_what_it_would_do_and_then_does_it(tmp_path):
    with Stage(root=ROOT) as stage:
        listen = f"127.0.0.1:{port.choose(0, claimed=False)}"
        write_files(tmp_path, additions=True, change=lambda text: text.replace("127.0.0.1:18080", stage.shop_url[7:]))
        stage.start_shop()
        stage.start_prometheus()
        with Watching(tmp_path, stage, listen) as told:
            told("status", lambda text: re.search(r"orders/FailedOrders +inactive +0 +> 0.05", text))
            told("status", lambda text: "tutorial: fine (dry-run" in text)

            stage.set_traffic(**json.loads(re.search(r"echo '(\{\"coupon\".*?\})'", TEXT)[1]))
            told("status", lambda text: re.search(r"shop +holding +shop-\S+ +hold: dry_run", text))
            assert stage.flag_is_on()

            config = tmp_path / "mine" / "guard.toml"
            config.write_text(config.read_text().replace("dry-run", "enforce"))
            told.reload()
            listed = told("explain", lambda text: "verified" in text)
            story = told("explain", bool, re.search(r"shop-\S+", listed)[0])
            assert not stage.flag_is_on()

        sentences = [line[18:].strip() for block in BLOCKS if "+0s" in block.body for line in block.body.splitlines()]
        for sentence in sentences:
            assert pattern_of(sentence).search(story), f"{sentence!r} is not in:\n{story}"


def pattern_of(sentence):
    """Let numbers and the incident's name differ."""
    names = re.sub(r"shop-[\w-]+", "NAME", sentence)
    numbers = re.sub(r"[\d.]*\d(m?s\b)?", "NUMBER", names)
    return re.compile(re.escape(numbers).replace("NAME", r"shop-[\w-]+").replace("NUMBER", r"[\d.]+(m?s)?"))


class Watching:
    """Run the tutorial's guard, and ask it until it says what is awaited."""

    def __init__(self, directory, stage, listen):
        self._directory = directory
        self._url = f"http://{listen}"
        arguments = ["--listen", listen, "--prometheus-url", stage.prometheus_url]
        self._command = [sys.executable, "-m", "rollback_guard.cli", "run", "--config", "mine/guard.toml", *arguments]

    def __enter__(self):
        with (self._directory / "guard.log").open("wb") as log:
            self._process = subprocess.Popen(self._command, cwd=self._directory, stdout=log, stderr=log)
        self._given_up = threading.Event()
        self._watchdog = threading.Timer(GIVE_UP_S, self._given_up.set)
        self._watchdog.start()
        return self

    def __exit__(self, *_):
        self._watchdog.cancel()
        self._process.terminate()
        assert self._process.wait() == 0, (self._directory / "guard.log").read_text()

    def __call__(self, verb, holds, *arguments):
        while True:
            text = guard(self._directory, verb, *arguments, "--url", self._url).stdout
            if holds(text):
                return text
            assert self._process.poll() is None, (self._directory / "guard.log").read_text()
            assert not self._given_up.wait(0.2), f"in vain; the last answer was:\n{text}"

    def reload(self):
        os.kill(self._process.pid, 1)
