"""The configuration that ``devitrify init`` writes, read by those for whom it is written."""

from __future__ import annotations

import os
import pwd
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fireworks.core.launchpad import WFLock
from fireworks.user_objects.queue_adapters.common_adapter import CommonAdapter

from launch.cluster.configuration import Configuration
from launch.cluster.files import ClusterDescription, write_files
from launch.database.connections import configure_fireworks
from launch.database.launchpad import CampaignLaunchPad
from launch.errors import CampaignError
from tests.launch.test_cli import call
from workflows.jobs.site import default_folder

URI = "mongodb://somebody:s3cret@127.0.0.1:1/?directConnection=true&serverSelectionTimeoutMS=100"
COMMON = ["init", "--db", URI, "--folder"]


def script(folder: Path, queue: str, launches: str = "/launches/here", **firework: object) -> str:
    """Return the batch script of a Firework."""
    adapter = CommonAdapter.from_dict(
        yaml.safe_load((folder / queue / "my_qadapter.yaml").read_text())
    )
    adapter.update(firework)
    return str(adapter.get_script_str(launches))


def test_a_knl_cluster(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "config"
    code, out, error = call(
        capsys, *COMMON, str(folder), "--site", "knl", "--partition", "knl", "--account", "me",
        "--walltime", "10:00:00", "--modules", "intel impi", "--potcars", "/pots",
        "--work", "/scratch/me",
    )  # fmt: skip
    assert code == 0, error
    assert "s3cret" not in out
    for path in folder.rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o077 == 0
            assert ("s3cret" in path.read_text()) == (
                path.name in ("my_launchpad.yaml", "jobflow.yaml")
            )

    # a Firework's own walltime wins over the queue's
    text = script(folder, "dft", walltime="02:00:00", nodes=2, job_name="liquid")
    lines = text.splitlines()
    for line in (
        "--partition=knl", "--account=me", "--nodes=2", "--time=02:00:00", "--exclusive",
        "--ntasks-per-node=64", "--cpus-per-task=4", "--constraint=knl&quad&cache",
        "--signal=B:USR1@300", "--no-requeue",
    ):  # fmt: skip
        assert f"#SBATCH {line}" in lines
    assert "module load intel impi" in lines
    # no two users, and no two clusters, share a worker's name
    user = pwd.getpwuid(os.getuid()).pw_name
    assert all(name.startswith(f"{user}@") for name in Configuration(folder).worker_names())
    assert "export OMP_NUM_THREADS=1" in lines
    commands = yaml.safe_load((folder / "atomate2.yaml").read_text())
    assert commands["VASP_CMD"] == "srun --cpu-bind=cores vasp_std"
    started = [line for line in lines if line.startswith("exec ")]
    assert len(started) == 1
    assert started[0].endswith(f"-m launch.cluster.supervisor {folder}/dft singleshot")
    assert "$${" not in text
    # the potential's jobs take the whole node
    assert "#SBATCH --cpus-per-task=272" in script(folder, "nnp").splitlines()
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)

    settings = yaml.safe_load((folder / "devitrify.yaml").read_text())
    assert settings["checkpoints"] == "/scratch/me/checkpoints"
    assert settings["resources"]["dft"]["default"] == {"walltime": "10:00:00", "nodes": 1}
    environment = (folder / "env.sh").read_text()
    shown = subprocess.run(
        ["bash", "-c", f"{environment}\necho $DEVITRIFY_CONFIG $PMG_VASP_PSP_DIR"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stdout.split() == [str(folder), "/pots"]


def test_folders_with_a_blank(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The script finds its environment and its launch's folder, which it runs in."""
    folder, launches = tmp_path / "my config", tmp_path / "my launches"
    launches.mkdir()
    code, _, error = call(
        capsys, *COMMON, str(folder), "--site", "cpu", "--partition", "p"
    )  # fmt: skip
    assert code == 0, error
    text = script(folder, "dft", str(launches), rocket_launch="env")
    done = subprocess.run(["bash"], input=text, capture_output=True, text=True, check=True)
    assert f"PWD={launches}" in done.stdout.splitlines()
    assert f"DEVITRIFY_CONFIG={folder}" in done.stdout.splitlines()


def test_sixteen_ranks_of_four_threads(tmp_path: Path) -> None:
    site = ClusterDescription("knl", URI, partitions={"dft": "p", "nnp": "p"}, layout="16x4")
    adapter = yaml.safe_load(site.files(tmp_path)["dft/my_qadapter.yaml"])
    assert adapter["ntasks_per_node"] * adapter["cpus_per_task"] <= 272
    assert (adapter["ntasks_per_node"], adapter["omp_num_threads"]) == (16, 4)
    # threads are bound by what VASP alone is given, see the next test
    commands = yaml.safe_load(site.files(tmp_path)["atomate2.yaml"])
    assert (
        "--export=ALL,OMP_PROC_BIND=spread,OMP_PLACES=cores vasp_gam"
        in (commands["VASP_GAMMA_CMD"])
    )
    assert (
        ClusterDescription("local", URI, vasp_command="mpirun v")
        .files(tmp_path)["atomate2.yaml"]
        .startswith("VASP_CMD: mpirun v\n")
    )
    with pytest.raises(CampaignError, match="64x1 or 16x4"):
        ClusterDescription("knl", URI, layout="8x8")


@pytest.mark.parametrize("layout", ["64x1", "16x4"])
def test_no_process_of_a_job_is_bound_to_one_core(tmp_path: Path, layout: str) -> None:
    """An OpenMP runtime that is told to bind takes its process, and all children, to one core."""
    site = ClusterDescription("knl", URI, partitions={"dft": "p", "nnp": "p"}, layout=layout)
    write_files(tmp_path, site.files(tmp_path))
    show = (
        "import os, torch;"
        "torch.ones(300, 300).mm(torch.ones(300, 300));"
        "print(len(os.sched_getaffinity(0)))"
    )
    started = f"{shlex.quote(sys.executable)} -c {shlex.quote(show)}"
    for queue in ("dft", "nnp"):
        text = script(tmp_path, queue, str(tmp_path), rocket_launch=started)
        done = subprocess.run(["bash"], input=text, capture_output=True, text=True, check=True)
        assert int(done.stdout) == len(os.sched_getaffinity(0))


def test_an_existing_configuration_is_left_alone(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert call(capsys, *COMMON, str(tmp_path), "--site", "local")[0] == 0
    before = {path: path.read_text() for path in tmp_path.rglob("*.yaml")}
    (tmp_path / "env.sh").unlink()
    code, _, error = call(capsys, *COMMON, str(tmp_path), "--site", "local", "--database", "x")
    assert code == 1
    assert "configuration already" in error
    assert before == {path: path.read_text() for path in tmp_path.rglob("*.yaml")}
    assert not (tmp_path / "env.sh").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--site", "gpu"], "--site takes knl, cpu, local"),
        (["--site", "cpu"], "--partition"),
        (["--site", "local", "--walltime", "12h"], "hours:minutes:seconds"),
        (["--site", "local", "--walltime", "00:09:00"], "too short"),
        (["--site", "local", "--db", "somewhere:27017"], "mongodb://"),
        (["--site", "local", "--db", "mongodb://me:s3c/ret@host:1/"], "percent-encoded"),
    ],
)
def test_mistakes_get_a_sentence_and_no_folder(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], message: str
) -> None:
    code, _, error = call(capsys, *COMMON, str(tmp_path / "c"), *arguments)
    assert code == 1
    assert message in error
    assert "s3c" not in error
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    "uri", ["mongodb://me:s3c/ret@host:1/", "mongodb://me:s3c:ret@h/", "mongodb+srv://me:s@3cret@h"]
)
def test_a_malformed_uri_gets_a_sentence_without_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, uri: str
) -> None:
    for name, text in ClusterDescription("local", uri).files(tmp_path).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = Configuration.find(tmp_path)
    for connect in (found.launchpad, found.job_store):
        with pytest.raises(CampaignError, match="is malformed") as raised:
            connect()
        assert "s3c" not in str(raised.value)
        assert "ret" not in str(raised.value).replace(str(tmp_path), "")
    code, out, error = call(capsys, "doctor", "--folder", str(tmp_path), "--prepare")
    assert code == 1
    assert "malformed" in error
    assert "s3c" not in out + error


def test_the_configuration_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVITRIFY_CONFIG", str(tmp_path))
    assert default_folder() == tmp_path
    with pytest.raises(CampaignError, match="devitrify init"):
        Configuration.find()
    for name, text in (
        ClusterDescription("local", URI, database="mine", name="here").files(tmp_path).items()
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = Configuration.find()
    assert found.worker_names() == {"here-dft", "here-nnp"}
    assert found.worker("nnp").category == "nnp"
    pad = found.launchpad()
    assert WFLock.__init__.__defaults__ == (300, True)
    (tmp_path / "FW_config.yaml").write_text("WFLOCK_EXPIRATION_SECS: 100\n")
    found.launchpad()
    assert WFLock.__init__.__defaults__ == (100, True)
    configure_fireworks()  # other tests' databases are local
    assert isinstance(pad, CampaignLaunchPad)
    assert pad.name == "mine"
    assert set(found.job_store().additional_stores) == {"data"}
    (tmp_path / "my_launchpad.yaml").write_text("host: {s3cret")
    with pytest.raises(CampaignError) as raised:
        found.launchpad()
    assert "s3cret" not in str(raised.value)
