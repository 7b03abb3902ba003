// How a field is given on the Use page: words, painting, or files. What is offered was said by the field's kind.
import { h, toast, fill } from "./dom.js";
import { address, post, upload } from "./api.js";
import { paint } from "./paint.js";

const WORDS = { words: "Type", paint: "Paint", draw: "Draw", file: "Files" };

// Returns an element with .given() -> Promise<{uploads: [...], words}>; several: whether more than one file may come.
export function give(field, run, { several = false } = {}) {
  let way = field.ways[0];
  let files = [], held = null;
  const body = h("div", { class: "stack" });
  const tabs = field.ways.length > 1 ? h("div", { class: "segment", role: "group", "aria-label": `How to give ${field.name}` }, field.ways.map((one) => {
    const button = h("button", { type: "button", "aria-pressed": String(one === way), data: { way: one } }, WORDS[one]);
    button.addEventListener("click", () => { way = one; draw(); for (const other of tabs.children) other.setAttribute("aria-pressed", String(other === button)); });
    return button;
  })) : null;
  const text = h("textarea", { rows: 2, "aria-label": `${field.name}, in words`, placeholder: `${field.name}, in words` });

  function draw() {
    if (way === "words") fill(body, text);
    else if (way === "paint" || way === "draw") {
      held ??= paint(field);
      fill(body, held, h("p", { class: "soft tiny" }, `${field.width}x${field.height} pixels, as it was trained`));
    } else if (way === "file") fill(body, drop());
    else fill(body, h("p", { class: "soft" }, `There is no way yet to give ${field.noun} here.`));
  }

  function drop() {
    const list = h("div", { class: "stack tight" });
    const input = h("input", { type: "file", multiple: several, "aria-label": `Files of ${field.noun}`, accept: [...new Set(field.suffixes.map((one) => `.${one.split(".").pop()}`))].join(",") });
    const show = () => fill(list, files.map((one) => h("div", { class: "row between" }, h("span", { class: "mono" }, one.name),
      one.picture ? h("img", { class: "thumb", src: one.picture, alt: "" }) : h("span", { class: "soft tiny" }, one.told || ""))));
    async function take(chosen) {
      const mine = [...chosen].slice(0, several ? 100 : 1);
      if (!several) files = [];
      for (const file of mine) {
        const entry = { name: file.name, told: "uploading …" };
        files.push(entry);
        show();
        try {
          const sent = await upload(file);
          entry.id = sent.id;
          const seen = await post("upload-shown", { run, field: field.name, upload: sent.id });
          entry.told = seen.of + (seen.count > 1 ? `, ${seen.count} records` : "");
          if (seen.picture) entry.picture = address("made-file", { made: seen.made, file: seen.picture });
          for (const note of (seen.notes || []).slice(0, 2)) toast(note);
        } catch (error) {
          files = files.filter((one) => one !== entry);
          toast(`${file.name}: ${error.message}`, true);
        }
        show();
      }
    }
    input.addEventListener("change", () => { take(input.files); input.value = ""; });
    const box = h("div", { class: "drop" }, h("span", {}, several ? `Drop ${field.noun} here, or choose them` : `Drop a file of ${field.noun} here, or choose it`), input, h("span", { class: "tiny" }, field.suffixes.slice(0, 12).join(" ")));
    for (const [event, on] of [["dragover", true], ["dragleave", false], ["drop", false]]) box.addEventListener(event, (e) => { e.preventDefault(); box.classList.toggle("over", on); });
    box.addEventListener("drop", (event) => take(event.dataTransfer.files));
    show();
    return h("div", { class: "stack" }, box, list);
  }

  draw();
  const made = h("div", { class: "stack" }, h("div", { class: "row between" }, h("h3", {}, field.name), h("span", { class: "soft tiny" }, field.of + (field.must ? "" : "; may be left out"))), tabs, body);
  made.given = async () => {
    if (way === "words") return { words: text.value.trim() };
    if ((way === "paint" || way === "draw")) {
      if (!held?.touched()) return {};
      const sent = await upload(await held.file(), `${way === "paint" ? "painted" : "drawn"}.png`);
      return { uploads: [sent.id] };
    }
    if (files.some((one) => !one.id)) throw new Error("a file is still on its way: wait a moment");
    return { uploads: files.map((one) => one.id) };
  };
  return made;
}
