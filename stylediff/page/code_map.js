// The map of a clip's codes over its spectrogram, and a card about the code under the pointer.
// gradio runs this once. `element` is the component, `props.value` what the server sent last, `watch` calls back when
// it sends more.

const PICTURE = 12, PICTURES = 4, SHEET_COLUMNS = 16;
const find = (name) => element.querySelector(name);
const canvas = find(".cm-codes");
let value = null, codes = [], sheet = null;
let cell = null;  // row and column of the marked code
let pinned = false;  // a click keeps the mark where it is

const codeAt = ([row, column]) => codes[row * value.shape[1] + column];

const draw = () => {
  const [rows, columns] = value.shape;
  const chosen = cell && codeAt(cell);
  const image = new ImageData(columns, rows);
  codes.forEach((code, place) => {
    const row = rows - 1 - Math.floor(place / columns), start = 4 * (row * columns + place % columns);
    image.data.set(value.colours[code], start);
    image.data[start + 3] = cell === null || code === chosen ? 255 : 70;
  });
  canvas.width = columns;
  canvas.height = rows;
  canvas.getContext("2d").putImageData(image, 0, 0);
};

const showCard = () => {
  find(".cm-hint").hidden = cell !== null;
  find(".cm-code").hidden = find(".cm-mark").hidden = cell === null;
  if (cell === null) return;
  const code = codeAt(cell), [rows, columns] = value.shape;
  find(".cm-title b").textContent = value.words.code_title.replace("{code}", code);
  find(".cm-title i").style.background = `rgb(${value.colours[code]})`;
  find(".cm-code ul").replaceChildren(...value.cards[code].map((line) => {
    const item = document.createElement("li");
    item.textContent = line;
    return item;
  }));
  const place = value.sheet_order.indexOf(code), pictures = find(".cm-pictures");
  const width = PICTURE * PICTURES, context = pictures.getContext("2d");
  pictures.width = width + PICTURES - 1;
  pictures.height = PICTURE;
  for (let number = 0; number < PICTURES; number += 1) {
    context.drawImage(
      sheet, (place % SHEET_COLUMNS) * width + number * PICTURE, Math.floor(place / SHEET_COLUMNS) * PICTURE,
      PICTURE, PICTURE, number * (PICTURE + 1), 0, PICTURE, PICTURE,
    );
  }
  const whole = canvas.offsetWidth, mark = find(".cm-mark");
  mark.style.left = `${whole * cell[1] / columns}px`;
  mark.style.bottom = `${100 * cell[0] / rows}%`;
  mark.style.width = `${whole / columns}px`;
  mark.style.height = `${100 / rows}%`;
};

const choose = (row, column) => {
  const [rows, columns] = value.shape;
  cell = [Math.max(0, Math.min(rows - 1, row)), Math.max(0, Math.min(columns - 1, column))];
  draw();
  showCard();
};

const cellAt = (event) => {
  const box = canvas.getBoundingClientRect(), [rows, columns] = value.shape;
  return [
    rows - 1 - Math.floor(rows * (event.clientY - box.top) / box.height),
    Math.floor(columns * (event.clientX - box.left) / box.width),
  ];
};

canvas.addEventListener("pointermove", (event) => {
  if (event.pointerType === "mouse" && !pinned) choose(...cellAt(event));
});
canvas.addEventListener("click", (event) => {
  const [row, column] = cellAt(event);
  pinned = !(pinned && cell && codeAt([row, column]) === codeAt(cell));
  choose(row, column);
});
canvas.addEventListener("keydown", (event) => {
  const move = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key];
  if (!move) return;
  event.preventDefault();
  const [row, column] = cell ?? [0, -1];
  choose(row + move[0], column + move[1]);
});
find(".cm-cover input").addEventListener("input", (event) => {
  canvas.style.opacity = event.target.value / 100;
});
window.addEventListener("resize", () => {
  if (cell) showCard();
});

const receive = async () => {
  const sent = props.value;
  if (!sent) {
    find(".cm").hidden = true;
    return;
  }
  const bytes = Uint8Array.from(atob(sent.codes), (letter) => letter.charCodeAt(0));
  const pictures = new Image();
  pictures.src = sent.sheet;
  await pictures.decode();
  [value, codes, sheet, cell, pinned] = [sent, new Uint16Array(bytes.buffer), pictures, null, false];
  const [, columns] = value.shape;
  find(".cm").hidden = false;
  find(".cm-facts").textContent = value.facts;
  find(".cm-picture").src = value.picture;
  find(".cm-hint").textContent = value.words.codes_hint;
  find(".cm-cover span").textContent = value.words.codes_cover;
  canvas.ariaLabel = value.words.codes_hint;
  find(".cm-pictures").ariaLabel = find(".cm-pictures").title = value.words.code_pictures;
  // A column covers four frames. The last columns may lie beyond the clip, and are cut off.
  find(".cm-stack").style.minWidth = `${columns * 3}px`;
  canvas.style.width = `${100 * 4 * columns / value.frames}%`;
  canvas.style.opacity = find(".cm-cover input").value / 100;
  draw();
  showCard();
};

watch("value", receive);
receive();
