// How a field is given on the Use page: words, painting, or files. What is offered was said by the field's kind and by the use.
import { h, toast, fill } from "./dom.js";
import { address, post, upload } from "./api.js";
import { paint } from "./paint.js";

const WORDS = { words: "Type", paint: "Paint", draw: "Draw", over: "Paint on it", file: "Files" };
const MANY = 100; // files at once

// use: {run, verb}. beneath: of a field that is painted over what is worked on, that one's element. several: whether more than one
// file may come. Returns an element with .given() -> Promise<{uploads, words}>, .pictures(), .take(files); it tells "given" when these change.
export function give(field, use, { several = false, beneath = null } = {}) {
  let way = field.ways[0];
  let files = [], held = null, under = null, newest = null; // under: what is painted on; newest: the picture given last
  const body = h("div", { class: "stack" });
  const tabs = field.ways.length > 1 ? h("div", { class: "segment", role: "group", "aria-label": `How to give ${field.title}` }, field.ways.map((one) => {
    const button = h("button", { type: "button", "aria-pressed": String(one === way), data: { way: one } }, WORDS[one]);
    button.addEventListener("click", () => turn(one));
    return button;
  })) : null;
  function turn(next) {
    way = next;
    for (const other of tabs?.children || []) other.setAttribute("aria-pressed", String(other.dataset.way === way));
    draw();
    made.dispatchEvent(new Event("given"));
  }
  const text = h("textarea", { rows: 2, "aria-label": `${field.name}, in words`, placeholder: `${field.name}, in words` });

  function draw() {
    if (way === "words") fill(body, text);
    else if (way === "paint" || way === "draw") {
      held ??= paint(field);
      fill(body, held, h("div", { class: "row between" }, h("p", { class: "soft tiny" }, `${field.width}x${field.height} pixels, as it was trained`), begin()));
    } else if (way === "over") fill(body, laid());
    else if (way === "file") fill(body, drop());
    else fill(body, h("p", { class: "soft" }, `There is no way yet to give ${field.noun} here.`));
  }

  // A picture of one's own to begin with, and to paint on.
  function begin() {
    if (!field.ways.includes("file")) return null;
    const input = h("input", { type: "file", accept: accepted(), "aria-label": `A file of ${field.noun} to paint on`, class: "chosen" });
    input.addEventListener("change", async () => {
      const [file] = input.files;
      input.value = "";
      if (!file) return;
      try { await held.load((await sent(file)).url); } catch (error) { toast(`${file.name}: ${error.message}`, true); }
    });
    return h("label", { class: "row tiny" }, "begin with a file", input);
  }

  // Painted over what is worked on, as soon as that was given.
  function laid() {
    const there = beneath ? beneath.pictures() : [];
    if (!there.length) return h("p", { class: "note" }, "Give a picture above: it appears here, to be painted on.");
    if (!there.includes(under) || there.at(-1) !== newest) under = newest = there.at(-1);
    held ??= paint(field);
    held.under(under);
    const choice = there.length < 2 ? null : h("label", { class: "row" }, h("span", { class: "tiny" }, "painting on"), h("select", { "aria-label": "Picture to paint on" },
      there.map((one, place) => h("option", { value: place, selected: one === under }, one.name))));
    choice?.querySelector("select").addEventListener("change", (event) => { under = there[event.target.value]; held.under(under); });
    return h("div", { class: "stack" }, choice, held, h("p", { class: "soft tiny" }, field.over === "area" ? "What you paint is what is worked on; the rest stays." : "Dab colours where you want them; leave the rest.",
      choice ? " Only the picture that you paint on is worked on." : ""));
  }

  const accepted = () => [...new Set(field.suffixes.map((one) => `.${one.split(".").pop()}`))].join(",");
  // Uploads a file, and asks how the run sees it.
  async function sent(file, entry = {}) {
    entry.name = file.name;
    const at = await upload(file);
    const seen = await post("upload-shown", { run: use.run, verb: use.verb, field: field.name, upload: at.id });
    entry.id = at.id;
    entry.told = seen.of + (seen.count > 1 ? `, ${seen.count} records` : "");
    if (seen.picture) entry.url = address("made-file", { made: seen.made, file: seen.picture });
    if (seen.size) [entry.height, entry.width] = seen.size;
    for (const note of (seen.notes || []).slice(0, 2)) toast(note);
    return entry;
  }
  async function take(chosen, show = () => {}) {
    const mine = [...chosen].slice(0, several ? MANY : 1);
    if (chosen.length > mine.length && several) toast(`${MANY} files at once: ${chosen.length - MANY} are left out`, true);
    if (!several) files = [];
    for (const file of mine) {
      const entry = { name: file.name, told: "uploading …" };
      files.push(entry);
      show();
      try { await sent(file, entry); } catch (error) {
        files = files.filter((one) => one !== entry);
        toast(`${file.name}: ${error.message}`, true);
      }
      show();
    }
    made.dispatchEvent(new Event("given"));
  }

  function drop() {
    const list = h("div", { class: "stack tight" });
    const input = h("input", { type: "file", multiple: several, "aria-label": `Files of ${field.noun}`, accept: accepted() });
    const show = () => fill(list, files.map((one) => {
      const away = h("button", { type: "button", class: "quiet", "aria-label": `Take ${one.name} out` }, "×");
      away.addEventListener("click", () => { files = files.filter((other) => other !== one); show(); made.dispatchEvent(new Event("given")); });
      return h("div", { class: "row between" }, h("span", { class: "row" }, one.url ? h("img", { class: "thumb", src: one.url, alt: "" }) : null,
        h("span", {}, h("span", { class: "mono" }, one.name), h("br"), h("span", { class: "soft tiny" }, one.told || ""))), away);
    }), files.length > 1 ? h("p", { class: "soft tiny" }, `${files.length} files`) : null);
    input.addEventListener("change", () => { take([...input.files], show); input.value = ""; });
    const box = h("div", { class: "drop" }, h("span", {}, several ? `Drop ${field.noun} here, or choose them` : `Drop a file of ${field.noun} here, or choose it`), input, h("span", { class: "tiny" }, field.suffixes.slice(0, 12).join(" ")));
    for (const [event, on] of [["dragover", true], ["dragleave", false], ["drop", false]]) box.addEventListener(event, (e) => { e.preventDefault(); box.classList.toggle("over", on); });
    box.addEventListener("drop", (event) => take([...event.dataTransfer.files], show));
    show();
    return h("div", { class: "stack" }, box, list);
  }

  const made = h("div", { class: "stack" }, h("div", { class: "row between" }, h("h3", {}, field.title), h("span", { class: "soft tiny" }, field.over ? "" : field.of + (field.aside ? "; may be left out" : ""))), tabs, body);
  beneath?.addEventListener("given", () => { if (way === "over") draw(); });
  draw();
  // What may be painted on: pictures that were given as files, with their sizes.
  made.pictures = () => (way === "file" ? files.filter((one) => one.url && one.width) : []);
  // The picture alone that was painted on, where one was.
  made.painted = () => (way === "over" && held?.touched() && under ? under : null);
  made.take = async (chosen) => { if (way !== "file" && field.ways.includes("file")) turn("file"); await take(chosen); draw(); };
  made.given = async () => {
    if (way === "words") return { words: text.value.trim() };
    if (way === "paint" || way === "draw" || way === "over") {
      if (!held?.touched()) return {};
      const at = await upload(await held.file(), way === "over" ? `${field.name}.png` : way === "draw" ? "drawn.png" : "painted.png");
      return { uploads: [at.id] };
    }
    if (files.some((one) => !one.id)) throw new Error("a file is still on its way: wait a moment");
    return { uploads: files.map((one) => one.id) };
  };
  return made;
}
