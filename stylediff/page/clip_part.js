// The strip under the clip: its waveform, with the part that is converted. A drag chooses another part, a click all.
// gradio runs this once. `element` is the component, `props.value` what the server sent last; `watch` calls back when
// it sends more, and `trigger` tells it about a drag.

const DRAG_PIXELS = 6;
const find = (name) => element.querySelector(name);
let seconds = 0, part = [0, 0], most = 0;
let pressed = null;  // pixel and second at which a drag began

const draw = ([first, last]) => {
  const chosen = find(".part-chosen");
  chosen.style.left = `${100 * first / seconds}%`;
  chosen.style.width = `${100 * (last - first) / seconds}%`;
};

const receive = () => {
  const value = props.value ?? { lines: [] };
  find(".part-lines").replaceChildren(...(value.lines ?? []).map((line) => {
    const sentence = document.createElement("p");
    sentence.textContent = line;
    return sentence;
  }));
  ({ seconds = 0, part = [0, 0], most = 0 } = value);
  find(".part").hidden = !seconds;
  if (!seconds) return;
  find(".part").title = value.label;
  const step = 300 / value.peaks.length;
  find("path").setAttribute("d", value.peaks.map(
    (peak, index) => `M${(index + 0.5) * step} ${1 - peak}V${1 + peak}`,
  ).join(""));
  draw(part);
};

const secondAt = (event) => {
  const box = find(".part").getBoundingClientRect();
  return seconds * Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
};

// A drag to the right keeps its beginning, one to the left its end.
const stretch = (event) => {
  const from = pressed[1], to = secondAt(event);
  return to > from ? [from, Math.min(to, from + most)] : [Math.max(to, from - most), from];
};

find(".part").addEventListener("pointerdown", (event) => {
  pressed = [event.clientX, secondAt(event)];
  find(".part").setPointerCapture(event.pointerId);
});
find(".part").addEventListener("pointermove", (event) => {
  if (pressed && Math.abs(event.clientX - pressed[0]) >= DRAG_PIXELS) draw(stretch(event));
});
find(".part").addEventListener("pointercancel", () => {
  pressed = null;
  draw(part);
});
find(".part").addEventListener("pointerup", (event) => {
  if (!pressed) return;
  const isDrag = Math.abs(event.clientX - pressed[0]) >= DRAG_PIXELS;
  const [first, last] = isDrag ? stretch(event) : [0, most];
  pressed = null;
  trigger("select", { first, last });
});

watch("value", receive);
receive();
