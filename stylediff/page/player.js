// The player of a result: spectrograms under one moving line, and two sounds at one position, one of them audible.
// gradio runs this once for each player. `element` is the player, `props.value` what the server sent last; `watch`
// calls back when it sends more, and `trigger` tells it about a click.

const find = (name) => element.querySelector(name);
const all = (name) => [...element.querySelectorAll(name)];
const clock = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;
const MOST_TAKES = 12, DRAG_PIXELS = 6, MOST_ZOOM = 16, FADE_S = 0.01, STEP_S = 1;
const STORE = "stylediff.takes";

let shown = null;  // the value on view
let other = null;  // a take to compare with, instead of the input
let takes = [];

// ---- Sound: both files start together; a switch moves the gains, so the position stays. ----

let context = null, buffers = null, loading = null, sources = [], gains = [];
let isPlaying = false, from = 0, startedAt = 0;  // second of the clip at which, and time of the context when it started
let stretch = null;  // first and last second of the loop; null for the whole clip

const side = () => find(".ab-side input:checked").value;
const loops = () => find(".ab-loop").checked;
const seconds = () => shown?.seconds ?? 0;
const bounds = () => (loops() && stretch) || [0, seconds()];

const position = () => {
  if (!isPlaying) return from;
  const at = from + context.currentTime - startedAt, [first, last] = bounds();
  return loops() && at >= last ? first + ((at - first) % (last - first)) : Math.min(at, seconds());
};

// The louder sound is turned down: turning the other up could clip it.
const setGains = () => {
  const louder = find(".ab-level").checked ? shown.gain_db - (other?.gain_db ?? 0) : 0;
  const levels = [louder < 0 ? 10 ** (louder / 20) : 1, louder > 0 ? 10 ** (-louder / 20) : 1];
  const audible = [side() === "a" ? levels[0] : 0, side() === "b" ? levels[1] : 0];
  element.dataset.gains = audible.map((level) => level.toFixed(3)).join();
  gains.forEach((node, index) => node.gain.setTargetAtTime(audible[index], context.currentTime, FADE_S));
};

const urls = () => [other ? other.sounds[1] : shown.sounds[0], shown.sounds[1]];

const read = async (url) => {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return context.decodeAudioData(await answer.arrayBuffer());
};

const load = () => loading ??= Promise.all(urls().map(read)).then((decoded) => { buffers = decoded; });

const silence = () => {
  for (const source of sources) source.stop();
  sources = [];
};

const start = () => {
  const [first, last] = bounds();
  if (from >= last - 0.01 || (loops() && from < first)) from = first;
  silence();
  sources = buffers.map((buffer, index) => {
    const source = new AudioBufferSourceNode(context, { buffer, loop: loops(), loopStart: first, loopEnd: last });
    source.connect(gains[index]);
    source.start(0, from);
    return source;
  });
  startedAt = context.currentTime;
  isPlaying = true;
  setGains();
  follow();
};

const pause = () => {
  from = position();
  isPlaying = false;
  silence();
  draw();
};

const play = async () => {
  context ??= new AudioContext();
  context.resume();  // in the click itself: phones refuse it later
  if (!gains.length) gains = [0, 1].map(() => {
    const gain = new GainNode(context, { gain: 0 });
    gain.connect(context.destination);
    return gain;
  });
  const wanted = shown;
  try { await load(); } catch (error) {
    loading = null;
    console.warn(error);
    find(".ab-time").textContent = wanted.words.cannot_play;
    return;
  }
  if (wanted !== shown) return;
  document.dispatchEvent(new CustomEvent("sound", { detail: element }));
  start();
};

const seek = (to) => {
  const wasPlaying = isPlaying;
  if (isPlaying) pause();
  from = Math.max(0, Math.min(seconds(), to));
  if (wasPlaying) start(); else draw();
};

const restart = () => { if (isPlaying) seek(position()); };

const forgetSound = () => {
  if (isPlaying) pause();
  buffers = loading = null;
};

document.addEventListener("sound", ({ detail }) => { if (detail !== element && isPlaying) pause(); });

// ---- View: the line, the loop, the time. ----

const share = (second) => `${100 * second / (seconds() || 1)}%`;

const draw = () => {
  const at = position(), lanes = find(".ab-lanes"), text = `${clock(at)} / ${clock(seconds())}`;
  find(".ab-line").style.left = share(at);
  find(".ab-time").textContent = text;
  lanes.setAttribute("aria-valuenow", at.toFixed(1));
  lanes.setAttribute("aria-valuetext", text);
  const [first, last] = stretch ?? [0, 0], mark = find(".ab-stretch");
  mark.hidden = !stretch;
  mark.style.left = share(first);
  mark.style.width = share(last - first);
  find(".ab-play").dataset.state = isPlaying ? "playing" : "paused";
};

