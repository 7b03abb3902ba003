// Before and after on top of each other, with a slider between them; the keyboard moves it too.
import { h } from "./dom.js";

export function compare(before, after, words = ["before", "after"]) {
  const under = h("img", { src: after, alt: words[1] }), over = h("img", { src: before, alt: words[0] });
  const cover = h("div", { class: "over" }, over), edge = h("div", { class: "edge" });
  const box = h("div", { class: "compare" }, under, cover, edge);
  const range = h("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": `Slide between ${words[0]} and ${words[1]}` });
  const place = (share) => {
    cover.style.clipPath = `inset(0 ${100 - share}% 0 0)`;
    edge.style.left = `${share}%`;
    range.value = share;
  };
  over.style.width = "100%";
  const move = (event) => {
    const rect = box.getBoundingClientRect();
    place(Math.min(100, Math.max(0, (100 * (event.clientX - rect.left)) / rect.width)));
  };
  box.addEventListener("pointerdown", (event) => { box.setPointerCapture(event.pointerId); move(event); });
  box.addEventListener("pointermove", (event) => { if (event.buttons) move(event); });
  range.addEventListener("input", () => place(Number(range.value)));
  place(50);
  return h("div", { class: "stack tight" }, box, range, h("div", { class: "row between soft tiny" }, h("span", {}, words[0]), h("span", {}, words[1])));
}
