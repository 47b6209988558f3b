"""What other sites see of the page."""

import re

import httpx

from stylediff.page.link_previews import CARD, replace_tags


def test_a_link_shows_the_pages_own_title_picture_and_address(address):
    page = httpx.get(address).text
    assert re.findall(r'property="og:title" content="([^"]*)"', page) == ["StyleDiff"]
    assert re.findall(r'property="og:url" content="([^"]*)"', page) == [address]
    [picture] = re.findall(r'property="og:image" content="([^"]*)"', page)
    assert httpx.get(picture).content == CARD.read_bytes()
    assert "the notes stay, the sound changes" in page
    assert "Click to try out the app" not in page


def test_the_address_is_that_of_a_proxy(address):
    page = httpx.get(address, headers={"x-forwarded-proto": "https", "x-forwarded-host": "sound.example"}).text
    assert 'property="og:url" content="https://sound.example/"' in page


def test_the_page_has_an_icon_of_its_own(address):
    assert httpx.get(f"{address}favicon.ico").content.startswith(b"\x89PNG")


def test_other_tags_stay():
    page = '<head><meta charset="utf-8" /><meta property="og:title" content="Gradio" /></head>'
    assert replace_tags(page, "<i>") == '<head><meta charset="utf-8" /><i>\n</head>'
