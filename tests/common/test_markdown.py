"""Markdown tables, character by character."""

from train.common.markdown import table_head, table_row


def test_a_table_has_a_header_and_rows() -> None:
    assert table_head(["", "error", "F"]) == ["| | error | F |", "|---|---|---|"]
    assert table_row(["ours", 0.5, ""]) == "| ours | 0.5 |  |"
