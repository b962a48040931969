"""
Network file systems, where a lock may exclude only the processes of one machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from helpers import NOON, WEEK, place_of, wait_until
from upgrade_state import StateStore, _doctor

PROGRAM = Path(__file__).with_name("mounts.py")

MOUNTS = r"""
22 27 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
30 27 0:31 / /home rw shared:9 master:2 - nfs4 nas:/home rw,vers=4.2,local_lock=none
31 27 0:32 / /home\040of\134all rw - nfs nas:/x\040y rw,vers=3,nolock,local_lock=all
32 27 0:33 / /data rw - nfs nas:/data rw,vers=3,lock,local_lock=posix
33 27 0:34 / /flock rw - nfs4 nas:/data rw,local_lock=flock
34 30 254:0 /ana/cache /home/ana/.cache rw - ext4 /dev/vda rw
35 31 0:32 /ana /srv rw - nfs nas:/x\040y rw,vers=3,nolock,local_lock=all
36 27 0:36 / /lustre rw - lustre 10.0.0.1@tcp:/fs rw,flock,lazystatfs
37 27 0:37 / /local rw,localflock - lustre 10.0.0.1@tcp:/fs rw,localflock
38 27 0:38 / /sshfs rw - fuse.sshfs ana@host: rw,user_id=0
39 27 0:39 / /bind rw - fuse /home rw
40 27 0:40 / /ceph rw - fuse.ceph-fuse ceph-fuse rw
41 27 0:41 / /shared rw - 9p share rw,trans=virtio
42 27 0:42 / /office rw - cifs //office/home rw,vers=3.1.1,nobrl
43 27 0:43 / /other rw - smb3 //office/home rw,vers=3.1.1
44 27 0:44 / /none rw - tmpfs  rw
45 27 0:45 / /short rw - 9p
46 27 254:1 / /windows rw - fuseblk /dev/sda1 rw
""".strip().splitlines(keepends=True)


class TestMount:
    @pytest.mark.parametrize(
        ("number", "found"),
        [
            *((number, None) for number in ("22", "27", "30", "32", "34", "36", "40")),
            *((number, None) for number in ("43", "44", "46", "99", "", "2")),
            ("31", "nfs with nolock"),
            ("33", "nfs4 with local_lock=flock"),
            ("35", "nfs with nolock"),
            ("37", "lustre with localflock"),
            ("38", "fuse.sshfs"),
            ("39", "fuse"),
            ("41", "9p"),
            ("42", "cifs with nobrl"),
            ("45", "9p"),
        ],
    )
    def test_locks(self, number, found):
        """
        A mount says whether its locks exclude the processes of other machines.
        """
        assert found == _doctor.mount_with_local_locks(MOUNTS, number)

    def test_no_linux(self, checked, monkeypatch):
        """
        Where a mount cannot be examined there is no finding.
        """
        store = StateStore(place_of(checked)[0])
        before = [*_doctor.findings(store)]
        monkeypatch.setattr(_doctor, "_MOUNTS", "/nowhere-1/mountinfo")

        assert before == [*_doctor.findings(store)]

    @pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
    def test_of_the_store(self, checked, tmp_path, monkeypatch):
        """
        The mount of the store is found, whatever is mounted above it.
        """
        text = Path("/proc/self/mountinfo").read_text()
        lines = (line.split(" - ")[0] for line in text.splitlines())
        made = tmp_path / "mountinfo"
        made.write_text("".join(f"{line} - nfs nas:/ rw,nolock\n" for line in lines))
        monkeypatch.setattr(_doctor, "_MOUNTS", str(made))
        root = os.path.dirname(checked.record_path)

        (finding,) = _doctor.findings(StateStore(place_of(checked)[0]))
        fact = "locks on this mount hold on this machine only (nfs with nolock)"
        assert ("store", root) == (finding.kind, finding.path)
        assert finding.fact.startswith(fact)


def notices(count, how, directory, *caches):
    """
    Return how many notices were given in each interval.
    """
    argv = (sys.executable, PROGRAM, str(count), how, directory, *caches)
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=300, check=False
    )
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


class TestLocksExcludeNothing:
    def test_claims(self, checked):
        """
        In each interval exactly one notice is given.
        """
        cache, directory = place_of(checked)

        assert {1} == set(notices(100, "n", directory, cache, cache))

    def test_lost_updates(self, checked):
        """
        So it is, but for an error, beside checks and changes that undo the notice.
        """
        cache, directory = place_of(checked)
        counts = Counter(notices(100, "nc", directory, cache, cache))

        assert {0, 1} >= counts.keys()
        assert 50 <= counts[1]

    def test_without_ticket(self, checked):
        """
        Without a ticket several notices are given, so the double excludes nothing.
        """
        cache, directory = place_of(checked)

        assert 1 < max(notices(20, "nt", directory, cache, cache))


@pytest.fixture
def mounts(tmp_path, checked):
    """
    Two mounts of the directory that has the store: locks hold within one.
    """
    if shutil.which("bindfs") is None:
        pytest.skip("needs bindfs")
    source = Path(place_of(checked)[0]).parent
    with contextlib.ExitStack() as stack:
        places = [tmp_path.parent / f"{tmp_path.name}-{number}" for number in (1, 2)]
        for place in places:
            place.mkdir()
            with open(tmp_path / "stderr", "wb") as log:
                argv = ("bindfs", "-f", "--no-allow-other", source, place)
                program = subprocess.Popen(argv, stderr=log)
            stack.callback(program.wait)
            stack.callback(program.terminate)
            wait_until(lambda: place.is_mount() or program.poll() is not None)  # noqa: B023
            if not place.is_mount():
                reason = (tmp_path / "stderr").read_text().strip()
                pytest.skip(f"FUSE is refused: {reason}")
        yield [str(place / "cache") for place in places]


class TestTwoMounts:
    def test_one_notice(self, checked, mounts):
        """
        Two groups of processes give one notice per interval together.
        """
        directory = place_of(checked)[1]

        assert {1} == set(notices(100, "", directory, *mounts))

    def test_lost_updates(self, checked, mounts):
        """
        So it is, but for an error or a busy lock, beside checks and changes.
        """
        directory = place_of(checked)[1]
        counts = Counter(notices(50, "c", directory, *mounts))

        assert {0, 1} >= counts.keys()
        assert counts[1]

    def test_without_ticket(self, checked, mounts):
        """
        Without a ticket each mount gives one.
        """
        directory = place_of(checked)[1]

        assert 2 == max(notices(50, "t", directory, *mounts))

    def test_doctor(self, checked, mounts):
        """
        The doctor names the mount; the store behind it has no problem.
        """
        assert checked.claim_notice(lockfile=b"old", now=NOON + WEEK)
        assert [] == [*_doctor.findings(StateStore(place_of(checked)[0]))]

        (finding,) = _doctor.findings(StateStore(mounts[0]))
        assert "hold on this machine only (fuse" in finding.fact
        assert f"{mounts[0]}/v1" == finding.path
