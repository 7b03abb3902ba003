// What can I make? A gallery by what people want, each with a picture of the data that shows it.
import { address, get } from "../parts/api.js";
import { add, h } from "../parts/dom.js";
import { link } from "../app.js";

export async function show(page) {
  const found = await get("home");
  const runs = await get("runs", { few: 6 });
  add(page, [
    h("div", { class: "head" }, h("div", {},
      h("h1", {}, "What do you want to make?"),
      h("p", { class: "lead" }, "Two networks play against each other: one makes, the other tells what was made from what is real. Both learn on this machine; nothing leaves it.")),
      h("a", { class: "button", href: link("lessons") }, "See how it works")),
    runs.runs.length ? last(runs) : null,
    h("div", { class: "grid" }, found.wants.map(card)),
  ]);
}

function card(want) {
  const several = want.systems.length > 1 ? `${want.systems.length} systems` : want.systems[0];
  return h("article", { class: "card" },
    h("div", { class: "picture" }, h("img", { src: `/static/data/${want.data.split(":")[0]}.webp`, alt: `Built-in data: ${want.data}`, loading: "lazy" })),
    h("div", { class: "body" },
      h("h2", {}, want.title),
      h("p", { class: "soft" }, want.words),
      h("p", { class: "soft tiny" }, `${several}; shown: the built-in data “${want.data}”`),
      h("div", { class: "row" },
        h("a", { class: "button main", href: link("make", { data: want.data, system: want.system, budget: "3m" }) }, "Try with built-in data"),
        h("a", { class: "button", href: link("make", { system: want.system, want: want.id, mine: 1 }) }, "With my data"))));
}

function last({ runs, count }) {
  return h("section", { class: "stack" },
    h("div", { class: "row between" }, h("h2", {}, "Your latest runs"), h("a", { href: link("runs") }, `All ${count}`)),
    h("div", { class: "grid small" }, runs.map((run) => h("a", { class: "card", href: link("run", { name: run.name }) },
      h("div", { class: "picture" }, h("img", { src: address("picture", { name: run.name, round: run.picture, width: 320 }), alt: "", loading: "lazy" })),
      h("div", { class: "body" }, h("h3", {}, run.name), h("span", { class: "soft tiny" }, `${run.system} on ${run.data}`))))));
}
