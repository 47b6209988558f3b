() => {
  // Browsers call every .webm a video, recordings of sound too, and the upload takes nothing but audio.
  const ours = (input) => input.matches?.(":is(#source, #reference, #tone_source, #repair_source) input[type=file]");
  const named = (file) => new File([file], file.name, { type: file.type.replace("video/", "audio/") });
  document.addEventListener("click", ({ target }) => { if (ours(target)) target.accept = "audio/*,.webm,.m4a"; }, true);
  document.addEventListener("change", ({ target }) => {
    if (!ours(target) || ![...target.files].some((file) => file.type.startsWith("video/"))) return;
    const files = new DataTransfer();
    for (const file of target.files) files.items.add(named(file));
    target.files = files.files;
  }, true);

  // Pictures come without a text; the name of their tab says what they show.
  const describe = () => {
    const tab = document.querySelector("#pictures [role=tab][aria-selected=true]");
    for (const picture of document.querySelectorAll("#pictures img")) picture.alt ||= tab?.innerText ?? "";
  };
  new MutationObserver(describe).observe(document.body, { childList: true, subtree: true });
}
