"""Player that switches between input and output at equal loudness."""

from pathlib import Path
from typing import Any

import gradio as gr

TEMPLATE = """
${value ? `
<div class="ab" role="group" aria-label="${value.words.compare}" data-gain-db="${value.gain_db}">
  <audio class="ab-a" preload="auto" src="${value.a}"></audio>
  <audio class="ab-b" preload="auto" src="${value.b}"></audio>
  <button type="button" class="ab-play" aria-label="${value.words.play_pause}">▶</button>
  <div class="ab-swap" role="radiogroup" aria-label="${value.words.listening}">
    <button type="button" role="radio" class="ab-side" data-side="a" aria-checked="false">${value.words.input}</button>
    <button type="button" role="radio" class="ab-side" data-side="b" aria-checked="true">${value.words.output}</button>
  </div>
  <input type="range" class="ab-seek" min="0" max="1000" value="0" aria-label="${value.words.position}">
  <span class="ab-time" aria-live="off">0.0 s</span>
  <label class="ab-match"><input type="checkbox" class="ab-level" checked>
    ${value.words.match_loudness} (${value.gain_db > 0 ? "+" : ""}${value.gain_db.toFixed(1)} dB)</label>
</div>` : ""}
"""

STYLE = """
.ab { display: flex; flex-wrap: wrap; gap: .6rem; align-items: center; padding: .6rem .8rem;
  border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg);
  background: var(--block-background-fill); color: var(--body-text-color); }
.ab-play { width: 2.6rem; height: 2.6rem; border-radius: 50%; font-size: 1.1rem;
  background: var(--button-primary-background-fill); color: var(--button-primary-text-color); }
.ab-swap { display: inline-flex; border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg);
  overflow: hidden; }
.ab-side { padding: .45rem .9rem; }
.ab-side[aria-checked="true"] { background: var(--button-primary-background-fill);
  color: var(--button-primary-text-color); font-weight: 600; }
.ab-seek { flex: 1 1 8rem; min-width: 6rem; accent-color: var(--color-accent); }
.ab-time { font-variant-numeric: tabular-nums; min-width: 3.6rem; text-align: right; }
.ab-match { display: inline-flex; gap: .4rem; align-items: center; }
.ab button:focus-visible, .ab input:focus-visible { outline: 3px solid var(--color-accent); outline-offset: 2px; }
"""

# Only one of the two plays at a time. The louder one is turned down: turning the other up could clip it.
SCRIPT = """
let side = "b", shown = null, context = null;
const find = (name) => element.querySelector(name);
const sound = (which) => find(".ab-" + which);
// iOS ignores an element's volume; there the sound goes through a gain node, which needs a press of a button first.
const isFixed = (() => { const probe = new Audio(); probe.volume = 0.5; return probe.volume !== 0.5; })();
const gains = new WeakMap();
const setVolume = (audio, volume) => {
  if (!isFixed) { audio.volume = volume; return; }
  if (!context) return;
  if (!gains.has(audio)) {
    gains.set(audio, context.createGain());
    context.createMediaElementSource(audio).connect(gains.get(audio)).connect(context.destination);
  }
  gains.get(audio).gain.value = volume;
};
const level = () => {
  if (!find(".ab")) return;
  const gain = find(".ab-level").checked ? Number(find(".ab").dataset.gainDb) : 0;
  setVolume(sound("a"), gain < 0 ? 10 ** (gain / 20) : 1);
  setVolume(sound("b"), gain > 0 ? 10 ** (-gain / 20) : 1);
};
const choose = (next) => {
  if (next === side) return;
  const from = sound(side), to = sound(next), playing = !from.paused;
  to.currentTime = Math.min(from.currentTime, to.duration || from.currentTime);
  from.pause();
  side = next;
  if (playing) to.play();
};
const tick = () => {
  if (!find(".ab")) return;
  const now = sound(side);
  if (shown !== now.src) { shown = now.src; level(); }
  for (const button of element.querySelectorAll(".ab-side"))
    button.setAttribute("aria-checked", String(button.dataset.side === side));
  find(".ab-play").textContent = now.paused ? "▶" : "❚❚";
  find(".ab-time").textContent = now.currentTime.toFixed(1) + " s";
  if (now.duration && document.activeElement !== find(".ab-seek"))
    find(".ab-seek").value = 1000 * now.currentTime / now.duration;
};
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (isFixed) { context ??= new AudioContext(); context.resume(); level(); }
  if (button.classList.contains("ab-play")) { const now = sound(side); now.paused ? now.play() : now.pause(); }
  if (button.classList.contains("ab-side")) choose(button.dataset.side);
  tick();
});
element.addEventListener("input", (event) => {
  if (event.target.classList.contains("ab-level")) level();
  if (event.target.classList.contains("ab-seek")) {
    const now = sound(side);
    now.currentTime = event.target.value / 1000 * (now.duration || 0);
  }
});
setInterval(tick, 100);
"""


def build_player(elem_id: str = "player") -> gr.HTML:
    """Build an empty player."""
    return gr.HTML(value=None, html_template=TEMPLATE, css_template=STYLE, js_on_load=SCRIPT, elem_id=elem_id)


def player_value(player: gr.HTML, source: Path, output: Path, gain_db: float, words: dict[str, str]) -> dict[str, Any]:
    """Value of the player: two files and their loudness difference.

    The files are copied to the folder that gradio serves, and removed with its other copies.
    """
    urls = [f"gradio_api/file={player.move_resource_to_block_cache(path)}" for path in (source, output)]
    return {"a": urls[0], "b": urls[1], "gain_db": round(gain_db, 1), "words": words}
