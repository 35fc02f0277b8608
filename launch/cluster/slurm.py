"""Ask SLURM: which jobs live, which partitions there are."""

from __future__ import annotations

import os
import subprocess

from launch.errors import CampaignError

#: States of jobs that hold their Firework; whatever else squeue knows has ended.
LIVE = frozenset(
    (
        *("PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "RESIZING"),
        *("REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"),
        *("SIGNALING", "STAGE_OUT"),
    )
)
TIMEOUT = 60.0  # s


def ask(*command: str) -> str:
    """
    Return what a SLURM command prints.

    Raises
    ------
    CampaignError
        If it is not there or fails, as when the controller does not answer.
    """
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
            env=_environment(),
        )
    except FileNotFoundError:
        raise CampaignError(
            f"{command[0]} is not on the PATH: run this where SLURM's commands are."
        ) from None
    except subprocess.TimeoutExpired:
        raise CampaignError(f"{command[0]} did not answer within {TIMEOUT:.0f} s.") from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise CampaignError(f"{command[0]} failed: {reason}.")
    return done.stdout


def _environment() -> dict[str, str]:
    """Without the variables in which a user keeps options, which would hide jobs from us."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SQUEUE_", "SINFO_"))
    }


def cluster_name() -> str | None:
    """SLURM's name of this cluster; none where SLURM does not answer."""
    try:
        rows = ask("scontrol", "show", "config").splitlines()
    except CampaignError:
        return None
    values = (row.partition("=") for row in rows)
    return next((value.strip() for key, _, value in values if key.strip() == "ClusterName"), None)


def jobs() -> dict[str, str]:
    """States of this user's jobs, by their number, as far as SLURM still knows them."""
    rows = ask(
        "squeue",
        "--noheader",
        "--all",
        "--user",
        str(os.getuid()),
        "--states=all",
        "--format=%A %T",
    )
    return dict(row.split()[:2] for row in rows.splitlines() if row.strip())


def partitions() -> dict[str, str]:
    """Time limits of the partitions by their names."""
    rows = ask("sinfo", "--noheader", "--all", "--format=%R %l")
    return dict(row.split()[:2] for row in rows.splitlines() if row.strip())