const follow = () => {
  if (!isPlaying) return;
  if (!loops() && position() >= seconds() - 0.01) { pause(); from = 0; draw(); return; }
  draw();
  const view = find(".ab-view"), at = find(".ab-line").offsetLeft;
  if (at < view.scrollLeft || at > view.scrollLeft + view.clientWidth) view.scrollLeft = at - 20;
  requestAnimationFrame(follow);
};

const drawRuler = () => {
  const step = [1, 2, 5, 10, 20, 30, 60].find((size) => seconds() / size <= 8) ?? 120, marks = [];
  for (let at = step; at < seconds() - step / 4; at += step) {
    const mark = document.createElement("span");
    mark.textContent = `${Math.floor(at / 60)}:${String(at % 60).padStart(2, "0")}`;
    mark.style.left = share(at);
    marks.push(mark);
  }
  find(".ab-ruler").replaceChildren(...marks);
};

const link = ([label, url, name]) => {
  const made = document.createElement("a");
  Object.assign(made, { href: url, download: name, textContent: label, className: "ab-file", draggable: true });
  made.addEventListener("dragstart", (event) => {  // Chromium drops the file itself into a folder or a program
    event.dataTransfer.setData("DownloadURL", `application/octet-stream:${name}:${made.href}`);
  });
  return made;
};

const button = (text, click, pressed) => {
  const made = document.createElement("button");
  Object.assign(made, { type: "button", textContent: text, className: "ab-file" });
  if (pressed !== undefined) made.setAttribute("aria-pressed", String(pressed));
  made.addEventListener("click", () => click(made));
  return made;
};

const drawFiles = () => {
  const { words, files, id } = shown, row = files.map(link);
  if (id) {
    const address = `${location.origin}${location.pathname}?take=${id}`;
    row.push(button(words.copy_result, (made) => window.stylediff.copy(address, made)));
    row.push(button(words.use_as_source, () => trigger("select", { id })));
  }
  find(".ab-files").replaceChildren(...row);
};

const drawTakes = () => {
  const { words } = shown, row = [];
  takes.forEach((take, index) => row.push(button(`${index + 1} ${take.target}`, () => show(take), take.id === shown.id)));
  const others = takes.filter((take) => take.id !== shown.id);
  if (others.length) {
    const choice = document.createElement("select");
    choice.ariaLabel = words.compare_with;
    choice.append(new Option(`${words.compare_with}: ${words.input}`, ""));
    for (const take of others)
      choice.append(new Option(`${words.compare_with}: ${takes.indexOf(take) + 1} ${take.target}`, take.id));
    choice.value = other?.id ?? "";
    choice.addEventListener("change", () => compare(takes.find((take) => take.id === choice.value) ?? null));
    row.push(choice);
  }
  find(".ab-takes").replaceChildren(...row);
};

const drawLanes = () => {
  const names = [other ? `${takes.indexOf(other) + 1} ${other.target}` : shown.words.input, shown.target];
  const pictures = [other ? other.pictures[1] : shown.pictures[0], shown.pictures[1], shown.pictures[2]];
  all(".ab-lane").forEach((lane, index) => {
    lane.classList.toggle("ab-plain", !pictures[index]);
    if (pictures[index]) lane.querySelector("img").src = pictures[index];
    else lane.querySelector("img").removeAttribute("src");
    if (index < 2) lane.querySelector(".ab-name").textContent = names[index];
  });
  all(".ab-side span").forEach((label, index) => { label.textContent = names[index]; });
  find(".ab-differs").hidden = !pictures[2] || Boolean(other);
  find(".ab-change").hidden = find(".ab-differs").hidden || !find(".ab-difference").checked;
};

// Notes are lines on the first two lanes, the input's and the result's.
const drawNotes = () => {
  const notes = [other ? other.notes?.[1] : shown.notes?.[0], shown.notes?.[1]];
  const isShown = find(".ab-show-notes").checked;
  find(".ab-has-notes").hidden = !notes[1]?.length;
  all(".ab-notes").forEach((drawing, index) => drawing.replaceChildren(...(isShown && notes[index] || []).map(
    ([left, right, height]) => {
      const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
      for (const [name, value] of Object.entries({ x1: left, x2: right, y1: 1 - height, y2: 1 - height }))
        line.setAttribute(name, value);
      return line;
    },
  )));
};

const compare = (take) => {
  forgetSound();
  other = take;
  drawLanes();
  drawNotes();
  setGains();
};

// ---- Values: a new one is shown; one that only adds to the take on view goes on playing. ----

