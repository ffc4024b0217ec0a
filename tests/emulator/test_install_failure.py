from __future__ import annotations

import pytest

from heroku_magic.emulator.code.installer import describe_failure

WANTED = "# ours\n\nrequests\nrequests-cache==99\nMy_Package >= 2\n"


@pytest.mark.parametrize(
    ("conclusion", "where"),
    [
        ("ERROR: No matching distribution found for requests-cache==99", ", line 4: requests-cache==99"),
        ("ERROR: No matching distribution found for requests", ", line 3: requests"),
        ("  × No solution found: because my-package was not found, it cannot be used", ", line 5: My_Package >= 2"),
        ("ERROR: Invalid requirement: 'x y' (from line 2 of requirements.txt)", ", line 2: "),
        ("ERROR: Failed building wheel for My.Package", ", line 5: My_Package >= 2"),
        ("ERROR: Could not open the index", ""),
    ],
)
def test_the_failing_line_of_the_file_is_named_with_the_end_of_the_output(tmp_path, conclusion, where):
    (tmp_path / "requirements.txt").write_text(WANTED)
    output = ["Looking", "second", "", "third", conclusion]
    assert describe_failure(tmp_path / "requirements.txt", output).splitlines() == [
        f"The app's requirements.txt could not be installed{where}",
        "  second",
        "  third",
        f"  {conclusion}",
    ]
