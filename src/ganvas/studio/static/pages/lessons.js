// Lessons: the live game in one dimension, real small trainings in two, and what can go wrong.
import { get, post } from "../parts/api.js";
import { add, busy, h, toast } from "../parts/dom.js";
import { command } from "../parts/command.js";
import { go, link } from "../app.js";

export async function show(page) {
  const { wrong } = await get("lesson-wrong");
  add(page, [
    h("div", { class: "head" }, h("div", {}, h("h1", {}, "Lessons"), h("p", { class: "lead" }, "Watch two networks fight. Nothing here is a recording: everything is trained now, on this machine."))),
    h("div", { class: "grid" },
      h("article", { class: "card" }, h("div", { class: "picture" }, h("img", { src: "/static/data/patterns.webp", alt: "Points of five patterns" })),
        h("div", { class: "body" }, h("h2", {}, "1. Curves"), h("p", { class: "soft" }, "One GAN learns a sine, a square, a parabola, a sawtooth, a circle, or the line that you draw. Play, stop, change the rules, see it fail and recover."),
          h("div", { class: "row" }, h("a", { class: "button main", href: link("lesson") }, "Play")))),
      h("article", { class: "card" }, h("div", { class: "picture" }, h("img", { src: "/static/data/brain.webp", alt: "Simulated slices of heads" })),
        h("div", { class: "body" }, h("h2", {}, "2. Pictures"), h("p", { class: "soft" }, "The same game with convolutions: slices of heads out of noise, a checkerboard first. Three questions: are they sharp, are all kinds there, does it settle?"), slices()))),
    h("section", { class: "stack" }, h("h2", {}, "3. What can go wrong"), h("p", { class: "soft" }, "Each is a real training with a planted mistake. Start one, watch, and see which alarm catches it, and what it says to do."),
      h("div", { class: "grid" }, wrong.map(demonstration))),
    h("p", { class: "soft" }, "After Erickson and Cai, “Magician's Corner: 5. Generative Adversarial Networks” (Radiology: Artificial Intelligence, 2020)."),
  ]);
}

function slices() {
  const size = h("select", { "aria-label": "Size" }, [["32", "32 pixels, seen at once"], ["64", "64 pixels"], ["128", "128 pixels, patience"], ["256", "256 pixels, a GPU or a night"]].map(([value, words]) => h("option", { value }, words)));
  const mine = h("a", { class: "button", href: link("make", { mine: 1, budget: "10m", run: JSON.stringify({ budget: "10m", size: "64", sample_every: 5 }) }) }, "With my slices");
  const button = h("button", { type: "button", class: "main" }, "Play");
  button.addEventListener("click", () => busy(button, async () => {
    const made = await post("train", { data: "brain", run: { size: size.value, budget: Number(size.value) > 64 ? "1h" : "5m", sample_every: 3 } });
    go("run", { name: made.run });
  }));
  return [size, h("div", { class: "row" }, button, mine)];
}

function demonstration(one) {
  const button = h("button", { type: "button", class: "main", disabled: !one.system }, "Let it go wrong");
  button.addEventListener("click", () => busy(button, async () => {
    const made = await post("train", { data: one.data, system: one.system, run: one.run, config: one.config, name: "" });
    toast("in the queue");
    go("run", { name: made.run });
  }));
  return h("article", { class: "card" }, h("div", { class: "body" }, h("h3", {}, one.title), h("p", { class: "soft" }, one.words),
    h("p", { class: "tiny" }, "Caught by ", h("span", { class: "tag alarm" }, one.alarm)), command(one.line), h("div", { class: "row" }, button)));
}
