// A canvas to paint on: with the palette of a label map, with a brush and a colour, or over a picture that was given. Gives a PNG
// of exactly those colours; what is painted over a picture is transparent elsewhere, or, of an area, white on black.
import { h } from "./dom.js";
import { slider } from "./form.js";

const GREYS = [["white", "#ffffff"], ["light grey", "#bfbfbf"], ["grey", "#808080"], ["dark grey", "#404040"], ["black", "#000000"]];
const COLOURS = [["white", "#ffffff"], ["grey", "#808080"], ["black", "#000000"], ["red", "#d02a20"], ["orange", "#f08a24"], ["yellow", "#f4d03f"], ["green", "#3a9a4c"], ["sky", "#5aa9e6"], ["blue", "#2456b8"], ["violet", "#7b4bb3"], ["pink", "#f2a0b5"], ["skin", "#e0ac85"], ["brown", "#7a4a2a"]];
const MARK = "#ff3030"; // how an area is shown, half transparent

// field: {width, height, channels, palette?: [{name, colour}], over?: "area" or "colours"}. Returns an element with
// .file() -> Promise<Blob>, .touched(), .load(url) to go on from a picture, and .under(picture) to lie over another one.
export function paint(field, changed) {
  const over = Boolean(field.over), area = field.over === "area";
  let width = field.width || 128, height = field.height || 128;
  const canvas = h("canvas", { width, height, tabindex: 0, role: "img", "aria-label": "Paint here with the pointer; with the keyboard: arrows move the brush, space paints" });
  const context = canvas.getContext("2d", { willReadFrequently: true, alpha: over });
  const backdrop = h("img", { alt: "", hidden: true });
  const stage = h("div", { class: `stage${over ? " over" : ""}${area ? " area" : ""}` }, backdrop, canvas);
  const colours = field.palette || (area ? [["painted", MARK]] : field.channels === 1 ? GREYS : COLOURS).map(([name, colour]) => ({ name, colour }));
  let colour = colours[Math.min(area ? 0 : over ? 3 : 1, colours.length - 1)].colour, tool = "brush", size = 0, touched = false;
  const past = [];
  let at = [width >> 1, height >> 1];

  const snapshot = () => [context.getImageData(0, 0, width, height), touched];
  const remember = () => { past.push(snapshot()); if (past.length > 30) past.shift(); };
  // Pixel by pixel: a stroke of the canvas would blend colours at its rim, and a blend is no class.
  function dot(x, y) {
    const radius = size / 2;
    context.fillStyle = colour;
    for (let row = Math.floor(y - radius + 0.5); row + 0.5 <= y + radius || row <= y; row++) {
      const half = Math.sqrt(Math.max(0, radius * radius - (row + 0.5 - y) ** 2));
      const from = Math.round(x - half), to = Math.max(from + 1, Math.round(x + half));
      if (tool === "erase") context.clearRect(from, row, to - from, 1);
      else context.fillRect(from, row, to - from, 1);
    }
  }
  function stroke(from, to) {
    const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) / Math.max(1, size / 8)));
    for (let k = 0; k <= steps; k++) dot(from[0] + ((to[0] - from[0]) * k) / steps, from[1] + ((to[1] - from[1]) * k) / steps);
    if (tool !== "erase") touched = true;
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
  const whole = ([x, y]) => [Math.min(width - 1, Math.max(0, Math.floor(x))), Math.min(height - 1, Math.max(0, Math.floor(y)))];
  // The colour that is seen there: of what was painted, else of the picture beneath.
  function pick([x, y]) {
    let [r, g, b, a] = context.getImageData(x, y, 1, 1).data;
    if (!a && !backdrop.hidden) {
      const copy = h("canvas", { width, height }), pen = copy.getContext("2d");
      pen.drawImage(backdrop, 0, 0, width, height);
      [r, g, b, a] = pen.getImageData(x, y, 1, 1).data;
    }
    if (a) choose(`#${[r, g, b].map((part) => part.toString(16).padStart(2, "0")).join("")}`);
    take("brush");
  }
  let last = null;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = where(event);
    if (tool === "pick") { pick(whole(last)); last = null; return; }
    remember();
    if (tool === "fill") pour(...whole(last));
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
    else if (event.key === " ") {
      if (tool === "pick") pick(whole(at));
      else { remember(); if (tool === "fill") pour(...whole(at)); else stroke([...at], [...at]); changed?.(); }
    } else return;
    event.preventDefault();
  });

  const own = h("input", { type: "color", value: colour, "aria-label": "Another colour" });
  function choose(next) {
    colour = next;
    own.value = next;
    if (tool === "erase") take("brush");
    for (const other of palette.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other.dataset.colour === next));
  }
  own.addEventListener("input", () => choose(own.value));
  const palette = h("div", { class: "palette", role: "group", "aria-label": "Colours" }, colours.map((one) => {
    const swatch = h("i", {});
    swatch.style.background = one.colour;
    const button = h("button", { type: "button", data: { colour: one.colour }, "aria-pressed": String(one.colour === colour) }, swatch, one.name);
    button.addEventListener("click", () => choose(one.colour));
    return button;
  }), field.palette || area || field.channels === 1 ? null : h("label", { class: "row tiny" }, own, "any other"));
  const words = { brush: "Brush", fill: "Fill", erase: "Erase", pick: "Pick a colour" };
  const tools = h("div", { class: "segment", role: "group", "aria-label": "Tools" }, ["brush", "fill", ...(over ? ["erase"] : []), ...(field.palette || area ? [] : ["pick"])].map((name) => {
    const button = h("button", { type: "button", data: { tool: name }, "aria-pressed": String(name === tool) }, words[name]);
    button.addEventListener("click", () => take(name));
    return button;
  }));
  function take(name) {
    tool = name;
    for (const other of tools.children) other.setAttribute("aria-pressed", String(other.dataset.tool === name));
  }
  const undo = h("button", { type: "button" }, "Undo"), clear = h("button", { type: "button" }, "Clear");
  undo.addEventListener("click", () => { const held = past.pop(); if (held) { context.putImageData(held[0], 0, 0); touched = held[1]; changed?.(); } });
  function blank() {
    if (over) { context.clearRect(0, 0, width, height); return; }
    context.fillStyle = field.palette ? colours[0].colour : field.channels === 1 ? "#000000" : "#ffffff";
    context.fillRect(0, 0, width, height);
  }
  clear.addEventListener("click", () => { remember(); blank(); touched = false; changed?.(); });
  const brush = h("div", {});
  function measured() {
    size = Math.max(1, Math.round(Math.min(width, height) / 12));
    brush.replaceChildren(slider("brush size", { low: 1, high: Math.max(4, Math.round(Math.min(width, height) / 3)), step: 1, value: size }, (value) => { size = value; }));
  }
  blank();
  measured();
  const made = h("div", { class: "paint" }, h("div", { class: "stack tight" }, stage, h("div", { class: "row" }, tools, undo, clear), brush), area ? null : palette);
  made.touched = () => touched;
  made.file = () => new Promise((resolve) => {
    if (!area) { canvas.toBlob(resolve, "image/png"); return; }
    const image = context.getImageData(0, 0, width, height), copy = h("canvas", { width, height });
    for (let k = 0; k < image.data.length; k += 4) { const on = image.data[k + 3] ? 255 : 0; image.data.set([on, on, on, 255], k); }
    copy.getContext("2d").putImageData(image, 0, 0);
    copy.toBlob(resolve, "image/png");
  });
  made.load = (url) => new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => { remember(); context.imageSmoothingEnabled = false; context.drawImage(image, 0, 0, width, height); touched = true; changed?.(); resolve(); };
    image.onerror = () => reject(new Error("the picture could not be shown"));
    image.src = url;
  });
  // picture: {width, height, url} of what lies beneath. Each has its own strokes, which it gets back.
  const layers = new Map();
  let beneath = null;
  made.under = (picture) => {
    if (picture === beneath) return;
    if (beneath) layers.set(beneath, snapshot());
    beneath = picture;
    backdrop.src = picture.url;
    backdrop.hidden = false;
    const other = picture.width !== width || picture.height !== height;
    [width, height] = [picture.width, picture.height];
    canvas.width = width; // which empties it
    canvas.height = height;
    stage.style.aspectRatio = `${width} / ${height}`;
    past.length = 0;
    const [image, was] = layers.get(picture) || [null, false];
    if (image) context.putImageData(image, 0, 0);
    touched = was;
    at = [width >> 1, height >> 1];
    if (other || !size) measured();
  };
  return made;
}