const show = (value) => {
  const isSame = shown && value.id && shown.id === value.id;
  if (!isSame) {
    forgetSound();
    other = stretch = null;
    from = 0;
  }
  shown = value;
  for (const part of all("[data-text]")) part.textContent = value.words[part.dataset.text];
  for (const part of all("[data-label]")) part.ariaLabel = part.title = value.words[part.dataset.label];
  find(".ab-lanes").setAttribute("aria-valuemax", seconds().toFixed(1));
  find(".ab-title").textContent = value.title;
  find(".ab-facts ul").replaceChildren(...value.facts.map((line) => {
    const item = document.createElement("li");
    item.textContent = line;
    return item;
  }));
  find(".ab-facts").hidden = !value.facts.length;
  for (const part of [drawRuler, drawLanes, drawNotes, drawFiles, drawTakes, draw, setGains]) part();
  find(".ab").hidden = false;
};

const keep = (value) => {
  const place = takes.findIndex((take) => take.id === value.id);
  if (place < 0) takes.push(value); else takes[place] = value;
  takes = takes.slice(-MOST_TAKES);
  sessionStorage.setItem(STORE, JSON.stringify(takes));
};

const receive = () => {
  const value = props.value;
  if (!value?.sounds) return;
  if (value.is_arrival && takes.length) { show(takes.at(-1)); return; }  // of this visit, before a refresh
  const isNew = !value.is_arrival && value.id !== shown?.id;
  if (value.id) keep(value);
  show(value);
  if (value.is_arrival) return;
  document.body.classList.remove("old-result");
  if (isNew) find(".ab-play").scrollIntoView({ block: "nearest" });  // it may be a screen away on a phone
};

const recall = async () => {
  const kept = JSON.parse(sessionStorage.getItem(STORE) ?? "[]");
  const answers = await Promise.all(kept.map((take) => fetch(take.sounds[1], { method: "HEAD" }).catch(() => null)));
  takes = kept.filter((_, index) => answers[index]?.ok);
  receive();
};

// ---- Hands and keys. ----

const toggle = () => (isPlaying ? pause() : play());

const choose = (which) => {
  find(`.ab-side input[value=${which}]`).checked = true;
  setGains();
};

find(".ab-play").addEventListener("click", toggle);
for (const input of all(".ab-side input")) {
  input.name = `ab-${element.closest("[id]").id}`;
  input.addEventListener("change", setGains);
}
find(".ab-level").addEventListener("change", setGains);
find(".ab-difference").addEventListener("change", drawLanes);
find(".ab-show-notes").addEventListener("change", drawNotes);
find(".ab-loop").addEventListener("change", () => {
  if (!loops()) stretch = null;
  restart();
  draw();
});

let zoom = 1;
for (const part of all(".ab-zoom")) part.addEventListener("click", () => {
  zoom = Math.max(1, Math.min(MOST_ZOOM, zoom * Number(part.value)));
  find(".ab-lanes").style.width = `${100 * zoom}%`;
  find(".ab-view").scrollLeft = find(".ab-line").offsetLeft - find(".ab-view").clientWidth / 2;
});

// A click on the lanes moves the line, a drag marks the stretch to loop.
const secondAt = (event) => {
  const box = find(".ab-lanes").getBoundingClientRect();
  return seconds() * Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
};
let pressed = null;
find(".ab-lanes").addEventListener("pointerdown", (event) => {
  pressed = event.clientX;
  find(".ab-lanes").setPointerCapture(event.pointerId);
  find(".ab-lanes").dataset.pressed = secondAt(event);
});
find(".ab-lanes").addEventListener("pointermove", (event) => {
  if (pressed === null || Math.abs(event.clientX - pressed) < DRAG_PIXELS) return;
  stretch = [Number(find(".ab-lanes").dataset.pressed), secondAt(event)].sort((one, two) => one - two);
  draw();
});
find(".ab-lanes").addEventListener("pointercancel", () => { pressed = null; });
find(".ab-lanes").addEventListener("pointerup", (event) => {
  if (pressed === null) return;
  const isDrag = Math.abs(event.clientX - pressed) >= DRAG_PIXELS;
  pressed = null;
  if (isDrag) find(".ab-loop").checked = true;
  seek(isDrag ? stretch[0] : secondAt(event));
});

const KEYS = {
  " ": toggle,
  a: () => choose("a"),
  b: () => choose("b"),
  l: () => find(".ab-loop").click(),
  n: () => find(".ab-show-notes").click(),
  ArrowLeft: () => seek(position() - STEP_S),
  ArrowRight: () => seek(position() + STEP_S),
  Home: () => seek(0),
  End: () => seek(seconds()),
};
document.addEventListener("keydown", (event) => {
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  const isTaken = event.target.closest("input, textarea, select, button, a, summary, [contenteditable], [role=tab]");
  const isOurs = event.target === document.body || event.target === find(".ab-lanes");
  if (!action || !shown || isTaken || !isOurs || event.ctrlKey || event.metaKey || event.altKey) return;
  if (!element.offsetParent) return;  // in a tab that is not open
  event.preventDefault();
  action();
});

watch("value", receive);
recall();
