// Fields of a form from the help of settings (`config.knob`): one place for every form of the studio.
import { h, id } from "./dom.js";
import { label } from "./words.js";

// item: {name, type, help, default, low, high, choices}. Returns an element with .value() (undefined where the user left it) and .set().
export function field(item, given) {
  const key = id("field");
  const start = given ?? undefined;
  const help = h("span", { class: "help", id: `${key}-help` }, item.help);
  if (item.type === "true or false") {
    const box = h("input", { type: "checkbox", id: key, checked: start ?? item.default ?? false });
    const made = h("label", { class: "check" }, box, h("span", {}, h("span", { class: "name" }, label(item.name)), h("br"), h("span", { class: "soft tiny" }, item.help)));
    made.value = () => (box.checked === Boolean(item.default) && start === undefined ? undefined : box.checked);
    made.set = (value) => { box.checked = Boolean(value); };
    return made;
  }
  let input;
  if (item.choices && item.choices.length) {
    const usual = item.default ?? "";
    input = h("select", { id: key }, h("option", { value: "" }, usual === "" || !item.choices.includes(usual) ? "as it comes" : `${usual} (usual)`),
      item.choices.filter((choice) => choice !== usual).map((choice) => h("option", { value: choice }, choice)));
  } else {
    const number = /^(whole )?number( or none)?$/.test(item.type);
    input = h("input", { id: key, type: number ? "number" : "text", placeholder: item.default === null || item.default === "" ? "as it comes" : String(item.default), autocomplete: "off" });
    if (number) {
      input.step = item.type.startsWith("whole") ? "1" : "any";
      if (item.low !== null && item.low !== undefined) input.min = item.low;
      if (item.high !== null && item.high !== undefined) input.max = item.high;
    }
  }
  input.setAttribute("aria-describedby", `${key}-help`);
  if (start !== undefined) input.value = start;
  const made = h("label", { class: "field", for: key }, h("span", { class: "name" }, label(item.name)), input, help);
  made.value = () => (input.value === "" ? undefined : input.type === "number" ? Number(input.value) : input.value);
  made.set = (value) => { input.value = value ?? ""; };
  made.input = input;
  return made;
}

// Several fields: those that matter first, the others behind `more`. Returns an element with .values().
export function form(items, given = {}) {
  const fields = new Map(items.map((item) => [item.name, field(item, given[item.name])]));
  const of = (first) => items.filter((item) => Boolean(item.first) === first).map((item) => fields.get(item.name));
  const others = of(false);
  const asked = items.some((item) => !item.first && given[item.name] !== undefined);
  const made = h("div", { class: "stack" }, of(true).length ? h("div", { class: "fields" }, of(true)) : null,
    others.length ? h("details", { open: asked }, h("summary", {}, `${others.length} more`), h("div", { class: "fields" }, others)) : null);
  made.values = () => Object.fromEntries([...fields].map(([name, one]) => [name, one.value()]).filter(([, value]) => value !== undefined));
  made.fields = fields;
  return made;
}

export function slider(name, { low, high, step, value, help, log }, changed) {
  const key = id("slider");
  const there = log ? Math.log10 : (x) => x;
  const back = log ? (x) => 10 ** x : (x) => x;
  const input = h("input", { type: "range", id: key, min: there(low), max: there(high), step: step ?? "any" });
  input.value = there(value);
  const out = h("output", { class: "mono", for: key });
  const show = () => { const now = back(Number(input.value)); out.textContent = log ? now.toExponential(1) : String(Number(now.toFixed(3))); input.setAttribute("aria-valuetext", out.textContent); };
  show();
  input.addEventListener("input", () => { show(); changed?.(back(Number(input.value))); });
  const made = h("label", { class: "field", for: key }, h("span", { class: "row between" }, h("span", { class: "name tiny" }, name), out), input, help ? h("span", { class: "help" }, help) : null);
  made.value = () => back(Number(input.value));
  made.set = (now) => { input.value = there(now); show(); };
  return made;
}
