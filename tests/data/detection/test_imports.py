"""The data room stands without Detectron2, and without the rooms above it."""

import subprocess
import sys

PROGRAM = """
import importlib, pkgutil, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "detectron2":
            raise ImportError(f"{name} was asked for")

sys.meta_path.insert(0, Refuse())
import robust_det.data
names = [m.name for m in pkgutil.walk_packages(robust_det.data.__path__, "robust_det.data.")]
for name in names:
    importlib.import_module(name)
rooms = {m.split(".")[1] for m in sys.modules if m.startswith("robust_det.")}
print(len(names), *sorted(rooms))
"""


def test_the_data_room_needs_core_alone() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    count, *rooms = done.stdout.split()
    assert int(count) > 30 and rooms == ["core", "data"]
