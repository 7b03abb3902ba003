// A canvas to paint on: with the palette of a label map, or with a brush and a colour. Gives a PNG of exactly those colours.
import { h } from "./dom.js";
import { slider } from "./form.js";

// field: {width, height, palette?: [{name, colour}]}. Returns an element with .file() -> Promise<Blob>, .touched().
export function paint(field, changed) {
  const [width, height] = [field.width || 128, field.height || 128];
  const canvas = h("canvas", { width, height, tabindex: 0, role: "img", "aria-label": "Paint here with the pointer; with the keyboard: arrows move the brush, space paints" });
  const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
  const colours = field.palette || [{ name: "white", colour: "#ffffff" }, { name: "light grey", colour: "#bfbfbf" }, { name: "grey", colour: "#808080" }, { name: "dark grey", colour: "#404040" }, { name: "black", colour: "#000000" }];
  let colour = colours[Math.min(1, colours.length - 1)].colour, tool = "brush", size = Math.max(1, Math.round(width / 16)), touched = false;
  const past = [];
  const at = [width >> 1, height >> 1];

  const remember = () => { past.push(context.getImageData(0, 0, width, height)); if (past.length > 30) past.shift(); };
  // Pixel by pixel: a stroke of the canvas would blend colours at its rim, and a blend is no class.
  function dot(x, y) {
    const radius = size / 2;
    context.fillStyle = colour;
    for (let row = Math.floor(y - radius); row <= y + radius; row++) {
      const half = Math.sqrt(Math.max(0, radius * radius - (row - y) ** 2));
      const from = Math.round(x - half), to = Math.max(from + 1, Math.round(x + half));
      context.fillRect(from, row, to - from, 1);
    }
  }
  function stroke(from, to) {
    const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) / Math.max(1, size / 3)));
    for (let k = 0; k <= steps; k++) dot(from[0] + ((to[0] - from[0]) * k) / steps, from[1] + ((to[1] - from[1]) * k) / steps);
    touched = true;
  }
  function pour(x, y) {
    const image = context.getImageData(0, 0, width, height), pixels = new Uint32Array(image.data.buffer);
    const wanted = hex(colour), start = pixels[y * width + x];
    if (start === wanted) return;
    const open = [y * width + x];
    while (open.length) {
      const place = open.pop();
      if (pixels[place] !== start) continue;
      pixels[place] = wanted;
      const column = place % width;
      if (column > 0) open.push(place - 1);
      if (column < width - 1) open.push(place + 1);
      if (place >= width) open.push(place - width);
      if (place < width * (height - 1)) open.push(place + width);
    }
    context.putImageData(image, 0, 0);
    touched = true;
  }
  const hex = (text) => { const n = parseInt(text.slice(1), 16); return (0xff000000 | ((n & 255) << 16) | (n & 0xff00) | (n >> 16)) >>> 0; };
  const where = (event) => {
    const rect = canvas.getBoundingClientRect();
    return [((event.clientX - rect.left) * width) / rect.width, ((event.clientY - rect.top) * height) / rect.height];
  };
  let last = null;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    remember();
    last = where(event);
    if (tool === "fill") pour(Math.min(width - 1, Math.max(0, Math.floor(last[0]))), Math.min(height - 1, Math.max(0, Math.floor(last[1]))));
    else stroke(last, last);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last || !event.buttons || tool === "fill") return;
    const next = where(event);
    stroke(last, next);
    last = next;
  });
  canvas.addEventListener("pointerup", () => { last = null; changed?.(); });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (step) { at[0] = Math.min(width, Math.max(0, at[0] + step[0] * size / 2)); at[1] = Math.min(height, Math.max(0, at[1] + step[1] * size / 2)); }
    else if (event.key === " ") { remember(); if (tool === "fill") pour(Math.floor(at[0]), Math.floor(at[1])); else stroke([...at], [...at]); changed?.(); }
    else return;
    event.preventDefault();
  });

  const palette = h("div", { class: "palette", role: "group", "aria-label": "Colours" }, colours.map((one) => {
    const swatch = h("i", {});
    swatch.style.background = one.colour;
    const button = h("button", { type: "button", "aria-pressed": String(one.colour === colour) }, swatch, one.name);
    button.addEventListener("click", () => { colour = one.colour; for (const other of palette.children) other.setAttribute("aria-pressed", String(other === button)); });
    return button;
  }));
  const tools = h("div", { class: "segment", role: "group", "aria-label": "Tools" }, ["brush", "fill"].map((name) => {
    const button = h("button", { type: "button", "aria-pressed": String(name === tool) }, name === "brush" ? "Brush" : "Fill");
    button.addEventListener("click", () => { tool = name; for (const other of tools.querySelectorAll("[aria-pressed]")) other.setAttribute("aria-pressed", String(other === button)); });
    return button;
  }));
  const undo = h("button", { type: "button" }, "Undo"), clear = h("button", { type: "button" }, "Clear");
  undo.addEventListener("click", () => { const image = past.pop(); if (image) { context.putImageData(image, 0, 0); changed?.(); } });
  const blank = () => { context.fillStyle = field.palette ? colours[0].colour : "#000000"; context.fillRect(0, 0, width, height); };
  clear.addEventListener("click", () => { remember(); blank(); touched = false; changed?.(); });
  blank();
  const made = h("div", { class: "paint" }, h("div", { class: "stack tight" }, canvas, h("div", { class: "row" }, tools, undo, clear),
    slider("brush size", { low: 1, high: Math.max(4, width / 3), step: 1, value: size }, (value) => { size = value; })), palette);
  made.touched = () => touched;
  made.file = () => new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  made.load = (url) => new Promise((resolve) => { const image = new Image(); image.onload = () => { remember(); context.imageSmoothingEnabled = false; context.drawImage(image, 0, 0, width, height); touched = true; resolve(); }; image.src = url; });
  return made;
}
