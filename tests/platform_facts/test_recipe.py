"""What an app's environment is made from is found as pip finds it."""

from __future__ import annotations

from heroku_magic.platform_facts.recipe import Recipe


def test_an_included_file_is_looked_for_beside_a_link_and_not_beside_its_target(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "all.txt").write_text("-r base.txt\n")
    (tmp_path / "base.txt").write_text("pandas\n")
    (tmp_path / "requirements.txt").symlink_to("files/all.txt")
    assert [path.name for path in Recipe(tmp_path, {}).texts] == ["all.txt", "base.txt"]


def test_a_line_with_several_options_is_followed(tmp_path):
    (tmp_path / "wheels").mkdir()
    (tmp_path / "requirements.txt").write_text("--no-index --find-links wheels\n--pre -r base.txt\n")
    (tmp_path / "base.txt").write_text("pandas\n")
    recipe = Recipe(tmp_path.resolve(), {})
    assert [path.name for path in recipe.texts] == ["requirements.txt", "base.txt"]
    assert [path.name for path in recipe.projects] == ["wheels"]
