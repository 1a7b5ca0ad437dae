"""What is imported as heavy comes silently, stays out of the search for garbage, and is left at once at the end."""

import gc
import subprocess
import sys

import pytest

from cnnClassifier.importing import heavy_imports


class Node:
    """Something that only the search for garbage finds once it is part of a circle."""

    alive = 0

    def __init__(self) -> None:
        self.itself = self
        Node.alive += 1

    def __del__(self) -> None:
        Node.alive -= 1


def test_garbage_is_looked_for_again_afterwards_even_if_an_import_failed():
    with pytest.raises(ModuleNotFoundError), heavy_imports():
        import nothing_of_that_name  # noqa: F401
    assert gc.isenabled()
    Node()
    gc.collect()
    assert Node.alive == 0


def test_what_came_in_the_block_is_not_looked_through_again():
    before = gc.get_freeze_count()
    with heavy_imports():
        kept = [[] for _ in range(1000)]
    assert gc.get_freeze_count() >= before + len(kept)


def test_a_process_that_ends_at_once_still_does_what_it_was_to_do_at_its_end(tmp_path):
    script = (
        "import atexit, sys\n"
        "from cnnClassifier.importing import skip_final_collection\n"
        "skip_final_collection()\n"
        "atexit.register(print, 'said at the end')\n"
        "file = open(sys.argv[1], 'w')\n"
        "file.write('written')\n"
    )
    told = subprocess.check_output([sys.executable, "-c", script, tmp_path / "file"], text=True)
    assert told == "said at the end\n"
    assert (tmp_path / "file").read_text() == "written"
