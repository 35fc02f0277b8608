"""Files of potentials are whole or refused, and what was good stays when writing fails."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnp.descriptors import SymmetryFunctions
from nnp.formats.files import load_potential
from nnp.formats.simple_nn import write_simple_nn
from nnp.frames import Frames
from nnp.kernels.repulsion import Repulsion
from nnp.potential import Potential, PotentialFileError
from nnp.storage.arrays import decode_array, encode_array
from nnp.storage.checkpoint import read_checkpoint, write_checkpoint
from nnp.storage.documents import write_document
from tests.nnp.samples import disordered, random_potential

SMALL = SymmetryFunctions(("Si", "O"), ((0.01, 0.0), (0.5, 1.0)), ((0.01, 1.0, 1.0),), 5.0, 4.0)

Document = dict[str, Any]


@pytest.fixture
def potential() -> Potential:
    """Small ensemble with a repulsive core."""
    made = random_potential(SMALL, hidden=(4, 3), members=2)
    made.repulsion = Repulsion.below(SMALL.elements, np.full((2, 2), 1.0))
    return made


def document_of(path: Path) -> Document:
    """What is in a file of ours."""
    return dict(json.loads(zlib.decompress(path.read_bytes())))


def test_the_format_is_told_by_the_content(potential: Potential, tmp_path: Path) -> None:
    potential.save(tmp_path / "ours.txt")
    write_simple_nn(potential, tmp_path / "theirs.nnp")
    atoms = [disordered("Si2O4", 5.5)]
    energy = load_potential(tmp_path / "ours.txt").compute(atoms).energies[0]
    # SIMPLE-NN has no place for the core, which is not felt here.
    other = load_potential(tmp_path / "theirs.nnp").compute(atoms).energies[0]
    assert other == pytest.approx(energy, abs=1e-9)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["ours", "simple-nn"])
def test_a_file_that_is_cut_is_refused(
    potential: Potential, kind: str, share: float, tmp_path: Path
) -> None:
    path = tmp_path / "potential"
    _write(kind, potential, path)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(share * len(raw))])
    with pytest.raises(PotentialFileError, match=r"potential is not a potential that can be used"):
        load_potential(path)


@pytest.mark.parametrize("kind", ["ours", "simple-nn"])
def test_a_file_is_never_cut_unseen(potential: Potential, kind: str, tmp_path: Path) -> None:
    """The last bytes are the hardest: digits of the last bias, or the checksum of zlib."""
    path = tmp_path / "potential"
    _write(kind, potential, path)
    raw = path.read_bytes().rstrip()
    for missing in range(12):
        path.write_bytes(raw[: len(raw) - missing])
        if kind == "ours" and missing == 0:
            continue
        with pytest.raises(PotentialFileError, match=r"cut|incomplete|no SIMPLE-NN"):
            load_potential(path)


def _write(kind: str, potential: Potential, path: Path) -> None:
    if kind == "ours":
        potential.save(path)
    else:
        write_simple_nn(potential, path)


def test_a_file_that_was_edited_is_refused(potential: Potential, tmp_path: Path) -> None:
    path = tmp_path / "potential.nnp"
    potential.save(path)
    document = document_of(path)
    document["record"]["note"] = "not by us"
    path.write_bytes(zlib.compress(json.dumps(document).encode()))
    with pytest.raises(PotentialFileError, match="checksum does not fit; copy it again"):
        load_potential(path)


def _changed(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Document], None]:
    """Edit of one array of a document."""

    def edit(document: Document) -> None:
        if name in ("weights", "biases"):
            document[name][1] = encode_array(change(decode_array(document[name][1])))
        else:
            document[name] = encode_array(change(decode_array(document[name])))

    return edit


def _with(array: np.ndarray, value: float) -> np.ndarray:
    array[1, ..., 0] = value
    return array


def _drop(name: str) -> Callable[[Document], None]:
    return lambda document: document.pop(name)


def _set(name: str, value: Any) -> Callable[[Document], None]:
    return lambda document: document.__setitem__(name, value)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_changed("scale", lambda a: _with(a, 0.0)), "scale of symmetry function 1 of O is 0"),
        (_changed("scale", lambda a: _with(a, -1.0)), "scale of symmetry function 1 of O is -1"),
        (_changed("scale", lambda a: _with(a, np.nan)), "scale of O has numbers that are not"),
        (_changed("scale", lambda a: _with(a, 1e-320)), "a scale of O is too small"),
        (_changed("shift", lambda a: a[:, :-1]), "shift has shape"),
        (_changed("projection", lambda a: a[0]), "projection has shape"),
        (_changed("weights", lambda a: a[:, :, 1:]), "weights of layer 2 has shape"),
        (_changed("weights", lambda a: a[:, :1]), "weights of layer 2 has shape"),
        (_changed("weights", lambda a: _with(a, np.inf)), "weights of layer 2 of O has numbers"),
        (_changed("biases", lambda a: a[..., :-1]), "layer 2 has shape"),
        (_changed("biases", lambda a: _with(a, np.nan)), "biases of layer 2 of O has numbers"),
        (_changed("reference_energies", lambda a: a[:1]), "reference_energies has shape"),
        (_drop("biases"), "it has no 'biases'"),
        (_drop("functions"), "it has no 'functions'"),
        (_set("activation", "relu"), "tanh or sigmoid, not 'relu'"),
        (_set("weights", []), "0 layers of weights"),
        (_set("shift", {"dtype": "<f8", "shape": [9], "data": "AAAA"}), "an array of the"),
        (_set("calibration", {"floor": -1.0, "scale": 1.0}), "calibration must be finite"),
        (lambda d: d["functions"].__setitem__("elements", ["Si", "Xx"]), "no element 'Xx'"),
        (lambda d: d["functions"].__setitem__("radial_cutoff", float("inf")), "finite"),
        (_changed("weights", lambda a: _with(a, 1e300)), "layer 2 of O has numbers above 1e"),
        (_changed("shift", lambda a: _with(a, -1e300)), "shift of O has numbers above 1e"),
        (lambda d: d["functions"]["radial"][0].__setitem__(1, 1e300), "need Rs within 50 Å"),
        (lambda d: d["functions"].__setitem__("radial_cutoff", 1e6), "Cutoffs must be from"),
        (lambda d: d["functions"]["radial"][0].__setitem__(0, 1e300), "eta from 0 to"),
        (lambda d: d["functions"]["angular"][0].__setitem__(1, 1e6), "zeta above 0, to 128"),
        (lambda d: d["functions"]["radial"].__setitem__(0, d["functions"]["radial"][1]), "twice"),
        (lambda d: d["repulsion"].__setitem__("ends", [[99.0] * 2] * 2), "beyond the cutoff"),
        (_set("record", {"elements": ["O", "Si"]}), "trained on O, Si, in this order, and is for"),
        (lambda d: d["repulsion"].__setitem__("elements", ["O", "Si"]), "repulsion is for O, Si"),
        (lambda d: d["repulsion"].__setitem__("ends", [[1, float("nan")], [1, 1]]), "ends of the"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    potential: Potential, edit: Callable[[Document], None], message: str, tmp_path: Path
) -> None:
    """Also where the checksum is right, or is not there as in files of other programs."""
    path = tmp_path / "potential.nnp"
    potential.save(path)
    document = document_of(path)
    del document["checksum"]
    edit(document)
    path.write_bytes(zlib.compress(json.dumps(document).encode()))
    with pytest.raises(PotentialFileError, match=message) as without:
        load_potential(path)
    assert str(without.value).count(". ") == 0  # one sentence
    write_document(path, document)
    with pytest.raises(PotentialFileError, match=message):
        load_potential(path)


@pytest.mark.parametrize("content", [b"", b"nonsense", zlib.compress(b"[1, 2]"), b"\xff\xfe" * 99])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "potential.nnp").write_bytes(content)
    with pytest.raises(PotentialFileError, match="not a potential that can be used"):
        load_potential(tmp_path / "potential.nnp")
    with pytest.raises(FileNotFoundError):
        load_potential(tmp_path / "nothing")


def test_checksum_does_not_depend_on_the_order_of_keys(
    potential: Potential, tmp_path: Path
) -> None:
    numbers: dict[Any, Any] = {2: "two", 10: "ten", "numbers": [0.1, float("nan")]}
    potential.record = numbers
    path = tmp_path / "potential.nnp"
    potential.save(path)
    assert load_potential(path).record["2"] == "two"


def test_documents_are_checked_too(potential: Potential) -> None:
    document = potential.as_dict()
    _changed("scale", lambda a: _with(a, 0.0))(document)
    with pytest.raises(ValueError, match="scale of symmetry function 1 of O is 0"):
        Potential.from_dict(document)


def _save(path: Path) -> None:
    random_potential(SMALL).save(path)


def _write_simple_nn(path: Path) -> None:
    write_simple_nn(random_potential(SMALL), path)


def _write_frames(path: Path) -> None:
    Frames.from_atoms([disordered("Si2O4", 5.5)] * 90).write(path)


def _write_checkpoint(path: Path) -> None:
    numbers = np.random.default_rng(0).normal(size=4000)
    write_checkpoint(path, "run", {"parameters": numbers})


@pytest.mark.parametrize("write", [_save, _write_simple_nn, _write_frames, _write_checkpoint])
def test_a_full_disk_leaves_what_was_there(write: Callable[[Path], None], tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk; it holds for a process of its own."""
    path = tmp_path / "result"
    path.write_text("good")
    code = (
        "import sys, resource, signal, pathlib\n"
        "from tests.nnp import test_files\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))\n"
        "getattr(test_files, sys.argv[1])(pathlib.Path(sys.argv[2]))\n"
    )
    run = subprocess.run(
        [sys.executable, "-B", "-c", code, write.__name__, str(path)],
        capture_output=True, text=True, cwd=Path(__file__).parents[2],
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "NUMBA_DISABLE_JIT": "1"},
    )  # fmt: skip
    assert "File too large" in run.stderr
    assert path.read_text() == "good"
    assert [found.name for found in tmp_path.iterdir()] == ["result"]
    write(path)
    assert path.stat().st_size > 2048


def test_an_error_in_the_middle_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result"
    _write_simple_nn(path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("nnp.formats.simple_nn._write_network", fail)
    with pytest.raises(OSError, match="no space left"):
        _write_simple_nn(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_checkpoints_survive_and_belong_to_one_run(tmp_path: Path) -> None:
    _write_checkpoint(tmp_path / "folder" / "checkpoint")
    state = read_checkpoint(tmp_path / "folder" / "checkpoint", "run")
    assert state is not None
    assert len(state["parameters"]) == 4000
    assert read_checkpoint(tmp_path / "folder" / "checkpoint", "another") is None


def test_arrays_are_packed_as_tightly_as_wanted() -> None:
    numbers = np.tile(np.arange(500.0), 9)
    small, fast = encode_array(numbers, level=9), encode_array(numbers, level=1)
    assert len(small["data"]) < len(fast["data"])
    for document in (small, fast):
        np.testing.assert_array_equal(decode_array(document), numbers)
