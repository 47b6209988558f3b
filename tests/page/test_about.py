from stylediff.page.about import FLOW, SECTIONS, draw_flow, section, write_about
from tests.helpers.files import ROOT

PAGE = "# Title\n\n## Results\n\n![sheet](a.png)\n<!-- results -->\nnumbers\n<!-- /results -->\n\n## Limits\n\nnone\n"


def test_a_section_ends_where_the_next_begins():
    assert section(PAGE, "Results") == "## Results\n\nnumbers\n\n"
    assert section(PAGE, "Limits") == "## Limits\n\nnone\n"
    assert section(PAGE, "Missing") == ""


def test_links_to_files_are_left_out_and_others_stay():
    page = (
        "## Limits\n\nSee [why](DECISIONS.md), small ([page](unet/README.md)), after [it](https://arxiv.org/abs/1).\n"
    )
    assert section(page, "Limits") == "## Limits\n\nSee why, small, after [it](https://arxiv.org/abs/1).\n"


def test_the_readme_has_the_sections_that_the_page_shows():
    text = write_about(ROOT / "README.md")
    for title in (*SECTIONS, "Data and licences"):
        assert f"## {title}\n" in text
    assert "![" not in text


def test_without_a_readme_the_licences_remain(tmp_path):
    assert write_about(tmp_path / "README.md").strip().startswith("## Data and licences")


def test_the_flow_names_every_station():
    assert [draw_flow().count(f">{name}<") for name in FLOW] == [FLOW.count(name) for name in FLOW]
