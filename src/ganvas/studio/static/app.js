// The shell: pages by the address behind #, navigation, theme. Each page is a module that is loaded when it is opened.
import { fill, h, toast } from "./parts/dom.js";
import { every, get } from "./parts/api.js";

const PAGES = {
  home: ["Home", () => import("./pages/home.js")],
  make: ["Make", () => import("./pages/make.js")],
  runs: ["Runs", () => import("./pages/runs.js")],
  run: ["", () => import("./pages/run.js")],
  use: ["", () => import("./pages/use.js")],
  trust: ["", () => import("./pages/trust.js")],
  compare: ["", () => import("./pages/compare.js")],
  lessons: ["Lessons", () => import("./pages/lessons.js")],
  lesson: ["", () => import("./pages/lesson.js")],
  settings: ["Settings", () => import("./pages/settings.js")],
};
const WITHIN = { run: "runs", use: "runs", trust: "runs", compare: "runs", lesson: "lessons" };
const page = document.getElementById("page");

export function go(name, values = {}) {
  location.hash = link(name, values);
}

export function link(name, values = {}) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return `#/${name}${given.length ? `?${new URLSearchParams(given)}` : ""}`;
}

function asked() {
  const [name, rest] = location.hash.replace(/^#\/?/, "").split("?");
  return [name in PAGES ? name : "home", Object.fromEntries(new URLSearchParams(rest || ""))];
}

let turn = 0;
async function open() {
  const [name, values] = asked();
  const mine = ++turn;
  for (const anchor of document.querySelectorAll("nav a")) {
    if (anchor.dataset.page === (WITHIN[name] || name)) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
  try {
    const module = await PAGES[name][1]();
    const made = h("div", { class: "stack", data: { page: name } });
    made.style.gap = "20px";
    if (mine !== turn) return;
    page.dispatchEvent(new CustomEvent("leave"));
    fill(page, made);
    await module.show(made, values);
    if (mine !== turn) return;
    document.title = `${made.querySelector("h1")?.textContent || PAGES[name][0]} · ganvas studio`;
    made.dataset.ready = "1";
    window.scrollTo(0, 0);
  } catch (error) {
    if (mine !== turn) return;
    fill(page, h("div", { class: "empty" }, h("h1", {}, "This page cannot be shown"), h("p", {}, error.message), h("a", { class: "button", href: "#/home" }, "Home")));
  }
}

function theme() {
  const now = () => document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const button = h("button", { class: "quiet", type: "button" });
  const show = () => { button.textContent = now() === "dark" ? "Light theme" : "Dark theme"; };
  button.addEventListener("click", () => {
    const next = now() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try { localStorage.setItem("ganvas-theme", next); } catch (error) { /* for this page alone then */ }
    show();
    document.dispatchEvent(new Event("theme"));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { show(); document.dispatchEvent(new Event("theme")); });
  show();
  return button;
}

const nav = document.getElementById("nav");
const counts = {};
for (const [name, [title]] of Object.entries(PAGES)) {
  if (!title) continue;
  counts[name] = h("span", { class: "tiny" });
  nav.append(h("a", { href: link(name), data: { page: name } }, title, counts[name]));
}
fill(document.getElementById("foot"), theme());
get("about").then((about) => {
  document.getElementById("foot").append(h("span", { class: "where" }, `ganvas ${about.version}`));
}, (error) => toast(error.message, true));

let mark = "";
every(3, nav, async () => {
  const found = await get("runs", { mark, few: 0 });
  mark = found.mark;
  if (found.same) return;
  counts.runs.textContent = found.busy ? `${found.busy} training` : "";
});

window.addEventListener("hashchange", open);
open();
