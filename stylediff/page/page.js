() => {
  const LATE_MS = 2000;
  const WATCH_MS = 3000, ANSWER_MS = 15000;
  const words = WORDS[navigator.language.split("-")[0].toLowerCase()] ?? WORDS.en;
  const escaped = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

  // Browsers call every .webm and .mp4 a video, and some kinds of sound nothing; the upload takes nothing but audio.
  const endings = SUFFIXES;
  const ours = (input) => input.matches?.(":is(#source, #reference, #tone_source, #repair_source) input[type=file]");
  const misnamed = (file) =>
    !file.type.startsWith("audio/") && endings.some((ending) => file.name.toLowerCase().endsWith(ending));
  const named = (file) => misnamed(file)
    ? new File([file], file.name, { type: `audio/${file.type.split("/")[1] || "x-other"}` }) : file;
  document.addEventListener("click", ({ target }) => {
    if (ours(target)) target.accept = ["audio/*", ...endings].join();
  }, true);
  document.addEventListener("change", ({ target }) => {
    if (!ours(target) || ![...target.files].some(misnamed)) return;
    const files = new DataTransfer();
    for (const file of target.files) files.items.add(named(file));
    target.files = files.files;
  }, true);

  // Only one thing sounds at a time. Players say with the event "sound" that they start.
  const start = HTMLMediaElement.prototype.play;
  let sounding = null;
  HTMLMediaElement.prototype.play = function () {
    document.dispatchEvent(new CustomEvent("sound", { detail: this }));
    sounding = this;
    return start.call(this);
  };
  document.addEventListener("sound", ({ detail }) => { if (sounding !== detail) sounding?.pause(); });
  document.addEventListener("play", ({ target }) => {  // by the browser's own button, which does not call the above
    if (sounding === target) return;
    document.dispatchEvent(new CustomEvent("sound", { detail: target }));
    sounding = target;
  }, true);

  // Three seconds of the chosen instrument.
  const preview = new Audio();
  const hear = () => {
    const chosen = document.querySelector("#target input:checked");
    if (!chosen) return;
    if (!preview.paused) { preview.pause(); return; }
    preview.src = `PREVIEWS/${chosen.value}.mp3`;
    preview.play();
  };

  // gradio gives each button of a set a name of its own. With a common one, a set is one stop of the tab key, and the
  // arrows choose.
  const group = () => {
    document.querySelectorAll("fieldset:has(input[type=radio])").forEach((set, number) => {
      for (const input of set.querySelectorAll("input[type=radio]")) input.name = `set-${set.id || number}`;
    });
  };

  // gradio gives the box for files another name than the text in it, and readers of screens would say only that name.
  const nameUploads = () => {
    for (const box of document.querySelectorAll(".upload-container[aria-label]")) box.removeAttribute("aria-label");
  };

  // What the server will say later is said at once: a click has started something, or stopped it.
  const status = (text, kind) => `<div class="status ${kind}" role="status" data-at="${Date.now()}">
    ${kind && '<div class="bar"><i></i></div>'}<span>${escaped(text)}</span></div>`;
  let failed = false;
  const refused = () => {  // whatever failed has said so, and no longer runs
    failed = true;
    for (const part of document.querySelectorAll(".status.running")) part.parentElement.replaceChildren();
  };

  // A step that was under way when Stop was pressed may still report.
  let stoppedAt = -Infinity;
  const stop = () => {
    stoppedAt = Date.now();
    return status(words.stopped, "");
  };
  const keepStopped = () => {
    if (Date.now() - stoppedAt > LATE_MS) return;
    for (const part of document.querySelectorAll(".status.running:not(.waiting)"))
      part.parentElement.innerHTML = status(words.stopped, "");
  };
  const begin = () => {
    stoppedAt = -Infinity;
    failed = false;
    return status(words.waiting, "running waiting");
  };

  const say = (text, place) => {
    const before = place.textContent;
    place.textContent = text;
    setTimeout(() => { place.textContent = before; }, 2000);
  };
  const copy = async (text, place) => {
    try {
      await navigator.clipboard.writeText(text);
      say(words.copied, place);
    } catch {  // an address without https, or a browser that refuses
      prompt(words.copy_yourself, text);
    }
  };

  const answers = (url, options) => fetch(url, options).then(({ ok }) => ok, () => false);

  // Clip and settings outlast a refresh of the tab, but not a link with settings of its own. The server may have
  // deleted a file meanwhile.
  const STORE = "stylediff.controls";
  const storage = (action) => {
    try { return action(sessionStorage); } catch { return null; }  // some browsers allow frames no storage
  };
  const before = JSON.parse(storage((tab) => tab.getItem(STORE)) ?? "null");
  let remembers = false;  // not what the page shows while it is built
  const remember = (values) => {
    if (remembers) storage((tab) => tab.setItem(STORE, JSON.stringify(values)));
  };
  const recall = async (total) => {
    remembers = true;
    const same = { __type__: "update" };  // gradio's word for a component that stays as it is
    const isLink = [...new URLSearchParams(location.search).keys()].some((key) => !key.startsWith("__"));
    if (isLink || before?.length !== total) return Array(total).fill(same);
    const isThere = ({ url }) => answers(url, { method: "HEAD" });
    return Promise.all(before.map(async (value) => value === null || (value.url && !await isThere(value)) ? same : value));
  };

  window.stylediff = {
    copy,
    recall,
    remember,
    hear,
    starting: begin,
    stopped: stop,
    markOld: () => { document.body.classList.add("old-result"); },
  };

  // A visitor who leaves during a run is asked first; gradio's own reload after a lost connection asks nothing.
  window.addEventListener("beforeunload", (event) => {
    if (!failed && document.querySelector(".status.running")) event.preventDefault();
  });

  // gradio does not always notice that a connection is lost. During a run, the server is asked whether it is there.
  // Once it is back, the page loads again, which shows the run.
  let lost = false;
  const watch = async () => {
    if (lost || document.querySelector(".status.running")) {
      const { root, api_prefix } = window.gradio_config;
      const options = { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) };
      const isThere = await answers(`${root}${api_prefix}/app_id`, options);
      if (lost && isThere) {
        failed = true;  // no question
        location.reload();
        return;
      }
      lost = !isThere;
    }
    setTimeout(watch, WATCH_MS);
  };
  watch();

  new MutationObserver((changes) => {
    group();
    nameUploads();
    keepStopped();
    const added = changes.flatMap(({ addedNodes }) => [...addedNodes]);
    if (added.some((node) => node.querySelector?.(".toast-body.error") || node.matches?.(".toast-body.error"))) refused();
  }).observe(document.body, { childList: true, subtree: true });
  group();
}
