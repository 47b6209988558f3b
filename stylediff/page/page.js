() => {
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

  // Browsers lend the microphone to nothing but HTTPS and this machine.
  document.body.classList.toggle("without_microphone", !navigator.mediaDevices);

  // Pictures come without a text; the name of their tab says what they show.
  const describe = () => {
    const tab = document.querySelector("#pictures [role=tab][aria-selected=true]");
    for (const picture of document.querySelectorAll("#pictures img")) picture.alt ||= tab?.innerText ?? "";
  };
  new MutationObserver(describe).observe(document.body, { childList: true, subtree: true });
}
