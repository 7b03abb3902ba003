// What was made: pictures, players with their spectrogram, text, tables, each by what it is. Before and after where both lie alike.
import { address } from "./api.js";
import { busy, h } from "./dom.js";
import { compare } from "./compare.js";
import { solid } from "./solid.js";

// again: takes files that were made as what is given next; null where that makes no sense.
export function results(found, use, again) {
  const file = (name) => address("made-file", { made: found.made, file: name });
  const shown = found.shown || [], before = found.before || [];
  const pictures = shown.filter((one) => one.picture && !one.whole);
  const pairs = use?.beside && before.length && pictures.length === before.length && before.every((one) => one.picture)
    && !shown.some((one) => one.sound); // what is listened to has players, before and after
  const parts = [];
  if (pairs) {
    parts.push(h("div", { class: "stack" }, pictures.slice(0, 6).map((one, k) => h("figure", { class: "stack tight" },
      compare(file(before[k].picture), file(one.picture), ["given", use.done]), h("figcaption", { class: "soft tiny" }, `${before[k].name} → `, h("a", { href: file(one.file), download: "" }, one.file)), again ? onward(file(one.file), one.file, again) : null))));
  } else if (before.length && before.some((one) => one.picture)) {
    parts.push(h("h3", {}, "Given"), h("div", { class: before.some((one) => one.sound) ? "results sounds" : "results" }, before.filter((one) => one.picture).map((one) => h("figure", {},
      h("img", { class: one.sound ? "sample smooth" : "sample", src: file(one.picture), alt: one.name }), one.sound ? player(file(one.sound), `${one.name}, as it was given`) : null, h("figcaption", {}, one.name)))));
  }
  const solids = shown.filter((one) => one.solid);
  const others = (pairs ? shown.filter((one) => !one.picture || one.whole) : shown).filter((one) => !one.solid);
  if (others.length && before.length && !pairs) parts.push(h("h3", {}, use?.done ? use.done[0].toUpperCase() + use.done.slice(1) : "Made"));
  const sounds = others.some((one) => one.sound);
  parts.push(h("div", { class: sounds ? "results sounds" : "results" }, others.map((one) => entry(one, file))));
  if (solids.length) parts.push(h("div", { class: "results solids" }, solids.map((one) => entry(one, file))));
  for (const row of found.failed || []) parts.push(h("div", { class: "note bad" }, row));
  for (const note of (found.notes || []).slice(0, 6)) parts.push(h("div", { class: "note" }, note));
  return h("div", { class: "stack" }, parts);
}

// What was made becomes what is worked on.
function onward(url, name, again) {
  const button = h("button", { type: "button" }, "Go on with this");
  button.addEventListener("click", () => busy(button, async () => {
    const content = await (await fetch(url)).blob();
    await again([new File([content], name.split("/").pop().replace(/(\.[^.]+)?$/, "-on$1"))]);
  }));
  return h("div", { class: "row" }, button);
}

const player = (src, name) => h("audio", { controls: true, preload: "none", src, "aria-label": name });

function entry(one, file) {
  const caption = h("figcaption", {}, one.label ? h("strong", {}, `${one.label} `) : null, h("a", { href: file(one.file), download: "" }, one.file));
  if (one.sound) return h("figure", {}, one.picture ? h("img", { class: "sample smooth", src: file(one.picture), alt: "How it goes, from left to right" }) : null, player(file(one.sound), one.file), one.part ? h("span", { class: "soft tiny" }, one.part) : null, caption);
  if (one.solid) return h("figure", { class: "" }, solid(file(one.solid), one.file), caption);
  if (one.text) return h("figure", { class: "wide" }, h("pre", {}, one.text.join("\n")), caption);
  if (one.rows) return h("figure", { class: "wide" }, table(one.rows), caption);
  const image = h("img", { class: "sample", src: file(one.picture), alt: one.label || one.file, loading: "lazy" });
  const made = h("figure", { class: one.whole ? "wide" : "" }, image, caption);
  image.addEventListener("load", () => {
    if (image.naturalWidth > 300) image.classList.add("smooth");
    if (image.naturalWidth > 2 * image.naturalHeight) made.classList.add("wide"); // several views side by side
  });
  return made;
}

export function table(rows) {
  const [head, ...body] = rows;
  return h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, head.map((cell) => h("th", { scope: "col" }, cell)))),
    h("tbody", {}, body.map((row) => h("tr", {}, row.map((cell) => h("td", { class: /^-?[\d.e+-]+$/.test(cell) ? "number" : "" }, cell)))))));
}
