# SPDX-License-Identifier: Apache-2.0
import subprocess

from facefactor.train.run_record import git_commit


def test_a_folder_outside_a_checkout_has_no_commit(tmp_path):
    assert git_commit(tmp_path) is None


def test_a_checkouts_commit_says_whether_files_differ(tmp_path):
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        command = ["git", *identity, "-C", str(tmp_path), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "first")
    commit = git("rev-parse", "HEAD")
    assert git_commit(tmp_path) == commit
    (tmp_path / "file").write_text("2")
    assert git_commit(tmp_path) == commit + "+changes"
