"""Tables in Markdown, letter by letter."""

from train.common.markdown import table_head, table_row


def test_a_table_is_its_head_and_its_rows() -> None:
    assert table_head(["", "error", "F"]) == ["| | error | F |", "|---|---|---|"]
    assert table_row(["ours", 0.5, ""]) == "| ours | 0.5 |  |"
