"""The interpreter goes on when its code has been moved, and nothing is left writable and executable."""

import subprocess
import sys
from pathlib import Path

from rlvr_sandbox import jail

SCRIPT = """
import sys
sys.path.append(sys.argv[1])
from jail import huge_code
span = huge_code._interpreter()
moved = huge_code.use()
import decimal, json
assert json.loads(json.dumps([1, "a"])) == [1, "a"] and decimal.Decimal(1) / 4 == decimal.Decimal("0.25")
rows = open("/proc/self/maps").read().splitlines()
assert not [row for row in rows if row.split()[1].startswith("rwx")]
inside = [row for row in rows if span and int(row.split("-")[0], 16) == span.start]
print(moved, len(inside) == 1 and len(inside[0].split()) == 5)
"""


def test_the_interpreter_works_from_a_copy_of_its_code():
    folder = Path(jail.__file__).parent.parent
    ran = subprocess.run([sys.executable, "-c", SCRIPT, folder], capture_output=True, text=True, check=True)
    assert ran.stdout.split() in (["True", "True"], ["False", "False"]), ran.stderr
