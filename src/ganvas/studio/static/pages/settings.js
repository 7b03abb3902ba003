// Folders, device, and what the machine has.
import { get } from "../parts/api.js";
import { add, busy, fill, h } from "../parts/dom.js";
import { command } from "../parts/command.js";

export async function show(page) {
  const about = await get("about");
  const found = h("div", {});
  const button = h("button", { type: "button" }, "Examine this machine");
  button.addEventListener("click", () => busy(button, async () => {
    button.textContent = "Examining, some seconds …";
    const told = await get("doctor");
    fill(found, h("pre", { class: "log", tabindex: 0, "aria-label": "What was found" }, told.lines.join("\n")));
  }));
  const again = ["ganvas studio", `--runs ${about.runs}`, ...about.data.map((one) => `--data ${one}`)].join(" ");
  add(page, [
    h("div", { class: "head" }, h("div", {}, h("h1", {}, "Settings"))),
    h("div", { class: "cols even" },
      h("div", { class: "panel stack" }, h("h2", {}, "Folders"),
        h("p", {}, "Runs lie in ", h("span", { class: "mono" }, about.runs), ", the only folder the studio writes to."),
        about.data.length ? h("div", {}, h("p", {}, "Data may be read below:"), h("ul", {}, about.data.map((one) => h("li", { class: "mono" }, one))))
          : h("p", {}, "No folder of data was named: files can be uploaded where a run is used, and built-in data is always there."),
        h("p", { class: "soft" }, "Which folders may be touched is said when the studio is started, not by a page:"),
        command(`${again}${about.data.length ? "" : " --data FOLDER"}`)),
      h("div", { class: "panel stack" }, h("h2", {}, "Queue"),
        h("p", {}, `${about.jobs} training${about.jobs === 1 ? "" : "s"} at once, on ${about.cores} cores; others wait. Closing this page, or the studio, ends none.`),
        h("p", { class: "soft" }, "More at once: start with ", h("span", { class: "mono" }, "--jobs N"), "."))),
    h("div", { class: "panel stack" }, h("div", { class: "row between" }, h("h2", {}, "This machine"), button), found, command("ganvas doctor")),
  ]);
}
