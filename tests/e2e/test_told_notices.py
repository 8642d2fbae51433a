"""What happens under a real daemon reaches a webhook, signed, once, also when the daemon is killed in between."""

import hashlib
import hmac
import json
from pathlib import Path

import pytest
from tests.e2e.command_root import BROKEN, GOOD, CommandRoot
from tests.far_side import Asked, FarSide, answers, far_side, hangs
from tests.harness import wait_until

from orchestrator.kit.failpoints import VARIABLE

SECRET = "a-secret-of-some-length"


def told(far: FarSide, kind: str) -> list[Asked]:
    return [one for one in list(far.asked) if one.json["kind"] == kind]


@pytest.fixture
def root(tmp_path: Path) -> CommandRoot:
    made = CommandRoot(tmp_path)
    made.env["HOOK_SECRET"] = SECRET
    return made


def configure(root: CommandRoot, far: FarSide) -> None:
    (root.path / "config").mkdir(exist_ok=True)
    place = f"{{to: webhook, name: ops, url: '{far.address}/tell', secret_env: HOOK_SECRET}}"
    (root.path / "config" / "orchestrator.yaml").write_text(f"notify: [{place}]\n")


def test_a_failure_and_the_end_of_a_batch_are_told_signed_and_once(root: CommandRoot) -> None:
    with far_side() as far:
        configure(root, far)
        far.acts = [answers(503), answers(204)]
        root.drop("good", GOOD)
        root.drop("bad", BROKEN)  # before anybody was ever to be told: what ends from now on is told
        with root.daemon() as running:
            wait_until(lambda: told(far, "failed") and told(far, "batch_finished"), what="both notices")
            assert running.stop() == 0
        failed, batch = told(far, "failed"), told(far, "batch_finished")
        assert {one.headers["Webhook-Id"] for one in failed} == {failed[0].headers["Webhook-Id"]}
        assert failed[0].json["title"].startswith("bad: FAILED")
        assert f"{root.command} show bad" in failed[0].json["commands"]
        assert len(batch) == 1
        assert batch[0].json["title"].startswith("Batch finished: 2 tasks ended: ")
        for one in far.asked:
            stamped = one.headers["Webhook-Timestamp"].encode() + b"." + one.body
            right = hmac.new(SECRET.encode(), stamped, hashlib.sha256).hexdigest()
            assert one.headers["X-Orchestrator-Signature"] == f"sha256={right}"
        assert SECRET not in root.log() + (root.path / "daemon.out").read_text()
        assert not root.events("warning")


def test_a_daemon_that_is_killed_between_the_far_sides_yes_and_its_own_note_sends_the_same_message(
    root: CommandRoot,
) -> None:
    with far_side() as far:
        configure(root, far)
        with root.daemon(**{VARIABLE: "notice.taken:1:kill"}) as running:
            root.wait_event("daemon_started")
            root.drop("bad", BROKEN)
            wait_until(lambda: running.process.poll() is not None, what="the kill")
        assert len(told(far, "failed")) == 1
        with root.daemon() as running:
            wait_until(lambda: len(told(far, "failed")) > 1, what="the notice")
            assert running.stop() == 0
        first, again = told(far, "failed")
        assert first.headers["Webhook-Id"] == again.headers["Webhook-Id"]
        assert (first.json["again"], again.json["again"]) == (False, True)


def test_a_far_side_that_hangs_delays_no_task_and_no_end(root: CommandRoot) -> None:
    with far_side(FarSide(always=hangs)) as far:
        configure(root, far)
        with root.daemon() as running:
            root.wait_event("daemon_started")
            root.drop("bad", BROKEN)
            wait_until(lambda: far.asked, what="a try")
            root.drop("good", GOOD)
            root.wait("good")
            assert running.stop() == 0
    with far_side() as well:
        configure(root, well)
        with root.daemon() as running:
            wait_until(lambda: told(well, "failed"), what="what was owed")
            assert running.stop() == 0
        assert told(well, "failed")[0].json["again"]


def test_notify_test_and_doctor_say_whether_it_arrives(root: CommandRoot) -> None:
    with far_side() as far:
        configure(root, far)
        assert root.call("notify", "test").stdout == "ops: told\n"
        assert far.asked[0].json["title"] == "Test of notices to ops"
        far.acts = [answers(401)]
        assert "ops: NOT told - the far side answered 401" in root.call("notify", "test", "ops", code=1).stdout
        assert "no place is called 'nobody'" in root.call("notify", "test", "nobody", code=4).stderr
        looked = json.loads(root.call("doctor", "--json", code=None).stdout)
        (line,) = [one for one in looked["findings"] if one["group"] == "notify"]
        assert (line["level"], line["name"]) == ("pass", "ops")
        lacking = root.call("notify", "test", code=1, HOOK_SECRET="").stdout
        assert lacking == "ops: NOT told - the variable HOOK_SECRET is not set\n"
