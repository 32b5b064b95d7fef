"""mailauth_tool: our verifiers and signers on files, many messages a run (its head has the commands)."""

import os
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
# A test of Bazel runs in its runfiles; GODWIT_BIN_ROOT is the bazel-bin of another build.
PROGRAM = os.path.join(os.environ.get("GODWIT_BIN_ROOT", os.getcwd()), "tests/interop/mailauth/mailauth_tool")


def run(*arguments, stdin=""):
    """What it prints."""
    return subprocess.run([PROGRAM, *arguments], input=stdin.encode(), stdout=subprocess.PIPE, check=True).stdout


def verify(folder, zone, messages):
    """[{"dkim": "pass,fail", "arc": "none"}]; `zone` is a file as testing::FakeZone reads it."""
    paths = []
    for number, message in enumerate(messages):
        paths.append(os.path.join(folder, f"m{number}"))
        with open(paths[-1], "wb") as out:
            out.write(message)
    lines = run("verify", zone, *paths).decode().splitlines()
    return [dict(field.split("=") for field in line.split(" ")) for line in lines]


class FolderCase(unittest.TestCase):
    """Its tests share `folder`."""

    parent = None  # where the folder is made; None: where temporary files are

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="godwit-", dir=cls.parent)
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name

    @classmethod
    def write(cls, name, data):
        path = os.path.join(cls.folder, name)
        with open(path, "wb") as out:
            out.write(data)
        return path
