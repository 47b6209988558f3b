"""The player in a browser, with the example that the page opens with."""

import time

import pytest

from tests.helpers.visitors import choose_steps, upload, wait_until_done

AT = "Number(document.querySelector('#player .ab-lanes').ariaValueNow)"
GAINS = "document.querySelector('#player [data-gains]').dataset.gains.split(',').map(Number)"
STATE = "document.querySelector('#player .ab-play').dataset.state"


@pytest.mark.browser
def test_a_switch_keeps_the_position_and_the_louder_one_is_turned_down(visit):
    visitor = visit()
    visitor.click("#player .ab-play")
    visitor.wait_for_function(f"{AT} > 0.2")
    input_gain, output_gain = visitor.evaluate(GAINS)
    assert input_gain == 0
    started, before = time.monotonic(), visitor.evaluate(AT)
    visitor.check("#player .ab-side input[value=a]")
    assert visitor.evaluate(STATE) == "playing"
    after = visitor.evaluate(AT)
    assert before <= after <= before + time.monotonic() - started + 0.3
    gain, silent = visitor.evaluate(GAINS)
    assert silent == 0
    assert min(gain, output_gain) < max(gain, output_gain) == 1
    visitor.uncheck("#player .ab-level")
    assert visitor.evaluate(GAINS) == [1, 0]


@pytest.mark.browser
def test_a_click_moves_the_line_and_a_drag_loops_a_stretch(visit):
    visitor = visit()
    box = visitor.locator("#player .ab-lanes").bounding_box()
    length = float(visitor.get_attribute("#player .ab-lanes", "aria-valuemax"))
    y = box["y"] + 40
    visitor.mouse.click(box["x"] + box["width"] / 2, y)
    assert visitor.evaluate(AT) == pytest.approx(length / 2, abs=0.1)
    visitor.mouse.move(box["x"] + 0.5 * box["width"], y)
    visitor.mouse.down()
    visitor.mouse.move(box["x"] + 0.6 * box["width"], y, steps=4)
    visitor.mouse.up()
    assert visitor.is_checked("#player .ab-loop")
    assert visitor.evaluate(AT) == pytest.approx(length / 2, abs=0.1)
    visitor.click("#player .ab-play")
    visitor.wait_for_timeout(1500)
    assert visitor.evaluate(STATE) == "playing"
    assert 0.48 * length < visitor.evaluate(AT) < 0.62 * length


@pytest.mark.browser
def test_keys_play_switch_and_move(visit):
    visitor = visit()
    visitor.keyboard.press("ArrowRight")
    assert visitor.evaluate(AT) == pytest.approx(1.0)
    visitor.keyboard.press("a")
    assert visitor.is_checked("#player .ab-side input[value=a]")
    visitor.keyboard.press(" ")
    visitor.wait_for_function(f"{STATE} === 'playing'")
    visitor.keyboard.press(" ")
    visitor.wait_for_function(f"{STATE} === 'paused'")
    visitor.keyboard.press("Home")
    assert visitor.evaluate(AT) == 0


@pytest.mark.browser
def test_only_one_thing_sounds(visit):
    visitor = visit()
    visitor.click("#player .ab-play")
    visitor.wait_for_function(f"{STATE} === 'playing'")
    with visitor.expect_response("**/violin.mp3") as heard:
        visitor.click("#hear")
    assert heard.value.ok
    visitor.wait_for_function(f"{STATE} === 'paused'")


@pytest.mark.browser
def test_takes_are_kept_compared_and_shared(visit, clip):
    visitor = visit("?steps=1")
    upload(visitor, clip)
    for name in ("harp", "flute"):
        visitor.get_by_label(name).first.check()
        visitor.click("#go")
        visitor.wait_for_function(f"document.querySelector('#player .ab-title').innerText === 'clip → {name.title()}'")
        wait_until_done(visitor)
        choose_steps(visitor, 2)
    assert visitor.locator("#player .ab-takes button").all_inner_texts() == ["1 Harp", "2 Flute"]
    visitor.select_option("#player .ab-takes select", index=1)
    assert visitor.locator("#player .ab-name").all_inner_texts()[:2] == ["1 Harp", "Flute"]
    visitor.click("#player .ab-takes button >> nth=0")
    assert visitor.inner_text("#player .ab-title") == "clip → Harp"
    visitor.click("#player >> text=Copy link")
    link = visitor.evaluate("navigator.clipboard.readText()")
    visitor.reload(wait_until="domcontentloaded")
    visitor.wait_for_function("document.querySelectorAll('#player .ab-takes button').length === 2")
    assert visitor.inner_text("#player .ab-title") == "clip → Flute"
    other = visit(link.split("/")[-1], locale="de-DE")
    assert other.inner_text("#player .ab-title") == "clip → Harp"
    assert other.inner_text("#player .ab-lane:first-child .ab-name") == "Eingang"


@pytest.mark.browser
def test_a_link_to_a_result_that_is_gone_says_so(visit, address):
    visitor = visit()
    visitor.goto(f"{address}?take=abcdefgh")
    visitor.wait_for_selector(".toast-body")
    assert "Results are kept for one hour" in visitor.inner_text(".toast-body")


@pytest.mark.browser
def test_a_link_is_shown_where_it_cannot_be_copied(visit):
    visitor = visit()
    visitor.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    asked = []
    visitor.on("dialog", lambda dialog: asked.append(dialog.default_value))
    visitor.click("#advanced button")
    visitor.click("#link")
    visitor.wait_for_timeout(500)
    assert "target=violin" in asked[0]
