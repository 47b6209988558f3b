// A button that plays a long clip while the rest of it is made: parts come one by one and are played without gaps.
// gradio runs this once. `element` is the component, `props.value` what the server sent last, `watch` calls back when
// it sends more.

const AHEAD_S = 0.1;
const find = (name) => element.querySelector(name);
let value = null, context = null, isPlaying = false;
let next = 0, at = 0;  // part to fetch, and moment at which it begins
let chain = Promise.resolve();

const draw = () => {
  const hasSound = value?.parts.length > 0;
  find(".live").hidden = !hasSound || (value.has_ended && !isPlaying);
  if (!hasSound) return;
  find(".live-play").textContent = isPlaying ? `❚❚ ${value.words.live_pause}` : `▶ ${value.words.live_listen}`;
  find(".live-play").dataset.state = isPlaying ? "playing" : "paused";
  find(".live-note").textContent = value.words.live_note;
};

const stop = () => {
  isPlaying = false;
  context?.close();
  context = null;
  draw();
};

// Each part is decoded after the one before, and begins where that ends.
const schedule = () => {
  const mine = context, run = value.id;
  chain = chain.then(async () => {
    while (context === mine && value.id === run && isPlaying && next < value.parts.length) {
      const answer = await fetch(value.parts[next]);
      const buffer = await mine.decodeAudioData(await answer.arrayBuffer());
      if (context !== mine || value.id !== run) return;
      next += 1;
      at = Math.max(at, mine.currentTime + AHEAD_S);
      const source = new AudioBufferSourceNode(mine, { buffer });
      source.connect(mine.destination);
      source.start(at);
      at += buffer.duration;
      if (value.has_ended && next === value.parts.length) source.onended = stop;
    }
  }).catch((error) => console.warn(error));
};

const play = () => {
  document.dispatchEvent(new CustomEvent("sound", { detail: element }));
  context = new AudioContext();
  isPlaying = true;
  next = at = 0;
  schedule();
  draw();
};

find(".live-play").addEventListener("click", () => (isPlaying ? stop() : play()));
document.addEventListener("sound", ({ detail }) => { if (detail !== element && isPlaying) stop(); });

const receive = () => {
  const sent = props.value;
  if (!sent) return;
  if (sent.id !== value?.id && isPlaying) stop();
  value = sent;
  if (isPlaying) schedule();
  draw();
};

watch("value", receive);
receive();
